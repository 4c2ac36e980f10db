//! The skill library through the program: taken over from folders, tried, tested, changed and handed on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::support::place;
use serde_json::{Value, json};
use sojourn_testkit::Place;
use std::path::{Path, PathBuf};
use std::process::Command;

const COLLECT_WOOD: &str = r#"function collect_wood(n = 1) {
  const target = observe().inventory.wood + n;
  for (let i = 0; i < 40 && observe().inventory.wood < target; i++) {
    if (go_to("tree")) interact();
    else explore(10);
  }
}
"#;

const PLACE_TABLE: &str = r#"function place_table() {
  const wood = observe().inventory.wood;
  if (wood < 2) collect_wood(2 - wood);
  place("table");
}
"#;

/// A skill's folder as another library exports it, which promises what `change` makes of the usual.
fn folder(place: &Place, name: &str, source: &str, change: impl Fn(&mut Value)) -> PathBuf {
    let title = name.replace('_', "-");
    let folder = place.path().join("in").join(&title);
    std::fs::create_dir_all(folder.join("scripts")).unwrap();
    let head = format!("---\nname: {title}\ndescription: for the test\n---\n");
    std::fs::write(folder.join("SKILL.md"), head).unwrap();
    std::fs::write(folder.join("scripts/skill.js"), source).unwrap();
    let mut promise = json!({
        "format": 1,
        "name": name,
        "description": name.replace('_', " "),
        "kind": "skill",
        "environment": "crafter",
        "postcondition": {"increased": {"path": "/inventory/wood", "by": {"param": "n"}, "cap": 9.0}},
        "parameters": [{"name": "n", "kind": {"integer": {"min": 1, "max": 9}}, "default": 1}],
    });
    change(&mut promise);
    std::fs::write(folder.join("manifest.json"), promise.to_string()).unwrap();
    folder
}

/// A home in which `collect_wood`, and `place_table` which calls it, have earned their places.
pub fn learned() -> Place {
    let place = place();
    folder(&place, "collect_wood", COLLECT_WOOD, |_| ());
    folder(&place, "place_table", PLACE_TABLE, |promise| {
        promise["parameters"] = json!([]);
        promise["postcondition"] =
            json!({"increased": {"path": "/achievements/place_table", "by": {"literal": 1.0}}});
    });
    let drafts = place.json(&["skills", "import", "in"]);
    assert_eq!(drafts["drafts"], json!(["collect_wood", "place_table"]));
    place.text(&["skills", "test", "--all", "--admit"]);
    std::fs::remove_dir_all(place.path().join("in")).unwrap();
    place
}

/// Makes what comes in bad.
type Spoil = fn(&Place);

/// Times and the addresses that depend on the engine are left out of snapshots.
fn plain(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let line = words
            .iter()
            .map(|word| {
                let date = word.len() == 10 && word.matches('-').count() == 2;
                let time = word.len() == 5 && word.as_bytes().get(2) == Some(&b':');
                let id = word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
                if date {
                    "[DATE]".to_owned()
                } else if time {
                    "[TIME]".to_owned()
                } else if id {
                    "[ID]".to_owned()
                } else {
                    (*word).to_owned()
                }
            })
            .collect::<Vec<_>>()
            .join(" ");
        lines.push(line);
    }
    lines.join("\n")
}

#[test]
fn drafts_earn_their_admission_and_can_be_looked_at() {
    let place = learned();
    insta::assert_snapshot!("list", place.text(&["skills", "list"]));
    insta::assert_snapshot!("show", plain(&place.text(&["skills", "show", "collect_wood"])));
    insta::assert_snapshot!("history", plain(&place.text(&["skills", "history", "collect_wood"])));
    insta::assert_snapshot!("test", place.text(&["skills", "test", "--all"]));
    insta::assert_snapshot!("graph", place.text(&["skills", "graph"]));
    insta::assert_snapshot!("graph_svg", place.text(&["skills", "graph", "--format", "svg"]));

    let graph = place.json(&["skills", "graph"]);
    assert_eq!(graph["edges"], json!([{"caller": "place_table", "callee": "collect_wood"}]));
    let tested = place.json(&["skills", "test", "place_table"]);
    assert_eq!((&tested[0]["passed"], &tested[0]["failed"]), (&json!(5), &json!(0)));
    let history = place.json(&["skills", "history", "collect_wood"]);
    assert_eq!(history[0]["source"], "user/1");
    assert!(history[0]["event"]["skill"].get("wasm").is_none());
}

#[test]
fn callers_of_a_changed_skill_become_stale() {
    let place = learned();
    assert_eq!(
        place.text(&["skills", "retire", "collect_wood", "--reason", "test"]),
        "retired collect_wood version 1\nto be tested again: place_table\n"
    );
    let listed = place.json(&["skills", "list"]);
    assert_eq!(
        (&listed[0]["manifest"]["name"], &listed[0]["stale"]),
        (&json!("place_table"), &json!("collect_wood"))
    );
    let failed = place.run(&["skills", "test", "--all"]);
    assert_eq!(failed.code, 1, "{}", failed.stdout);
    assert!(failed.stdout.contains("FAILED") && failed.stdout.contains("collect_wood is not defined"));
    let refused = place.run(&["skills", "test", "--all", "--renew"]);
    assert_eq!(refused.code, 1, "what fails is not renewed");

    let early = place.run(&["skills", "test", "collect_wood", "--admit"]);
    assert_eq!(early.code, 2);
    assert!(
        early.stderr.contains("is retired") && early.stderr.contains("sojourn skills unretire collect_wood")
    );
    place.text(&["skills", "unretire", "collect_wood"]);
    place.text(&["skills", "test", "collect_wood", "--admit", "--seed", "7"]);
    let listed = place.json(&["skills", "list"]);
    assert_eq!(listed[1]["stale"], Value::Null, "the same version is in use again");
    let cases = place.json(&["skills", "show", "collect_wood"])["cases"].as_array().unwrap().len();
    assert_eq!(cases, 10, "those of both trials");
}

#[test]
fn versions_are_compared_and_gone_back_to() {
    let place = learned();
    for (args, said) in [
        (&["skills", "rollback", "collect_wood"][..], "has no earlier admitted version"),
        (&["skills", "rollback", "collect_wood", "--to", "2"], "has no version 2"),
        (&["skills", "diff", "collect_wood"], "there is no version before version 1"),
        (&["skills", "show", "collect_wod"], "did you mean `collect_wood`?"),
        (&["skills", "retire", "nothing"], "no skill named `nothing`"),
        (&["skills", "test", "nothing"], "no skill named `nothing`"),
        (&["reflexes", "show", "collect_wood"], "is a skill, not a reflex"),
        (&["reflexes", "disable", "fight"], "no reflex named `fight`"),
    ] {
        let answer = place.run(args);
        assert!(answer.code != 0 && answer.stderr.contains(said), "{args:?}: {}", answer.stderr);
        assert_eq!(answer.stdout, "", "{args:?}");
    }
    assert_eq!(place.json(&["reflexes", "list"]), json!([]));
}

#[test]
fn a_duplicate_skill_becomes_an_alias() {
    let place = learned();
    folder(&place, "get_wood", &COLLECT_WOOD.replace("collect_wood", "get_wood"), |_| ());
    // The same done otherwise: seen only by running it in the other's cases.
    let otherwise = COLLECT_WOOD.replace("collect_wood", "fell_trees").replace(
        "if (go_to(\"tree\")) interact();\n    else explore(10);",
        "const there = go_to(\"tree\");\n    if (there) { interact(); } else { explore(10); }",
    );
    folder(&place, "fell_trees", &otherwise, |_| ());
    place.text(&["skills", "import", "in"]);
    let tried = place.json(&["skills", "test", "--all", "--admit"]);
    let merged: Vec<_> = tried
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["merged_into"].as_str()))
        .collect();
    assert_eq!(merged, [("fell_trees", Some("collect_wood")), ("get_wood", Some("collect_wood"))]);
    assert_eq!(place.json(&["skills", "list"]).as_array().unwrap().len(), 2);
    assert!(place.text(&["skills", "list"]).contains("get_wood is an alias of collect_wood"));
    let run = place.json(&["skills", "run", "get_wood", "--args", "{\"n\": 1}", "--seed", "5"]);
    assert_eq!(run["result"]["verified"], true);
    let refused = place.run(&["skills", "merge", "place_table", "collect_wood"]);
    assert!(
        refused.code == 2 && refused.stderr.contains("they take different parameters"),
        "{}",
        refused.stderr
    );
}

#[test]
fn exported_skills_can_be_imported_elsewhere() {
    let (place, elsewhere) = (learned(), place());
    let out = elsewhere.path().join("out");
    let written = place.json(&["skills", "export", "--all", "--license", "MIT", out.to_str().unwrap()]);
    assert_eq!(written.as_array().unwrap().len(), 2);
    let again = place.run(&["skills", "export", "collect_wood", out.to_str().unwrap()]);
    assert!(again.code == 2 && again.stderr.contains("already exists"), "{}", again.stderr);
    insta::assert_snapshot!(
        "skill_md",
        std::fs::read_to_string(out.join("collect-wood/SKILL.md"))
            .unwrap()
            .lines()
            .filter(|line| !line.contains("sojourn-id"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    assert_eq!(
        elsewhere.json(&["skills", "import", "out"])["drafts"],
        json!(["collect_wood", "place_table"])
    );
    assert_eq!(elsewhere.json(&["skills", "list"]), json!([]), "what is imported is not in use");
    assert_eq!(elsewhere.json(&["skills", "list", "--all"])[0]["status"], "draft");
    let tried = elsewhere.json(&["skills", "test", "--all", "--admit"]);
    assert_eq!((&tried[0]["admitted"], &tried[1]["admitted"]), (&json!(true), &json!(true)), "{tried}");
}

mod with_network {
    use super::*;

    #[test]
    fn the_reference_validator_accepts_exported_skills() {
        let place = learned();
        let out = place.path().join("out");
        place.text(&["skills", "export", "--all", "--license", "MIT", out.to_str().unwrap()]);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/validate-skills.sh");
        let folders = ["collect-wood", "place-table"].map(|name| out.join(name));
        let validated = Command::new(script).args(&folders).output().unwrap();
        let said = String::from_utf8_lossy(&validated.stderr).into_owned();
        match validated.status.code() {
            Some(3) => sojourn_testkit::skipped(said),
            code => assert_eq!(code, Some(0), "{said}"),
        }
    }
}

#[test]
fn an_import_leaves_out_the_names_that_exist_and_says_so() {
    let place = learned();
    folder(&place, "collect_wood", COLLECT_WOOD, |_| ());
    let alone = place.run(&["skills", "import", "in"]);
    assert!(alone.code == 2 && alone.stderr.contains("`collect_wood` already exists"), "{}", alone.stderr);

    folder(&place, "get_wood", &COLLECT_WOOD.replace("collect_wood", "get_wood"), |_| ());
    let both = place.run(&["skills", "import", "in"]);
    assert_eq!(both.code, 0, "{}", both.stderr);
    assert!(both.stdout.starts_with("get_wood is a draft"), "{}", both.stdout);
    assert!(
        both.stderr.contains("not imported: a skill named `collect_wood` already exists"),
        "{}",
        both.stderr
    );
}

#[test]
fn an_import_with_any_fault_is_refused_whole() {
    let place = learned();
    let before = place.text(&["skills", "list", "--all", "--json"]);
    let good =
        |place: &Place| folder(place, "get_wood", &COLLECT_WOOD.replace("collect_wood", "get_wood"), |_| ());
    let spoils: [(&str, Spoil); 5] = [
        ("is the name of a tool", |place| {
            folder(place, "go_to", "function go_to(n) {}", |_| ());
        }),
        ("does not compile", |place| {
            folder(place, "lose_wood", "function lose_wood( {", |_| ());
        }),
        ("no environment named `crafty`; did you mean `crafter`?", |place| {
            folder(place, "lose_wood", "function lose_wood() {}", |promise| {
                promise["environment"] = "crafty".into();
            });
        }),
        ("cannot be loaded", |place| {
            let folder = self::folder(place, "lose_wood", "", |promise| promise["code"] = "wasm".into());
            std::fs::write(folder.join("scripts/skill.wasm"), "junk").unwrap();
        }),
        ("unknown variant", |place| {
            folder(place, "lose_wood", "function lose_wood() {}", |promise| promise["kind"] = "god".into());
        }),
    ];
    for (said, spoil) in spoils {
        good(&place);
        spoil(&place);
        let refused = place.run(&["skills", "import", "in"]);
        assert!(refused.code != 0 && refused.stderr.contains(said), "{said}: {}", refused.stderr);
        assert_eq!(refused.stdout, "");
        assert_eq!(place.text(&["skills", "list", "--all", "--json"]), before, "{said}");
        std::fs::remove_dir_all(place.path().join("in")).unwrap();
    }
    let nothing = crate::support::place();
    folder(&nothing, "lose_wood", "function lose_wood( {", |_| ());
    assert_ne!(nothing.run(&["skills", "import", "in"]).code, 0);
    assert!(!nothing.path().join("home").exists(), "an import that fails makes no library");
}

#[test]
fn a_skill_without_a_real_post_condition_is_not_admitted() {
    let place = place();
    folder(&place, "rest", "function rest(n) { noop(1); }", |promise| {
        promise.as_object_mut().unwrap().remove("postcondition");
    });
    folder(&place, "live", "function live(n) {}", |promise| {
        promise["postcondition"] = json!({"at_least": {"path": "/health", "value": {"literal": 1.0}}});
    });
    folder(&place, "collect_wood", "function collect_wood(n) { noop(1); }", |promise| {
        promise["postcondition"] = json!({"increased": {"path": "/step", "by": {"literal": 0.0}}});
    });
    place.text(&["skills", "import", "in"]);
    let refused = |name: &str| {
        let answer = place.run(&["skills", "test", name, "--admit"]);
        assert_eq!(answer.code, 1, "{name}: {}", answer.stdout);
        answer.stdout + &answer.stderr
    };
    assert!(refused("rest").contains("nothing can be verified"));
    assert!(refused("live").contains("tried in 0 worlds"), "what holds before the call is no promise");
    assert!(
        refused("collect_wood").contains("passed in 0 worlds"),
        "the task's goal counts whatever it promises"
    );
    assert_eq!(place.json(&["skills", "list"]), json!([]));
}

#[test]
fn a_prebuilt_module_enters_by_the_same_door() {
    let place = learned();
    let module = r#"(module
        (import "host" "call" (func $call (param i32 i32 i32 i32) (result i64)))
        (import "host" "finish" (func $finish (param i32 i32 i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "noop{\"n\":2}null")
        (func (export "sojourn_call")
          (drop (call $call (i32.const 0) (i32.const 4) (i32.const 4) (i32.const 7)))
          (call $finish (i32.const 0) (i32.const 11) (i32.const 4))))"#;
    let prebuilt = |promise: &mut Value| {
        promise["code"] = "wasm".into();
        promise["calls"] = json!(["noop", "rm"]);
        promise["postcondition"] = json!({"increased": {"path": "/step", "by": {"literal": 2.0}}});
    };
    let folder = self::folder(&place, "wait", "", prebuilt);
    std::fs::remove_file(folder.join("scripts/skill.js")).unwrap();
    std::fs::write(folder.join("scripts/skill.wasm"), wat::parse_str(module).unwrap()).unwrap();
    assert_eq!(place.json(&["skills", "import", "in"])["missing"], json!(["rm"]));
    place.text(&["skills", "test", "wait", "--admit"]);
    assert!(place.text(&["skills", "show", "wait"]).contains("a prebuilt WebAssembly module"));
    let tested = place.json(&["skills", "test", "wait"]);
    assert_eq!(tested[0]["passed"], 5, "{tested}");
    place.text(&["skills", "export", "wait", "out"]);
    assert_eq!(
        std::fs::read(place.path().join("out/wait/scripts/skill.wasm")).unwrap(),
        wat::parse_str(module).unwrap()
    );

    // Bytecode of a script would be run unverified.
    let folder = self::folder(&place, "lose_wood", "", prebuilt);
    std::fs::copy(
        place.path().join("home/library/skills/collect_wood/v1/skill.wasm"),
        folder.join("scripts/skill.wasm"),
    )
    .unwrap();
    let refused = place.run(&["skills", "import", folder.to_str().unwrap()]);
    assert!(refused.code == 2 && refused.stderr.contains("is a compiled script"), "{}", refused.stderr);
}

#[test]
fn a_reflex_is_admitted_by_its_effect_on_episodes() {
    let place = place();
    folder(&place, "idle", "function idle(state) { return null; }", |promise| {
        promise["kind"] = json!({"reflex": {"priority": 3, "cooldown": 0}});
        promise["parameters"] = json!([]);
        promise.as_object_mut().unwrap().remove("postcondition");
    });
    place.text(&["skills", "import", "in"]);
    assert_eq!(place.json(&["reflexes", "list"]), json!([]));
    assert_eq!(place.json(&["reflexes", "list", "--all"])[0]["status"], "draft");
    let refused = place.run(&["skills", "test", "idle", "--admit"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stdout.contains("neither rises by"), "{}", refused.stdout);
    assert!(place.text(&["reflexes", "disable", "idle"]).contains("switched off"));
    insta::assert_snapshot!("reflex_show", plain(&place.text(&["reflexes", "show", "idle"])));
    insta::assert_snapshot!("reflexes_list", place.text(&["reflexes", "list", "--all"]));
    assert_eq!(place.json(&["reflexes", "enable", "idle"])["name"], "idle");
}

#[test]
#[cfg(unix)]
fn an_import_starts_nothing_that_the_folder_names() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = place();
    folder(&place, "collect_wood", COLLECT_WOOD, |promise| {
        promise["environment"] = json!("gym:evil:Env");
    });
    // The program that opening the environment would start.
    let gym = place.path().join("gym");
    std::fs::create_dir_all(gym.join("bin")).unwrap();
    let python = gym.join("bin/python");
    std::fs::write(&python, format!("#!/bin/sh\necho \"$@\" >> {}/started\n", gym.display())).unwrap();
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(gym.join("gym_bridge.py"), "").unwrap();
    let started = || std::fs::read_to_string(gym.join("started")).ok();
    let run = |args: &[&str]| {
        let mut command = crate::support::command(place.path(), args);
        let output = command.env("SOJOURN_GYM", &gym).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let imported = run(&["skills", "import", "in"]);
    assert!(imported.contains("collect_wood is a draft"), "{imported}");
    assert!(imported.contains("`gym:evil:Env` was not opened"), "{imported}");
    for args in [&["skills", "test", "collect_wood", "--admit"][..], &["skills", "test", "--all", "--admit"]]
    {
        let refused = run(args);
        assert!(refused.contains("`--environment gym:evil:Env` says that you trust it"), "{refused}");
    }
    assert_eq!(started(), None);
    run(&["skills", "test", "collect_wood", "--admit", "--environment", "gym:evil:Env"]);
    let started = started().expect("a person named the environment");
    assert!(started.starts_with("-I "), "{started}");
}
