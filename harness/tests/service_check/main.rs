//! `service-check` against small order services, each with one defect: it names the rule that is broken, and
//! no other.

#![allow(clippy::unwrap_used)]

mod tiny;

use harness::service_check::{Fared, Finding, RULES, check};
use std::collections::BTreeMap;
use std::process::{Command, Output};
use tiny::{Defect, Tiny};

async fn checked(defect: Defect) -> Vec<Finding> {
    let service = Tiny::start(defect).await;
    check(&service.url(), |_| {}).await.unwrap()
}

fn named(findings: &[Finding], fared: Fared) -> Vec<&str> {
    let those = findings.iter().filter(|finding| finding.fared == fared);
    those.map(|finding| finding.rule).collect()
}

#[tokio::test]
async fn given_a_service_that_keeps_the_contract_then_every_rule_is_kept() {
    let findings = checked(Defect::None).await;
    let kept: Vec<&str> = named(&findings, Fared::Kept);
    let all: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(kept, all, "{findings:#?}");
}

#[tokio::test]
async fn given_a_service_with_one_defect_then_exactly_the_rule_that_it_breaks_is_named() {
    for (defect, rule, told) in [
        (Defect::NoHealth, "health", "answered 404"),
        (Defect::VersionsFromZero, "places", "\"version\":0"),
        (
            Defect::BareCommits,
            "places",
            "answered 201 with an empty body",
        ),
        (Defect::OneSequence, "versions", "should have version"),
        (Defect::ForgetsChanges, "repeats", "\"version\":"),
        (Defect::RefusesRepeats, "repeats", "answered 409"),
        (
            Defect::LooksThenWrites,
            "repeats-at-once",
            "sent twice at once",
        ),
        (
            Defect::CountsThenWrites,
            "writers",
            "got the versions [3, 3",
        ),
        (Defect::TakesAnyOrder, "unknown-order", "answered 200"),
        (
            Defect::TakesAnyState,
            "wrong-state",
            "shipped, of an order that is placed",
        ),
        (
            Defect::RefusesAndCounts,
            "wrong-state",
            "version 4, where 3 is left",
        ),
        (Defect::PlacesAgain, "placed-twice", "answered 201"),
        (
            Defect::BareRefusals,
            "says-no",
            "answered 404 with an empty body",
        ),
        (
            Defect::FailsOnMalformed,
            "malformed",
            "an empty body: it answered 500",
        ),
        (Defect::CommitsVetoes, "veto", "answered 200"),
        (
            Defect::RefusesVetoesAndCommits,
            "veto",
            "committed all the same",
        ),
        (Defect::DoesNotHold, "hold", "it answered after"),
        (Defect::SmallBodies, "size", "answered 413"),
        (Defect::HangsUp, "keep-alive", "the connection was closed"),
    ] {
        let findings = checked(defect).await;
        assert_eq!(
            named(&findings, Fared::Broken),
            [rule],
            "{defect:?}: {findings:#?}"
        );
        let finding = findings
            .iter()
            .find(|finding| finding.rule == rule)
            .unwrap();
        let found = finding.found.as_deref().unwrap();
        assert!(found.contains(told), "{defect:?}: {found}");
        assert!(finding.remedy.is_some_and(|remedy| !remedy.is_empty()));
    }
}

#[tokio::test]
async fn given_a_service_that_serves_one_connection_at_a_time_then_that_is_what_it_is_told() {
    let findings = checked(Defect::OneConnection).await;
    assert_eq!(
        named(&findings, Fared::Broken),
        ["connections"],
        "{findings:#?}"
    );
}

#[tokio::test]
async fn given_a_service_that_cannot_place_an_order_then_what_needs_one_is_not_called_broken() {
    let findings = checked(Defect::VersionsFromZero).await;
    let by_name: BTreeMap<&str, &Finding> = findings.iter().map(|f| (f.rule, f)).collect();
    assert_eq!(by_name["health"].fared, Fared::Kept);
    for rule in ["versions", "repeats", "writers", "veto", "connections"] {
        let finding = by_name[rule];
        assert_eq!(finding.fared, Fared::Untried, "{finding:?}");
        let why = finding.found.as_deref().unwrap();
        assert!(why.contains("an order could not be placed"), "{why}");
    }
}

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_outbox-harness"))
        .arg("service-check")
        .args(arguments)
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn given_the_program_then_its_exit_code_and_its_lines_say_what_was_found() {
    let good = Tiny::start(Defect::None).await;
    let output = program(&[&good.url()]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains(&format!("{0} of {0} rules are kept", RULES.len())),
        "{said}"
    );

    let bad = Tiny::start(Defect::ForgetsChanges).await;
    let output = program(&[&bad.url()]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for rule in RULES {
        let line = said
            .lines()
            .find(|line| line.contains(&format!(" {} ", rule.name)));
        assert!(line.is_some(), "{}: {said}", rule.name);
    }
    assert!(said.contains("broken   repeats "), "{said}");
    assert!(said.contains("remedy: keep `change_id`"), "{said}");

    // As JSON, for scripts
    let output = program(&[&bad.url(), "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let rules = said["rules"].as_array().unwrap();
    let repeats = rules.iter().find(|rule| rule["rule"] == "repeats").unwrap();
    assert_eq!(repeats["fared"], "broken");
    assert!(repeats["found"].is_string() && repeats["remedy"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_url_that_is_none_or_where_nobody_is_then_the_error_says_so() {
    let output = program(&["127.0.0.1:8080"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("write http://HOST:PORT"), "{said}");
    // A port that nobody listens on
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", port.local_addr().unwrap());
    drop(port);
    let output = program(&[&url]);
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("reaching the order service") && said.contains("refused"),
        "{said}"
    );
}
