//! What goes out of runs as files: the reports again, and several scenarios at once.

use super::{on_schedule, outage, program};
use reports::record::{Record, Verdict};
use std::path::Path;

/// A second of a polling outbox, with a bound on its latency that it meets or cannot meet.
fn scenario(bound: &str) -> String {
    format!(
        r#"
name = "one-name"
[workload]
rate = 200
duration = "1s"
[strategy.polling]
kind = "polling"
[expect.polling]
end_to_end_p50 = "<= {bound}"
"#
    )
}

fn copy(from: &Path, to: &Path, names: &[&str]) {
    for name in names {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn given_a_finished_run_when_reported_then_every_report_is_made_again_byte_for_byte() {
    // Given a folder that has the record of a run, and nothing else of it
    let home = tempfile::tempdir().unwrap();
    copy(&outage().folder, home.path(), &["record.json"]);
    // When its reports are asked for
    let output = program().arg("report").arg(home.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // Then they are as the run left them, and are named
    for name in ["record.json", "report.html", "junit.xml", "summary.md"] {
        let (then, now) = (outage().folder.join(name), home.path().join(name));
        assert!(
            std::fs::read(then).unwrap() == std::fs::read(&now).unwrap(),
            "{name}"
        );
        assert!(said.lines().any(|l| Path::new(l) == now), "{name}: {said}");
    }
    // And a damaged record is said to be one
    std::fs::write(home.path().join("record.json"), "{").unwrap();
    let output = program().arg("report").arg(home.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(4), 0));
    assert!(
        said.contains("record.json") && said.contains("line 1"),
        "{said}"
    );
}

#[test]
fn given_a_finished_run_then_its_folder_tells_what_happened_in_its_order() {
    let text = std::fs::read_to_string(outage().folder.join("events.jsonl")).unwrap();
    let lines = text.lines().map(serde_json::from_str);
    let lines: Vec<serde_json::Value> = lines.collect::<Result<_, _>>().unwrap();
    let time = |line: &serde_json::Value| line["at"].as_str().map(str::parse::<jiff::Timestamp>);
    assert!(
        lines.iter().all(|line| matches!(time(line), Some(Ok(_)))),
        "{text}"
    );
    // The whole of it begins, and in each strategy's lane Kafka goes and comes back, before that is judged
    assert_eq!(lines[0]["event"], "scenario_started");
    for (lane, strategy) in ["naive", "polling", "cdc"].into_iter().enumerate() {
        let of_it = lines.iter().filter(|l| l["lane"] == lane);
        let told: Vec<&str> = of_it
            .clone()
            .map(|l| l["event"].as_str().unwrap())
            .collect();
        assert_eq!(told.first(), Some(&"strategy_started"), "{text}");
        let turns = of_it.clone().filter(|l| l["event"] == "fault");
        let turns: Vec<String> = turns.map(|l| l["turn"][1].to_string()).collect();
        assert_eq!(turns, ["\"injected\"", "\"healed\""], "{text}");
        let steps = told.iter().filter(|event| **event == "fence").count();
        assert_eq!(steps, 8, "{text}");
        let last = lines.iter().rfind(|l| l["lane"] == lane).unwrap();
        assert_eq!(
            (&last["event"], &last["strategy"]),
            (&"strategy_judged".into(), &strategy.into())
        );
    }
}

#[test]
fn given_two_files_with_one_scenario_name_when_run_then_both_are_in_all_results_and_the_worst_counts()
 {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    std::fs::write(at("passes.toml"), scenario("60s")).unwrap();
    std::fs::write(at("fails.toml"), scenario("1us")).unwrap();
    // When both are run at once
    let output = on_schedule(home.path(), |_| {
        program()
            .arg("run")
            .args([at("passes.toml"), at("fails.toml")])
            .arg("--out")
            .arg(at("runs"))
            .arg("--junit")
            .arg(at("junit.xml"))
            .arg("--json")
            .arg(at("records.json"))
            .output()
            .unwrap()
    });
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // Then the miss decides
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        said.contains("FAIL  polling missed end_to_end_p50 <= "),
        "{said}"
    );
    // And each has its record, its folder, and its cases
    let records = std::fs::read(at("records.json")).unwrap();
    let records: Vec<Record> = serde_json::from_slice(&records).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(records[1].verdict, Verdict::Fail);
    for record in &records {
        assert_eq!(record.scenario, "one-name");
        assert!(at("runs").join(&record.run).join("record.json").is_file());
    }
    let junit = std::fs::read_to_string(at("junit.xml")).unwrap();
    let suites = |record: &Record| {
        let name = format!("classname=\"{}.polling\"", record.run);
        junit.matches(&name).count()
    };
    assert_eq!(suites(&records[0]), suites(&records[1]));
    assert!(suites(&records[0]) > 0, "{junit}");
    assert_eq!(junit.matches("<failure").count(), 1, "{junit}");
    // And an index of the folder leads to both
    let output = program().arg("report").arg(at("runs")).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let index = std::fs::read_to_string(at("runs").join("index.html")).unwrap();
    for record in &records {
        let link = format!("href=\"./{}/report.html\"", record.run);
        assert!(index.contains(&link), "{index}");
    }
}
