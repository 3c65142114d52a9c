//! Outboxes of files that have a database of their own (`isolation = "database"`), beside one that has a schema,
//! on a stack that is not ours: what they made there is gone after the run, also when the harness is killed.

use super::external::{AsFound, until};
use super::foreign::{CONFIG, LOAD, file, stand_in};
use super::turn::alone;
use super::{commanded, foreign_service, only_run, program, record, run_beside, until_it_tells};
use crate::all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::Stdio;

const STRATEGIES: &str = r#"
[[fault]]
target = "relay"
kind = "kill"
at = "1s"
for = "600ms"
[strategy.schema]
kind = "external"
relay = "schema.toml"
[strategy.database]
kind = "external"
relay = "database.toml"
[strategy.service]
kind = "external"
relay = "service.toml"
[consumer.shop]
effect = "insert"
idempotency = "inbox"
"#;

fn scenario() -> String {
    let workload = LOAD.split("[strategy").next().unwrap();
    format!("{workload}{STRATEGIES}")
}

/// The stand-in's file, with an outbox that SQL finds in `public` alone.
fn in_public(extension: &str) -> String {
    let shared = file(&format!("exec {}", stand_in()), "");
    let own = format!("[outbox]\nisolation = \"database\"\nddl = [{extension}'''create table");
    let explicit = [
        ("[outbox]\nddl = ['''create table", own.as_str()),
        ("table outbox", "table public.outbox"),
        ("insert into outbox", "insert into public.outbox"),
        ("from outbox;", "from public.outbox"),
        ("type text not null", "type citext not null"),
    ];
    let explicit = explicit
        .iter()
        .filter(|(_, to)| !(extension.is_empty() && to.contains("citext")));
    explicit.fold(shared, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

fn write(home: &Path, extension: &str) {
    let service = foreign_service::file(&foreign_service::with_outbox_inside(), "");
    let service = service.replacen("[outbox]", "[outbox]\nisolation = \"database\"", 1);
    let files = [
        ("schema.toml", file(&format!("exec {}", stand_in()), "")),
        ("database.toml", in_public(extension)),
        ("service.toml", service),
        ("config.json.in", CONFIG.to_owned()),
        (
            "order-service.json.in",
            foreign_service::service_config(foreign_service::OUTBOX),
        ),
        ("relay.json.in", foreign_service::relay_config()),
    ];
    for (name, text) in files {
        std::fs::write(home.join(name), text).unwrap();
    }
}

/// How many databases of runs there are.
async fn databases(theirs: &AsFound) -> i64 {
    sqlx::query_scalar("select count(*) from pg_database where datname like 'oh\\_%'")
        .fetch_one(&mut theirs.session().await)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn given_outboxes_of_either_isolation_when_run_or_killed_on_somebodys_stack_then_nothing_is_left()
 {
    if !all::is_asked_for() {
        return;
    }
    // What is made again is made in this turn, beside nobody.
    let turn = alone();
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let theirs = AsFound::look(&turn).await;
    let citext: i64 =
        sqlx::query_scalar("select count(*) from pg_available_extensions where name = 'citext'")
            .fetch_one(&mut theirs.session().await)
            .await
            .unwrap();
    write(
        home,
        match citext {
            0 => "",
            _ => "'create extension citext', ",
        },
    );

    // When all of them are run, and their relays killed
    let whole = || run_beside(&turn, home, &scenario());
    let output = until_it_tells(home, whole(), whole);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let folder = only_run(home);
    let strategies = record(&folder).strategies;
    assert_eq!(strategies.len(), 3);
    for strategy in &strategies {
        assert!(strategy.counts.committed.unwrap() > 500, "{strategy:?}");
        assert_eq!(strategy.counts.lost, Some(0));
        // Consumers have a schema of the stack's database, wherever the strategy's own tables are.
        let shop = &strategy.consumers[0];
        assert_eq!(shop.effects, strategy.counts.committed);
        assert_eq!((shop.unapplied, shop.applied_twice), (Some(0), Some(0)));
        // The service has no relay that could be killed.
        let bit = (strategy.name != "service").then_some(true);
        assert!(strategy.faults.iter().all(|fault| fault.bit == bit));
    }
    // Then each was told where its tables are
    for (config, named, own) in [
        ("relay/schema/config.json", "schema", "_schema"),
        ("relay/database/config.json", "database", "_database"),
        ("service/service/relay.json", "database", "_service"),
    ] {
        let text = std::fs::read_to_string(folder.join(config)).unwrap();
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        let name = told["postgres"][named].as_str().unwrap();
        assert!(name.starts_with("oh_") && name.ends_with(own), "{text}");
        let in_public = told["postgres"]["schema"] == "public";
        assert_eq!(in_public, named == "database", "{text}");
    }
    assert!(theirs.is_as_found().await, "{said}");

    // When the harness is killed as soon as it has made a database
    std::fs::remove_dir_all(home.join("runs")).unwrap();
    let mut harness = program()
        .arg("run")
        .arg(home.join("scenario.toml"))
        .args(theirs.arguments("database"))
        .arg("--out")
        .arg(home.join("runs"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("it has made one", async || databases(&theirs).await > 0).await;
    kill(Pid::from_raw(harness.id() as i32), Signal::SIGKILL).unwrap();
    harness.wait().unwrap();
    until("nothing of it is left", async || theirs.is_as_found().await).await;

    // When its administrator may not make one
    let limited = "create role limited login createrole replication password 'pw'; \
                   grant create on database postgres to limited";
    let mut session = theirs.session().await;
    sqlx::raw_sql(limited).execute(&mut session).await.unwrap();
    let text = std::fs::read_to_string(theirs.file()).unwrap();
    let postgres = &theirs.info().postgres;
    let as_limited = text
        .replacen(
            &format!("user = \"{}\"", postgres.user),
            "user = \"limited\"",
            1,
        )
        .replacen(
            &format!("password = \"{}\"", postgres.password),
            "password = \"pw\"",
            1,
        );
    let file = home.join("limited.toml");
    std::fs::write(&file, as_limited).unwrap();
    let file = file.display().to_string();
    std::fs::remove_dir_all(home.join("runs")).unwrap();
    let on_theirs = ["--stack", "external", "--external", &file];
    let output = commanded(&[], home, &scenario())
        .args(on_theirs)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    let remedy = "may not create databases: `alter role \"limited\" createdb`";
    assert!(said.contains(remedy), "{said}");
    assert!(!said.contains("load:"), "{said}");
}
