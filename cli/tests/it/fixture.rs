//! A recorded real run: it must happen again exactly, from every cut, on every later version of this program.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use std::path::Path;
use std::process::Output;

const RUN: &[u8] = include_bytes!("../fixtures/first_run.db.zst");

/// A home with the recorded run in it.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let database = zstd::decode_all(RUN).unwrap();
    std::fs::write(home.path().join("sojourn.db"), database).unwrap();
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
fn the_recorded_run_happens_again() {
    let home = home();
    let (run, records) = recorded(home.path());
    let output = sojourn(home.path(), &["replay", &run, "--verify", "--json"]);
    let verdict = json(&output);
    assert_eq!(verdict["matched"], true, "{verdict}");
    assert_eq!(verdict["records"], records);
    assert!(records > 200, "the fixture is a real run, not {records} records");
}

#[tokio::test]
async fn so_does_every_part_of_it_that_a_crash_may_leave() {
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
fn what_was_learned_is_told() {
    let home = home();
    let (run, _) = recorded(home.path());
    let story = sojourn(home.path(), &["replay", &run]);
    let story = String::from_utf8_lossy(&story.stdout).into_owned();
    assert!(story.contains("collect_"), "{story}");
}

#[cfg(feature = "llama")]
mod with_model {
    use super::*;

    /// Killed in the middle of a skill, the run goes on from there with the real model; what it writes then verifies too.
    #[tokio::test]
    async fn a_run_killed_inside_a_skill_goes_on() {
        let home = home();
        let (run, records) = recorded(home.path());
        let mut connection = database(home.path()).await;
        let step: i64 =
            sqlx::query_scalar("SELECT min(seq) FROM records WHERE kind = 'stepped' AND seq > ?1 / 2")
                .bind(i64::try_from(records).unwrap())
                .fetch_one(&mut connection)
                .await
                .unwrap();
        connection.close().await.unwrap();
        cut(home.path(), step.try_into().unwrap()).await;

        let agent = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/crafter/agent.toml");
        let output = sojourn(home.path(), &["run", agent, "--resume", &run]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        if message.contains("sojourn models pull") {
            eprintln!(
                "skipped: the default model is not here; `sojourn models pull qwen2.5-coder-1.5b-instruct` gets it"
            );
            return;
        }
        assert!(output.status.success(), "{message}");
        let (_, now) = recorded(home.path());
        assert!(now > u64::try_from(step).unwrap(), "the run stayed at record {now}");
        let verdict = json(&sojourn(home.path(), &["replay", &run, "--verify", "--json"]));
        assert_eq!(
            (&verdict["matched"], &verdict["records"]),
            (&Value::Bool(true), &now.into()),
            "{verdict}"
        );
        // The library on disk was not there: the run's records brought it back.
        let skills = json(&sojourn(home.path(), &["skills", "list", "--json"]));
        assert!(!skills.as_array().unwrap().is_empty(), "{skills}");
    }
}
