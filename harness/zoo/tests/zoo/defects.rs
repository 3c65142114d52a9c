//! The zoo's own program: a name that it does not know must not pass for a system without a defect.

use super::bench::ZOO;
use std::process::Command;

#[test]
fn given_a_defect_that_is_none_when_anything_is_run_then_it_is_an_error_that_names_it() {
    for command in ["run", "relay", "order-service", "list"] {
        let output = Command::new(ZOO)
            .arg(command)
            .env(zoo::DEFECT, "skips-every-101st")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{command}: {said}");
        assert!(said.contains("`skips-every-101st`"), "{command}: {said}");
    }
    let honest = Command::new(ZOO)
        .arg("list")
        .env(zoo::DEFECT, zoo::HONEST)
        .output()
        .unwrap();
    assert!(honest.status.success());
}
