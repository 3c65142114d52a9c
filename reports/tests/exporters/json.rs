use crate::sample;
use reports::Exporter;
use reports::json::{Json, ParseError, parse};

fn written() -> String {
    String::from_utf8(Json.export(&sample::record()).unwrap()).unwrap()
}

#[test]
fn the_record_comes_back_as_it_was() {
    // Not assert_eq: it would print both.
    assert!(parse(written().as_bytes()).unwrap() == sample::record());
}

#[test]
fn what_was_not_measured_is_null_and_a_point_takes_one_line() {
    let text = written();
    assert!(text.contains("\"drain_s\": null"));
    assert!(text.lines().any(|line| line.trim() == "\"curve\": ["));
    assert!(text.lines().any(|line| line.trim().starts_with("[0.0, ")));
}

#[test]
fn another_versions_record_is_named_as_such() {
    let text = written().replacen("\"schema_version\": 1", "\"schema_version\": 99", 1);
    let error = parse(text.as_bytes()).unwrap_err();
    assert_eq!(error, ParseError::OtherVersion { found: 99 });
    assert!(error.to_string().contains("schema version 99"));
    assert_eq!(parse(b"{}").unwrap_err(), ParseError::NoVersion);
}

#[test]
fn a_damaged_record_is_shown_where_it_is_damaged() {
    let text = written().replacen("\"seed\": 42", "\"seed\": \"many\"", 1);
    let ParseError::Invalid { line, text, .. } = parse(text.as_bytes()).unwrap_err() else {
        panic!("a wrong kind of value must be invalid");
    };
    assert_eq!(line, 7);
    assert_eq!(text, "\"seed\": \"many\",");
    assert!(matches!(
        parse(b"not json"),
        Err(ParseError::Invalid { line: 1, .. })
    ));
    assert!(parse(b"").is_err());
}
