//! Exchange folders: writing and reading round-trip, and hostile folders are rejected.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use crate::common::admit;
use sojourn_skills::exchange::{ExchangeError, folder_name, folders, read, write};
use sojourn_skills::{Compiled, Entry, LibraryEvent, LibraryState};
use sojourn_tools::{Amount, Condition, Parameter, ParameterKind};
use std::fs;
use std::path::{Path, PathBuf};

/// An admitted skill that uses every field of a manifest.
fn entry() -> Entry {
    let mut state = LibraryState::default();
    let mut draft = crate::common::draft("collect_wood", "go_to(n);");
    draft.description = "collect n \"wood\" --- in one place: # not a comment".into();
    draft.parameters = vec![Parameter {
        name: "n".into(),
        kind: ParameterKind::Integer { min: 1, max: 9 },
        default: Some(1.into()),
    }];
    draft.postcondition = Some(Condition::Increased {
        path: "/wood".parse().unwrap(),
        by: Amount::Param("n".into()),
        cap: Some(9.0),
    });
    let skill = state.prepare(draft, Compiled { engine: "e".into(), wasm: Vec::new() }, ["go_to"]);
    let (id, report) = (skill.manifest.id.clone(), crate::common::report(&state, &skill, 3));
    for event in [
        LibraryEvent::Drafted { skill: Box::new(skill) },
        LibraryEvent::TrialStarted { id: id.clone() },
        LibraryEvent::Admitted { id, report, rule: sojourn_skills::AdmissionRule::default() },
    ] {
        state.apply(&event).unwrap();
    }
    state.active("collect_wood").unwrap().clone()
}

fn written(dir: &Path) -> PathBuf {
    write(dir, "collect-wood", &entry(), Some("MIT")).unwrap()
}

#[test]
fn a_written_folder_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let folder = written(dir.path());
    assert_eq!(folders(dir.path()).unwrap(), std::slice::from_ref(&folder));
    assert_eq!(folders(&folder).unwrap(), std::slice::from_ref(&folder));
    let (parcel, entry) = (read(&folder, None).unwrap(), entry());
    let manifest = &entry.skill.manifest;
    assert_eq!(
        (&parcel.manifest.name, &parcel.manifest.description),
        (&manifest.name, &manifest.description)
    );
    assert_eq!(parcel.manifest.parameters, manifest.parameters);
    assert_eq!(parcel.manifest.postcondition, manifest.postcondition);
    assert_eq!((parcel.source, parcel.cases), (entry.skill.source.clone(), entry.cases()));
    assert!(matches!(
        write(dir.path(), "collect-wood", &entry, None),
        Err(ExchangeError::Exists { path }) if path == folder
    ));
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["collect-wood"], "no unfinished folder is left");
}

#[test]
fn folder_names_are_lower_case_with_hyphens() {
    for (name, folder) in [
        ("collect_wood", "collect-wood"),
        ("__Eat__Cow_", "eat-cow"),
        ("_", "skill"),
        ("x1", "x1"),
        (&"long_".repeat(40), "long-long-long-long-long-long-long-long-long-long-long-long-long"),
    ] {
        assert_eq!(folder_name(name), folder);
        assert!(folder_name(name).len() <= 64);
    }
}

#[test]
fn a_folder_without_a_manifest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("go-home");
    fs::create_dir_all(folder.join("scripts")).unwrap();
    fs::write(folder.join("SKILL.md"), "---\nname: go-home\ndescription: >\n  Goes\n  home.\n---\n# x\n")
        .unwrap();
    fs::write(folder.join("scripts/skill.js"), "function go_home() {}").unwrap();
    assert!(read(&folder, None).unwrap_err().to_string().contains("it does not name its environment"));
    let parcel = read(&folder, Some("crafter")).unwrap();
    assert_eq!((parcel.manifest.name.as_str(), parcel.manifest.environment.as_str()), ("go_home", "crafter"));
}

/// Damages a valid folder. Returns a part of the expected error.
fn spoil(folder: &Path, how: &str) -> &'static str {
    let edit = |file: &str, from: &str, to: &str| {
        let path = folder.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{how}: {text}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    };
    let put = |file: &str, content: &[u8]| fs::write(folder.join(file), content).unwrap();
    match how {
        "no front matter" => {
            put("SKILL.md", b"# hello");
            "does not start with front matter"
        }
        "open front matter" => {
            put("SKILL.md", b"---\nname: collect-wood\n");
            "is not closed"
        }
        "bad yaml" => {
            put("SKILL.md", b"---\nname: [collect-wood\n---\n");
            "front matter"
        }
        "yaml that grows" => {
            let mut bomb = "---\nname: collect-wood\ndescription: x\nmetadata: &a0 {k: v}\n".to_owned();
            for level in 1..30 {
                let one = format!("*a{}", level - 1);
                bomb.extend([format!("x{level}: &a{level} [{one}, {one}, {one}, {one}]\n")]);
            }
            put("SKILL.md", (bomb + "---\n").as_bytes());
            "front matter"
        }
        "yaml that nests" => {
            put("SKILL.md", format!("---\nname: {}x\n---\n", "[".repeat(50_000)).as_bytes());
            "front matter"
        }
        "another folder's name" => {
            edit("SKILL.md", "name: collect-wood", "name: collect-stone");
            "is not that of its folder"
        }
        "a path as a name" => {
            edit("manifest.json", "\"collect_wood\"", "\"../../escape\"");
            "cannot be the name of a skill"
        }
        "a path as a folder's name" => {
            edit("SKILL.md", "name: collect-wood", "name: ../collect-wood");
            "is not 1 to 64 of"
        }
        "a keyword as a name" => {
            edit("manifest.json", "\"collect_wood\"", "\"while\"");
            "cannot be the name of a skill"
        }
        "an unknown field" => {
            edit("manifest.json", "\"format\"", "\"admitted\": true, \"format\"");
            "unknown field `admitted`"
        }
        "a newer format" => {
            edit("manifest.json", "\"format\": 1", "\"format\": 2");
            "its format is 2"
        }
        "no json" => {
            put("manifest.json", b"{");
            "EOF"
        }
        "deep json" => {
            put("schema.json", "[".repeat(100_000).as_bytes());
            "recursion limit"
        }
        "a schema that lies" => {
            edit("schema.json", "\"maximum\": 9", "\"maximum\": 99");
            "it does not match the parameters"
        }
        "a default that is not allowed" => {
            edit("manifest.json", "\"default\": 1", "\"default\": 99");
            "has a default that it does not allow"
        }
        "an empty range" => {
            edit("manifest.json", "\"min\": 1", "\"min\": 10");
            "allows no number"
        }
        "no pointer" => {
            edit("manifest.json", "\"/wood\"", "\"wood\"");
            "is not a JSON pointer"
        }
        "a huge file" => {
            put("scripts/skill.js", &vec![b' '; (256 << 10) + 1]);
            "is larger than 262144 bytes"
        }
        "no text" => {
            put("scripts/skill.js", &[0xff, 0xfe]);
            "is not UTF-8"
        }
        "no script" => {
            fs::remove_file(folder.join("scripts/skill.js")).unwrap();
            "is missing"
        }
        "a line break in the description" => {
            edit("manifest.json", "collect n", "collect\\u001b[31m n");
            "control characters"
        }
        other => panic!("{other}"),
    }
}

#[test]
fn invalid_folders_are_rejected_with_a_reason() {
    for how in [
        "no front matter",
        "open front matter",
        "bad yaml",
        "yaml that grows",
        "yaml that nests",
        "another folder's name",
        "a path as a name",
        "a path as a folder's name",
        "a keyword as a name",
        "an unknown field",
        "a newer format",
        "no json",
        "deep json",
        "a schema that lies",
        "a default that is not allowed",
        "an empty range",
        "no pointer",
        "a huge file",
        "no text",
        "no script",
        "a line break in the description",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let folder = written(dir.path());
        let expected = spoil(&folder, how);
        let error = read(&folder, None).expect_err(how).to_string();
        assert!(error.contains(expected), "{how}: {error}");
        assert!(error.contains("collect-wood") && error.len() < 600, "{how}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    use std::os::unix::fs::symlink;
    for file in ["SKILL.md", "manifest.json", "schema.json", "cases.json", "scripts/skill.js", "scripts"] {
        let dir = tempfile::tempdir().unwrap();
        let folder = written(&dir.path().join("in").tap());
        let outside = dir.path().join("outside");
        fs::rename(folder.join(file), &outside).unwrap();
        symlink(&outside, folder.join(file)).unwrap();
        let error = read(&folder, None).unwrap_err();
        assert!(matches!(error, ExchangeError::NotPlain { what: "a link", .. }), "{file}: {error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = written(&dir.path().join("in").tap());
    symlink(&folder, dir.path().join("link")).unwrap();
    assert!(matches!(folders(&dir.path().join("link")), Err(ExchangeError::NotPlain { .. })));
    // Reading a pipe would block forever.
    let listener = std::os::unix::net::UnixListener::bind(dir.path().join("in/collect-wood/x")).unwrap();
    fs::remove_file(folder.join("cases.json")).unwrap();
    fs::rename(folder.join("x"), folder.join("cases.json")).unwrap();
    assert!(matches!(read(&folder, None), Err(ExchangeError::NotPlain { what: "not a file", .. })));
    drop(listener);
}

/// Creates a directory and returns its path.
trait Tap {
    fn tap(self) -> Self;
}

impl Tap for PathBuf {
    fn tap(self) -> Self {
        fs::create_dir_all(&self).unwrap();
        self
    }
}

#[test]
fn a_folder_without_skills_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(folders(dir.path()), Err(ExchangeError::NoSkill { .. })));
    assert!(matches!(folders(&dir.path().join("missing")), Err(ExchangeError::NoSkill { .. })));
}

#[test]
fn many_skills_are_read_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = LibraryState::default();
    for name in crate::common::NAMES {
        admit(&mut state, name, "go_to(1);");
        write(dir.path(), &folder_name(name), state.active(name).unwrap(), None).unwrap();
    }
    let names: Vec<String> =
        folders(dir.path()).unwrap().iter().map(|folder| read(folder, None).unwrap().manifest.name).collect();
    assert_eq!(names, ["collect_wood", "make_sword", "place_table"]);
}
