#![allow(clippy::unwrap_used)]
use super::*;
use crate::checkers::context::Context;
use crate::checkers::fixture::{attempt, clean, finish, judged, unpublish};
use crate::record::Judged;
use crate::scenario::StrategyKind;
use std::path::Path;
use std::time::Duration;

/// A run of a strategy `cdc` of a scenario.
fn record(scenario: &str, lose: bool) -> Record {
    let mut history = clean(40, StrategyKind::Cdc {});
    if lose {
        let attempt = attempt(&history, 0, 1);
        unpublish(&mut history, attempt);
        finish(&mut history);
    }
    let context = Context::new(&history);
    let judgement = judged(&history);
    let judged = Judged {
        meta: history.meta.clone(),
        verdict: judgement.verdict,
        strategy: crate::record::strategy(&context, &judgement, None).unwrap(),
    };
    let mut record = crate::record::build(vec![judged], Duration::ZERO).unwrap();
    record.scenario = scenario.to_owned();
    record
}

fn claim(scenario: &str, figures: &[&str]) -> Claim {
    Claim {
        says: "It holds.".to_owned(),
        scenario: scenario.to_owned(),
        figures: figures.iter().map(|name| (*name).to_owned()).collect(),
        holds: Vec::new(),
    }
}

#[test]
fn given_records_when_claims_are_held_against_them_then_each_has_its_own_scenarios_runs() {
    let records = [
        record("steady", false),
        record("steady", true),
        record("other", false),
    ];
    let name = &records[0].strategies[0].name;
    let lost = format!("{name}.lost");
    let claims = [
        claim(
            "steady",
            &[&lost, "nobody.lost", &format!("{name}.end_to_end_p50")],
        ),
        claim("never", &[&lost]),
        claim("steady", &[&lost]),
    ];
    let rows = rows(&claims, &records);
    let came = |row: usize| (rows[row].held, rows[row].broken, rows[row].open);
    // It names somebody of whom nothing is known
    assert_eq!(came(0), (0, 1, 1));
    assert_eq!(came(1), (0, 0, 0));
    assert_eq!(came(2), (1, 1, 0));
    let values = |figure: usize| -> Vec<Option<f64>> {
        let values = rows[0].figures[figure].values.iter();
        values.map(|value| value.map(|v| v.value)).collect()
    };
    assert_eq!(values(0), [Some(0.0), Some(1.0)]);
    assert_eq!(values(1), [None, None]);
    assert!(values(2).iter().all(Option::is_some));
    assert_eq!(scenarios(&claims), ["steady", "never"]);
}

#[test]
fn given_conditions_then_a_claim_holds_where_they_are_true_of_the_run() {
    let records = [record("steady", false)];
    let name = records[0].strategies[0].name.clone();
    for (condition, came) in [
        ("X.lost = 0", (1, 0, 0)),
        ("X.lost >= 1", (0, 1, 0)),
        ("X.end_to_end_p50 <= X.end_to_end_p99", (1, 0, 0)),
        ("X.end_to_end_p50 > X.end_to_end_p99", (0, 1, 0)),
        ("nobody.lost < X.lost", (0, 0, 1)),
    ] {
        let mut claim = claim("steady", &[&format!("{name}.lost")]);
        claim.holds = vec![condition.replace('X', &name)];
        let row = rows(&[claim], &records).remove(0);
        assert_eq!((row.held, row.broken, row.open), came, "{condition}");
    }
    // Of a run that proved nothing it proves nothing that one is not true
    let mut interrupted = records;
    interrupted[0].strategies[0].verdict = Verdict::Unknown;
    let mut claim = claim("steady", &[&format!("{name}.lost")]);
    claim.holds = vec![format!("{name}.lost >= 1")];
    let row = rows(&[claim], &interrupted).remove(0);
    assert_eq!((row.held, row.broken, row.open), (0, 0, 1));
    for wrong in ["X.lost", "X.lots < 1", "X.lost < Y", "X.lost < inf"] {
        assert!(Condition::read(wrong).is_err(), "{wrong}");
    }
}

/// Each claim that is shipped names a scenario that is shipped, with a strategy of it and of its consumers.
#[test]
fn given_the_claims_that_are_shipped_then_their_scenarios_have_what_they_name() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(top.join("docs/claims.toml")).unwrap();
    for claim in read(&text).unwrap() {
        let file = top.join(format!("scenarios/{}.toml", claim.scenario));
        let loaded = crate::scenario::load(&file).unwrap();
        let scenario = &loaded.scenario;
        assert_eq!(scenario.name, claim.scenario, "records go by the name");
        for figure in &claim.figures {
            let (strategy, figure) = figure.split_once('.').unwrap();
            let mut strategies = scenario.strategies.iter();
            assert!(
                strategies.any(|s| s.name == strategy),
                "{}: {strategy}",
                claim.scenario
            );
            if let Some((process, _)) = figure.split_once('.') {
                let mut consumers = scenario.consumers.iter();
                assert!(
                    consumers.any(|c| format!("consumer-{}", c.name) == process),
                    "{}: {process}",
                    claim.scenario
                );
            }
        }
    }
}

#[test]
fn given_claims_when_read_then_each_mistake_is_said() {
    let text = |figure: &str| {
        format!("[[claim]]\nsays = \"It holds.\"\nscenario = \"steady\"\nfigures = [{figure}]\n")
    };
    assert_eq!(
        read(&text("\"cdc.lost\", \"a.consumer-b.unapplied\"")).map(|c| c.len()),
        Ok(1)
    );
    let wrong =
        read(&(text("") + &text("\"cdc.lots\", \"lost\", \"a.consumer-b.lost\""))).unwrap_err();
    assert_eq!(wrong.len(), 4, "{wrong:?}");
    assert!(
        wrong[0].starts_with("claim 1 has no `figures`"),
        "{wrong:?}"
    );
    assert!(
        wrong[1].starts_with("claim 2: `cdc.lots` is no figure"),
        "{wrong:?}"
    );
    let unknown = read("[[claim]]\nsays = \"x\"\nscenario = \"y\"\nfigure = []\n").unwrap_err();
    assert!(unknown[0].contains("unknown field `figure`"), "{unknown:?}");
}
