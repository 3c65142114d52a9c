//! No text makes the parser panic, and what a file says is what a scenario holds.

use super::*;
use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;

/// Pieces of which almost-right files are made.
fn pieces() -> impl Generator<Value = String> {
    let line = prop_oneof![
        Just("name = \"x\"".to_owned()),
        Just("[workload]".to_owned()),
        Just("[[fault]]".to_owned()),
        Just("[strategy.a]".to_owned()),
        Just("[expect.a]".to_owned()),
        Just("[drain]".to_owned()),
        ("(rate|duration|at|when|id|for|target|kind|order|lost|drain|hold|batch|latency|jitter|toxicity|name|ramp)", value())
            .prop_map(|(k, v)| format!("{k} = {v}")),
        ".{0,12}",
    ];
    proptest::collection::vec(line, 0..20).prop_map(|lines| lines.join("\n"))
}

fn value() -> impl Generator<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|i| i.to_string()),
        any::<f64>().prop_map(|f| format!("{f:?}")),
        "\"[0-9.]{0,30}(ms|s|h|KB)?\"",
        "\"(kafka|relay|down|kill|latency|cdc|polling|dual-write|>= 1|<= )\"",
        Just("[1, 2]".to_owned()),
        Just("{ a = 1 }".to_owned()),
        Just("{ events = 3 }".to_owned()),
        Just("{ fault = \"x\", after = \"1ms\" }".to_owned()),
        Just("1979-05-27".to_owned()),
        Just("0xffffffffffffffffffffffffffffffffffffff".to_owned()),
    ]
}

proptest! {
    #[test]
    fn no_file_makes_the_parser_panic(text in ".*") {
        let _ = parse("s.toml", &text).map_err(|e| e.to_string());
    }

    #[test]
    fn no_almost_right_file_makes_the_parser_panic(text in pieces()) {
        let _ = parse("s.toml", &text).map_err(|e| e.to_string());
    }

    #[test]
    fn a_damaged_file_is_accepted_or_explained(at in 0usize..400, with in ".{0,3}") {
        let good = with_fault("kind = \"latency\"\nlatency = \"10ms\"");
        let at = (0..=at.min(good.len())).rev().find(|i| good.is_char_boundary(*i)).unwrap();
        let mut text = good.clone();
        text.insert_str(at, &with);
        if let Err(error) = parse("s.toml", &text) {
            prop_assert!(error.to_string().contains("s.toml:"));
        }
    }

    #[test]
    fn what_a_file_says_is_what_a_scenario_holds(
        seed in 0u64..1 << 60,
        rate in 200u32..2_000,
        seconds in 5u64..60,
        changes in 1u32..10_000,
        payload in 1usize..900_000,
        rollback_permille in 0u32..400,
        at in 1u64..2,
        lasts in 1u64..3,
        lost in 0u32..500,
    ) {
        let rollback = f64::from(rollback_permille) / 1000.0;
        let text = format!(
            "name = \"x\"\nseed = {seed}\n[workload]\nrate = {rate}\nduration = \"{seconds}s\"\n\
             changes_per_order = {changes}\npayload_bytes = {payload}\nrollback_ratio = {rollback:?}\n\
             [[fault]]\ntarget = \"kafka\"\nkind = \"down\"\nat = \"{at}s\"\nfor = \"{lasts}s\"\n\
             {CDC}[expect.cdc]\nlost = \"<= {lost}\"\n"
        );
        let s = parse("s.toml", &text).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(s.seed, seed);
        prop_assert_eq!(s.workload.rate, f64::from(rate));
        prop_assert_eq!(s.workload.duration, Duration::from_secs(seconds));
        prop_assert_eq!(s.workload.changes_per_order, changes);
        prop_assert_eq!(s.workload.payload_bytes, payload);
        prop_assert_eq!(s.workload.rollback_ratio, rollback);
        prop_assert_eq!(s.faults[0].at(), Some(Duration::from_secs(at)));
        prop_assert_eq!(s.faults[0].ends(), Some(Duration::from_secs(at + lasts)));
        prop_assert_eq!(s.strategies[0].expectations[0].value, f64::from(lost));
        // And it survives the history's JSON.
        let back: Scenario = serde_json::from_str(&serde_json::to_string(&s).unwrap()).unwrap();
        prop_assert_eq!(back.faults, s.faults);
        prop_assert_eq!(back.workload, s.workload);
    }
}
