//! The golden log of version 1: a recorded run that this and every later version of the program must read and replay.
//!
//! A scripted model answers in it, so that [`record`] makes it again wherever the loop, a prompt or an environment has
//! changed on purpose.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::record_samples;
use crate::support::{command, endpoint};
use serde_json::Value;
use sojourn_core::{LOG_VERSION, RecordKind};
use sojourn_memory::{NewRun, RunId, RunStatus, Store};
use sqlx::{Connection, SqliteConnection};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

/// The compressed database of the golden run's home.
pub fn log() -> Vec<u8> {
    zstd::decode_all(std::fs::read(file()).unwrap().as_slice()).unwrap()
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden_v1.db.zst")
}

/// The settings of the golden run: small, with memory, lessons and a skill that is learned.
const AGENT: &str = "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\n\
    [run]\nepisode_steps = 60\n[run.consolidation]\n[run.actor]\nrounds = 2\n\n";

/// An agent file whose model is the script at `address`.
fn agent(address: &str) -> String {
    format!("{AGENT}[controller]\nkind = \"openai\"\nbase_url = \"{address}\"\n")
}

/// Records the golden log: `cargo test -p sojourn --test it golden::record -- --ignored`.
#[tokio::test]
#[ignore = "writes the golden log"]
async fn record() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("agent.toml"), agent(&endpoint())).unwrap();
    let run = ["run", "agent.toml", "--seed", "1", "--steps", "160", "--json"];
    let output = command(place.path(), &run).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let packed = place.path().join("golden.db");
    let mut connection = database(&place.path().join("home")).await;
    sqlx::query("VACUUM INTO ?1").bind(packed.to_str().unwrap()).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let compressed = zstd::encode_all(std::fs::read(packed).unwrap().as_slice(), 19).unwrap();
    assert!(compressed.len() < 200_000, "the golden log has {} bytes", compressed.len());
    std::fs::write(file(), compressed).unwrap();
}

/// A home with the golden log in it.
pub fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("sojourn.db"), log()).unwrap();
    home
}

fn sojourn(home: &Path, args: &[&str]) -> Output {
    sojourn_testkit::command(env!("CARGO_BIN_EXE_sojourn"))
        .arg("--home")
        .arg(home)
        .args(args)
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// The run's name and how many records it has.
fn recorded(home: &Path) -> (String, u64) {
    let runs = json(&sojourn(home, &["runs", "--json"]));
    let run = &runs.as_array().unwrap()[0];
    (run["run"].as_str().unwrap().to_owned(), run["records"].as_u64().unwrap())
}

async fn database(home: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}", home.join("sojourn.db").display())).await.unwrap()
}

/// Makes the log as it is when the process dies right after record `seq` was written.
async fn cut(home: &Path, seq: u64) {
    let mut connection = database(home).await;
    let seq = i64::try_from(seq).unwrap();
    for statement in [
        "DELETE FROM records WHERE seq > ?1",
        "UPDATE runs SET last_seq = ?1, status = 'running', head = (SELECT hash FROM records WHERE seq = ?1)",
    ] {
        sqlx::query(statement).bind(seq).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[test]
fn the_golden_run_is_replayed() {
    let home = home();
    let (run, records) = recorded(home.path());
    let output = sojourn(home.path(), &["replay", &run, "--verify", "--json"]);
    let verdict = json(&output);
    assert_eq!(verdict["matched"], true, "{verdict}");
    assert_eq!(verdict["records"], records);
    assert!(records > 200, "the golden log has only {records} records");
}

#[test]
fn a_replay_that_takes_longer_than_it_may_ends_and_says_so() {
    let home = home();
    let (run, _) = recorded(home.path());
    let output = sojourn(home.path(), &["replay", &run, "--verify", "--time", "1ms"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("the replay was not over after"), "{message}");
}

#[tokio::test]
async fn every_prefix_of_the_golden_run_is_replayed() {
    let home = home();
    let (run, records) = recorded(home.path());
    // From the end towards the beginning, so that one home serves.
    for seq in (1..records).rev().step_by(usize::try_from(records / 12).unwrap()) {
        cut(home.path(), seq).await;
        let verdict = json(&sojourn(home.path(), &["replay", &run, "--verify", "--json"]));
        assert_eq!(
            (&verdict["matched"], &verdict["records"]),
            (&Value::Bool(true), &seq.into()),
            "{verdict}"
        );
    }
}

#[tokio::test]
async fn one_changed_byte_is_found() {
    let home = home();
    let (run, _) = recorded(home.path());
    let mut connection = database(home.path()).await;
    let changed = sqlx::query(
        "UPDATE records SET payload = replace(payload, 'move_', 'mover') WHERE seq = \
         (SELECT min(seq) FROM records WHERE typeof(payload) = 'text' AND payload LIKE '%move_%')",
    );
    assert_eq!(changed.execute(&mut connection).await.unwrap().rows_affected(), 1);
    connection.close().await.unwrap();
    let output = sojourn(home.path(), &["replay", &run, "--verify"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("is not as it was written"), "{message}");
}

#[test]
fn milestones_are_printed() {
    let home = home();
    let (run, _) = recorded(home.path());
    let story = sojourn(home.path(), &["replay", &run]);
    let story = String::from_utf8_lossy(&story.stdout).into_owned();
    assert!(story.contains("collect_"), "{story}");
}

/// Killed in the middle of a skill, the run continues; the records that it then writes verify too.
#[tokio::test]
async fn a_run_killed_inside_a_skill_continues() {
    let place = tempfile::tempdir().unwrap();
    let home = place.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("sojourn.db"), log()).unwrap();
    std::fs::write(place.path().join("agent.toml"), agent(&endpoint())).unwrap();
    let (run, records) = recorded(&home);
    let mut connection = database(&home).await;
    let step: i64 =
        sqlx::query_scalar("SELECT min(seq) FROM records WHERE kind = 'stepped' AND seq > ?1 / 2")
            .bind(i64::try_from(records).unwrap())
            .fetch_one(&mut connection)
            .await
            .unwrap();
    connection.close().await.unwrap();
    cut(&home, step.try_into().unwrap()).await;

    let output = command(place.path(), &["run", "agent.toml", "--resume", &run]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (_, now) = recorded(&home);
    assert!(now > u64::try_from(step).unwrap(), "the run stayed at record {now}");
    let verdict = json(&sojourn(&home, &["replay", &run, "--verify", "--json"]));
    assert_eq!((&verdict["matched"], &verdict["records"]), (&Value::Bool(true), &now.into()), "{verdict}");
    // The library on disk was missing: the run's records brought it back.
    let skills = json(&sojourn(&home, &["skills", "list", "--json"]));
    assert!(!skills.as_array().unwrap().is_empty(), "{skills}");
}

/// Every kind can be asked for, is decoded, and has a line.
#[tokio::test]
async fn every_kind_can_be_filtered_and_shown() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    let run = RunId::new(1, 1);
    let mut writer = store.create_run(NewRun::new(run.clone(), "crafter", "scripted")).await.unwrap();
    let mut written = BTreeSet::new();
    for record in record_samples::records() {
        let payload = record_samples::payload(&record);
        writer.append(record.kind().as_str(), 1, payload, Vec::new()).await.unwrap();
        written.insert(record.kind());
    }
    writer.close(RunStatus::Finished).await.unwrap();
    store.close().await;
    assert_eq!(written, RecordKind::ALL.iter().copied().collect());
    for kind in RecordKind::ALL {
        let shown = sojourn(home.path(), &["log", "latest", "--kind", kind.as_str()]);
        let lines = String::from_utf8_lossy(&shown.stdout).into_owned();
        let message = String::from_utf8_lossy(&shown.stderr).into_owned();
        assert!(shown.status.success(), "{kind}: {message}");
        assert_eq!(lines.lines().count(), 1, "{kind}: {lines}");
        assert!(lines.contains(&format!("  {kind} ")), "{lines}");
    }
    let unknown = sojourn(home.path(), &["log", "latest", "--kind", "thought"]);
    let message = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(!unknown.status.success() && message.contains("controller_answered"), "{message}");
}

#[tokio::test]
async fn a_store_or_a_log_of_a_newer_version_is_refused_and_left_alone() {
    let home = home();
    let (run, records) = recorded(home.path());
    let mut connection = database(home.path()).await;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut connection).await.unwrap();
    let refused = sojourn(home.path(), &["runs"]);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && message.contains("99"), "{message}");
    let back = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {version}"));
    sqlx::raw_sql(back).execute(&mut connection).await.unwrap();
    assert_eq!(recorded(home.path()), (run, records));

    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_log_of_another_version_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    let mut writer = store.create_run(NewRun::new(RunId::new(1, 1), "crafter", "scripted")).await.unwrap();
    let newer = serde_json::json!({"log_version": LOG_VERSION + 1, "another": "shape"});
    writer.append(RecordKind::Started.as_str(), 1, newer, Vec::new()).await.unwrap();
    writer.close(RunStatus::Finished).await.unwrap();
    store.close().await;
    let refused = sojourn(home.path(), &["replay", "latest", "--verify"]);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    let expected = format!("has log version {}; this program reads version {LOG_VERSION}", LOG_VERSION + 1);
    assert!(!refused.status.success() && message.contains(&expected), "{message}");
}
