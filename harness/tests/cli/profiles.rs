//! What is built how, in Cargo.toml: what nothing else would notice.

use super::scripts::top;

/// A dependency gets the level of the profile, so that macros, which have a profile of their own, do not.
#[test]
fn given_a_package_of_this_workspace_then_the_dev_profile_leaves_it_as_it_is() {
    let read = |path: std::path::PathBuf| -> toml::Table {
        std::fs::read_to_string(path).unwrap().parse().unwrap()
    };
    let workspace = read(top().join("Cargo.toml"));
    let levels = &workspace["profile"]["dev"]["package"];
    let level = |package: &str| levels.get(package)?.get("opt-level")?.as_integer();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    for member in members {
        let manifest = top().join(member.as_str().unwrap()).join("Cargo.toml");
        let package = read(manifest)["package"]["name"].clone();
        assert_eq!(level(package.as_str().unwrap()), Some(0), "{package}");
    }
    // It would go before the profile of macros.
    assert_eq!(level("*"), None);
}
