//! Two harnesses on one machine.

use super::turn::alone;
use super::{POLLING, Run, SHORT, command, command_on_theirs, nothing_left, record, run, wrongs};

#[test]
fn given_two_local_stacks_when_run_at_the_same_time_then_each_has_its_own_ports_and_verdict() {
    let _turn = alone();
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let under_way = homes
        .each_ref()
        .map(|home| Run::start(command(home.path(), SHORT)));

    let ended = under_way.map(Run::end);

    // They may make each other late, and then they say so; neither may blame its system for it.
    for (home, ended) in homes.iter().zip(&ended) {
        let all = format!("{}{}", ended.out, ended.err);
        assert!(matches!(ended.code, Some(0 | 3)), "{all}");
        let strategy = &record(home.path()).strategies[0];
        assert_eq!(strategy.counts.offered, 400, "{all}");
        assert_eq!(wrongs(strategy), Some(0), "{all}");
        nothing_left(home.path());
    }
    let stacks = homes.each_ref().map(|home| record(home.path()).stack);
    assert_ne!(stacks[0].postgres.url, stacks[1].postgres.url);
    assert_ne!(stacks[0].kafka.bootstrap, stacks[1].kafka.bootstrap);
    assert_ne!(stacks[0].toxiproxy.url, stacks[1].toxiproxy.url);
}

#[test]
fn given_somebodys_stack_in_use_when_another_comes_then_it_is_refused_and_the_first_undisturbed() {
    let turn = alone();
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    // Long enough to be there for as long as the second may try.
    let long = POLLING.replace("duration = \"4s\"", "duration = \"12s\"");
    let mut first = Run::start(command_on_theirs(&turn, homes[0].path(), &long));
    first.until_said("load:");

    let second = run(command_on_theirs(&turn, homes[1].path(), SHORT));

    second.with(4, &["the stack failed: take the stack for this run: another run uses it (from 127.0.0.1, since "]);
    let first = first.end();
    first.passed(homes[0].path(), &[]);
    assert_eq!(wrongs(&record(homes[0].path()).strategies[0]), Some(0));
    for home in &homes {
        nothing_left(home.path());
    }

    // And then it is free.
    let again = tempfile::tempdir().unwrap();
    run(command_on_theirs(&turn, again.path(), SHORT)).passed(again.path(), &[]);
}
