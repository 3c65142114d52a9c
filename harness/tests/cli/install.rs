//! `stack/install.sh` on machines that lack something: what is there stays until its successor is
//! whole, and what is missing is found and named.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Plays Maven: puts a jar where it is told, and ends as it is told.
const MAVEN: &str = r#"#!/bin/sh
for argument; do
    case $argument in -DoutputDirectory=*) folder=${argument#*=} ;; esac
done
mkdir -p "$folder" && echo jar >"$folder/fetched.jar" && exit "${MAVEN_ENDS_WITH:-0}"
"#;

/// A checkout with the script alone, and a stack that it made, in small.
struct Checkout {
    folder: tempfile::TempDir,
}

impl Checkout {
    fn new() -> Self {
        let checkout = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for file in [
            "stack/install.sh",
            "stack/pom.xml",
            "stack/connect.xml",
            "Cargo.toml",
        ] {
            checkout.put(file, &std::fs::read_to_string(source.join(file)).unwrap());
        }
        checkout.executable("stack/install.sh");
        for (folder, pom) in [("kafka", "pom.xml"), ("connect", "connect.xml")] {
            let pom = checkout.read(&format!("stack/{pom}"));
            checkout.put(&format!(".stack/{folder}/pom.xml"), &pom);
            checkout.put(&format!(".stack/{folder}/old.jar"), "jar");
            checkout.put(&format!(".stack/{folder}/.files"), "./old.jar\n./pom.xml\n");
        }
        checkout.put(".stack/bin/toxiproxy-server", "program");
        checkout.executable(".stack/bin/toxiproxy-server");
        checkout.put(
            ".stack/bin/version",
            &format!("toxiproxy {}\n", checkout.toxiproxy()),
        );
        checkout.put(".stack/kafka.jsa", "archive");
        checkout.put(".stack/installed", "then\n");
        checkout
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn put(&self, file: &str, text: &str) {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    fn executable(&self, file: &str) {
        std::fs::set_permissions(self.path(file), PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// The pinned version.
    fn toxiproxy(&self) -> String {
        let script = self.read("stack/install.sh");
        let (_, rest) = script.split_once("TOXIPROXY_VERSION=").unwrap();
        rest.lines().next().unwrap().to_owned()
    }

    /// Another version of what Maven fetches for Kafka.
    fn change_pom(&self) {
        let pom = self.read("stack/pom.xml");
        self.put("stack/pom.xml", &format!("{pom}<!-- another version -->\n"));
    }

    /// The script, as an ordinary user. On PATH is all that this machine has, but for Maven and Go;
    /// with `maven`, its stand-in, and Go's.
    fn install(&self, maven: bool) -> Command {
        let bin = self.path("path");
        std::fs::create_dir_all(&bin).unwrap();
        for folder in std::env::split_paths(&std::env::var_os("PATH").unwrap()) {
            for program in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = program.file_name();
                if name != "mvn" && name != "go" && name != "id" {
                    // The first one of a name counts, as on PATH.
                    let _ = symlink(program.path(), bin.join(name));
                }
            }
        }
        self.put("path/id", "#!/bin/sh\necho 1000\n");
        self.executable("path/id");
        if maven {
            self.put("path/mvn", MAVEN);
            self.executable("path/mvn");
        }
        let mut command = Command::new(self.path("stack/install.sh"));
        command.env("PATH", bin);
        command
    }

    fn jars(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(".stack/kafka")).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut jars: Vec<String> = names.filter(|name| name.ends_with(".jar")).collect();
        jars.sort();
        jars
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn given_everything_in_place_when_installed_again_then_nothing_is_touched() {
    let checkout = Checkout::new();

    let output = checkout.install(false).output().unwrap();

    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("everything is in place"),
        "{}",
        said(&output)
    );
    assert_eq!(checkout.jars(), ["old.jar"]);
}

#[test]
fn given_no_more_than_packages_are_asked_for_when_they_are_there_then_nothing_else_is_looked_at() {
    let checkout = Checkout::new();

    let mut install = checkout.install(true);
    let output = install.arg("packages").output().unwrap();

    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output), "");
}

#[test]
fn given_a_word_that_it_does_not_know_when_installed_then_it_says_what_it_knows() {
    let checkout = Checkout::new();

    let output = checkout.install(true).arg("package").output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("`package` is nothing that it can do; possible: packages"),
        "{}",
        said(&output)
    );
}

#[test]
fn given_a_new_version_and_no_maven_when_installed_then_it_is_asked_for_and_the_old_jars_stay() {
    let checkout = Checkout::new();
    checkout.change_pom();

    let output = checkout.install(false).output().unwrap();

    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("missing: maven."),
        "{}",
        said(&output)
    );
    assert_eq!(checkout.jars(), ["old.jar"]);
}

#[test]
fn given_another_toxiproxy_and_no_go_when_installed_then_it_is_asked_for() {
    let checkout = Checkout::new();
    checkout.put(".stack/bin/version", "toxiproxy 2.11.0\n");

    let output = checkout.install(false).output().unwrap();

    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("missing: golang-go."),
        "{}",
        said(&output)
    );
    assert!(checkout.path(".stack/bin/toxiproxy-server").exists());
}

#[test]
fn given_a_new_version_when_maven_fails_half_way_then_the_old_jars_stay() {
    let checkout = Checkout::new();
    checkout.change_pom();

    let output = checkout
        .install(true)
        .env("MAVEN_ENDS_WITH", "1")
        .output()
        .unwrap();

    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("Maven could not fetch"),
        "{}",
        said(&output)
    );
    assert_eq!(checkout.jars(), ["old.jar"]);
    assert!(checkout.path(".stack/kafka.jsa").exists());
}

#[test]
fn given_a_file_that_is_gone_when_installed_then_the_folder_is_made_again() {
    for gone in [
        ".stack/kafka/old.jar",
        ".stack/connect/old.jar",
        ".stack/kafka/.files",
    ] {
        let checkout = Checkout::new();
        std::fs::remove_file(checkout.path(gone)).unwrap();

        let output = checkout.install(false).output().unwrap();

        assert!(
            said(&output).contains("missing: maven."),
            "{gone}: {}",
            said(&output)
        );
    }
}

#[test]
fn given_a_new_version_when_installed_then_the_new_jars_take_the_old_ones_place_and_are_known() {
    let checkout = Checkout::new();
    checkout.change_pom();

    let output = checkout.install(true).output().unwrap();

    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(checkout.jars(), ["fetched.jar"]);
    let left: Vec<_> = std::fs::read_dir(checkout.path(".stack"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".new") || name.ends_with(".old"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let again = checkout.install(true).output().unwrap();
    assert!(
        said(&again).contains("everything is in place"),
        "{}",
        said(&again)
    );
}
