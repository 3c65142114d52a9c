//! Which scenarios a command line means, and what a CI server is shown of them.

use crate::{GOOD, Place};

fn three() -> Place {
    let longer = GOOD.replace("\"6s\"", "\"60s\"");
    let place = Place::new()
        .with("short.toml", GOOD)
        .with("other.toml", GOOD);
    place.with("long.toml", longer).with("README.md", "none")
}

/// The files that `run ... --list` names.
fn listed(place: &Place, args: &[&str]) -> Vec<String> {
    let said = place.run(&[&["run"], args, &["--list"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let lines = said.out.lines().filter(|line| line.contains(".toml: "));
    let file = |line: &str| line.split(": ").next().unwrap().to_owned();
    lines.map(file).collect()
}

#[test]
fn given_a_folder_or_a_pattern_then_the_list_has_its_scenarios() {
    let place = three();
    let all = ["./long.toml", "./other.toml", "./short.toml"];
    assert_eq!(listed(&place, &["."]), all);
    assert_eq!(
        listed(&place, &["*o*t*.toml", "long.toml"]),
        ["other.toml", "short.toml", "long.toml"]
    );
    let said = place.run(&["run", ".", "--list", "--strategy", "two"]);
    assert!(
        said.out.contains("./short.toml: two, about 21 s\n"),
        "{}",
        said.out
    );
    assert!(
        said.out.ends_with("3 scenarios, about 1.9 min\n"),
        "{}",
        said.out
    );
}

#[test]
fn given_shards_then_each_scenario_is_in_one_and_they_take_about_as_long() {
    let place = three();
    let of = |part: &str| listed(&place, &[".", "--shard", part]);
    assert_eq!(of("1/2"), ["./long.toml"]);
    assert_eq!(of("2/2"), ["./other.toml", "./short.toml"]);
    place.refused(
        2,
        &["run", ".", "--shard", "1/4"],
        &["there are only 3 scenarios"],
    );
    place.refused(
        2,
        &["run", ".", "--shard", "4/3"],
        &["write for example 2/5"],
    );
    place.refused(2, &["run", ".", "--repeat", "0"], &["0 is not in 1..=1000"]);
    // How long it takes is how often it is run
    let rounds = ["run", "short.toml", "--list", "--repeat", "50"];
    let said = place.run(&rounds).out;
    assert!(said.contains("\n50 rounds, about "), "{said}");
    let both = ["run", ".", "--fail-fast", "--until-fail"];
    place.refused(2, &both, &["cannot be used with"]);
}

#[test]
fn given_a_step_of_a_job_on_github_then_what_is_red_is_annotated_and_summarised() {
    // Given a repository whose scenario cannot be run, since no engine answers for its stack
    let place = Place::new().with("a.toml", GOOD);
    let summary = place.folder.path().join("summary.md");
    std::fs::write(&summary, "before\n").unwrap();
    // When a step runs it
    let output = place
        .command(&["run", "a.toml", "--stack", "docker"])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_WORKSPACE", place.folder.path())
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .unwrap();
    // Then each strategy has an annotation at its header, and the summary grew
    assert_eq!(output.status.code(), Some(4));
    let out = String::from_utf8(output.stdout).unwrap();
    for (line, strategy) in [(9, "one"), (11, "two")] {
        let annotation =
            format!("::error file=a.toml,line={line},title=good%3A {strategy}::was not run: ");
        assert_eq!(out.matches(&annotation).count(), 1, "{out}");
    }
    let summary = std::fs::read_to_string(&summary).unwrap();
    assert!(summary.starts_with("before\n"), "{summary}");
    assert!(summary.contains("make docker-engine"), "{summary}");
}
