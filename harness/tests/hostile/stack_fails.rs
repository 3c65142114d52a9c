//! A stack that cannot start: the error says which server, shows the end of its log or what to
//! install, and nothing of the others is left.

use super::not_done::not_done;
use super::turn::beside_another;
use super::{HARNESS, SHORT, command, nothing_left, open, programs, record, run, run_folder};
use harness::process::reaper::Reaper;
use harness::stack::Jit;
use harness::stack::local::{FirstServers, LocalStack};
use harness::stack::ports;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Where Kafka's listener for the referee stands among a stack's ports.
const KAFKA_DIRECT: usize = 2;

/// A run whose command is prepared so that its stack cannot start.
#[track_caller]
fn refused(prepare: impl FnOnce(&Path, &mut Command), said: &[&str]) {
    let _turn = beside_another();
    let home = tempfile::tempdir().unwrap();
    // PostgreSQL may run as another user, who must get here.
    open(home.path());
    let mut command = command(home.path(), SHORT);
    prepare(home.path(), &mut command);

    let ended = run(command);

    ended.with(4, said);
    assert_eq!(ended.out, "");
    nothing_left(home.path());
    assert!(!run_folder(home.path()).join("history").exists());
    let record = record(home.path());
    assert_eq!((record.strategies.len(), record.not_run.len()), (0, 1));
    let junit = std::fs::read_to_string(run_folder(home.path()).join("junit.xml")).unwrap();
    let not_run = junit.contains("<error message=\"the stack failed: start ")
        && junit.contains("type=\"not run\">");
    assert!(not_run, "{junit}");
}

#[test]
fn given_damaged_data_when_postgres_refuses_it_then_its_own_words_are_shown() {
    let damage = |home: &Path, command: &mut Command| {
        // The real programs, but for a moment between initdb and the server's start.
        let real = postgres_programs();
        let folder = home.join("bin");
        std::fs::create_dir(&folder).unwrap();
        open(&folder);
        symlink(real.join("initdb"), folder.join("initdb")).unwrap();
        let script = format!(
            "#!/bin/sh\nrm -f \"$2/global/pg_control\"\nexec {}/postgres \"$@\"\n",
            real.display()
        );
        let wrapper = folder.join("postgres");
        std::fs::write(&wrapper, script).unwrap();
        open(&wrapper);
        before_path(command, &folder);
    };
    refused(
        damage,
        &[
            "the stack failed: start PostgreSQL: postgres-server: start: it was not ready yet and \
             exited with code 2",
            "--- last lines of ",
            "could not find the database system",
            "pg_control",
        ],
    );
}

#[test]
fn given_a_postgres_that_is_too_old_when_started_then_the_oldest_version_is_named() {
    let old = |home: &Path, command: &mut Command| {
        let folder = home.join("bin");
        std::fs::create_dir(&folder).unwrap();
        open(&folder);
        for program in ["initdb", "postgres"] {
            let file = folder.join(program);
            let version = "#!/bin/sh\necho \"${0##*/} (PostgreSQL) 13.23\"\n";
            std::fs::write(&file, version).unwrap();
            open(&file);
        }
        before_path(command, &folder);
    };
    refused(
        old,
        &[
            "the stack failed: start PostgreSQL: ",
            "/bin/postgres: it is version 13.23, and 14 is the oldest",
            "put the folder of a newer one first on PATH",
        ],
    );
}

/// As in an image that was started with a number for its user.
#[test]
fn given_a_user_without_a_name_when_started_then_it_is_said_what_to_do() {
    const NAMELESS: &str = "54321";
    let nameless = |program: &std::ffi::OsStr| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NAMELESS, "--regid", NAMELESS, "--clear-groups"]);
        command.arg("--").arg(program);
        command
    };
    let tried = nameless(HARNESS.as_ref()).arg("--version").output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        return not_done(
            "this user may not become another one, or that one may not read the program",
        );
    }
    let as_nameless = |home: &Path, command: &mut Command| {
        std::fs::set_permissions(home, PermissionsExt::from_mode(0o777)).unwrap();
        let mut whole = nameless(command.get_program());
        whole.args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                whole.env(name, value);
            }
        }
        *command = whole;
    };
    refused(
        as_nameless,
        &[
            "the stack failed: start PostgreSQL: user 54321 has no entry in /etc/passwd",
            "`docker run --user`",
            "--stack external",
        ],
    );
}

#[test]
fn given_a_missing_jar_when_kafka_cannot_start_then_the_end_of_its_log_is_shown() {
    let without = |home: &Path, command: &mut Command| {
        let copy = copy_of_programs(home);
        for jar in std::fs::read_dir(copy.join("kafka")).unwrap() {
            let jar = jar.unwrap().path();
            if jar.display().to_string().contains("/kafka-clients-") {
                std::fs::remove_file(jar).unwrap();
            }
        }
        command.arg("--programs").arg(copy);
    };
    refused(
        without,
        &[
            "the stack failed: start Kafka: kafka-server: start: it was not ready yet and exited \
             with code 1",
            "--- last lines of ",
            "NoClassDefFoundError",
        ],
    );
}

#[test]
fn given_no_java_when_kafka_is_to_start_then_it_is_said_how_to_get_it() {
    let without = |home: &Path, command: &mut Command| {
        command.env("PATH", home).env_remove("JAVA_HOME");
    };
    refused(
        without,
        &["start Kafka: no java in JAVA_HOME or on PATH: run stack/install.sh"],
    );
}

#[test]
fn given_a_toxiproxy_that_cannot_be_run_when_started_then_the_file_is_named() {
    let damaged = |home: &Path, command: &mut Command| {
        let copy = copy_of_programs(home);
        let program = copy.join("bin/toxiproxy-server");
        std::fs::remove_file(&program).unwrap();
        std::fs::write(&program, "not a program").unwrap();
        command.arg("--programs").arg(copy);
    };
    refused(
        damaged,
        &[
            "start Toxiproxy: toxiproxy: start: run ",
            "bin/toxiproxy-server: Permission denied",
        ],
    );
}

#[test]
fn given_a_port_that_is_always_taken_when_started_then_the_error_names_it() {
    let _turn = beside_another();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let reaper = Arc::new(Reaper::start_with(Path::new(HARNESS)).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let choose = || {
        let mut ports = ports::reserve()?;
        ports.numbers[KAFKA_DIRECT] = port;
        Ok(ports)
    };
    let (data, logs) = (folder.path().join("data"), folder.path().join("logs"));

    let programs = programs();
    let first = FirstServers {
        programs: &programs,
        hot_standby: false,
        jit: Some(Jit::C1),
    };
    let started = LocalStack::start_on((&data, &logs), first, &reaper, choose);

    let error = runtime.block_on(started).err().unwrap().to_string();
    assert!(error.contains("the stack failed: start Kafka: "), "{error}");
    assert!(error.contains(&port.to_string()), "{error}");
    assert!(!data.exists());
}

#[test]
fn given_a_port_that_is_taken_when_the_order_service_starts_then_it_is_named() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let listen = taken.local_addr().unwrap();
    let config = home.path().join("config.json");
    let postgres = r#"{"kind":"postgres","host":"127.0.0.1","port":1,"user":"u","password":"p","database":"d","schema":"s"}"#;
    let text = format!(
        r#"{{"listen":"{listen}","run":"0123456789abcdef","database":{postgres},"database_connections":1,"write_path":{{"kind":"outbox","notify":false}}}}"#
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(HARNESS);
    command.arg("order-service").arg("--config").arg(config);

    let ended = run(command);

    ended.with(
        4,
        &[
            "order-service: ",
            &listen.to_string(),
            "Address already in use",
        ],
    );
}

fn before_path(command: &mut Command, folder: &Path) {
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", folder.display()));
}

/// The folder of the newest PostgreSQL here.
fn postgres_programs() -> PathBuf {
    let shell =
        "ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -V | tail -n 1";
    let found = Command::new("sh").args(["-c", shell]).output().unwrap();
    let folder = String::from_utf8(found.stdout).unwrap();
    let folder = PathBuf::from(folder.trim());
    assert!(
        folder.join("postgres").is_file(),
        "`make test` installs PostgreSQL"
    );
    folder
}

/// `.stack` by links, to be damaged.
fn copy_of_programs(home: &Path) -> PathBuf {
    let copy = home.join("programs");
    for folder in ["kafka", "bin"] {
        let target = copy.join(folder);
        std::fs::create_dir_all(&target).unwrap();
        for file in std::fs::read_dir(programs().join(folder)).unwrap() {
            let file = file.unwrap();
            symlink(file.path(), target.join(file.file_name())).unwrap();
        }
    }
    copy
}
