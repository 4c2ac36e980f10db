//! Secrets in the texts of worlds and tools do not reach the records of a run.

use super::tools_lab::{LIGHT, Lab, READ, policy};
use sojourn_core::Redactor;
use sojourn_memory::Record;

/// The text of all records, names of fields left out.
fn text(records: &[Record]) -> String {
    records.iter().map(|record| record.payload.to_string()).collect()
}

#[tokio::test]
async fn a_secret_that_is_the_key_of_a_record_leaves_the_run_readable() {
    for secret in ["message", "observation", "candidates", "outcome", "value"] {
        let mut lab = Lab::new(policy(Vec::new()), &[READ, LIGHT]);
        lab.redactor = Redactor::new([("S".to_owned(), secret.to_owned())]);
        // It drives the run and replays it.
        lab.run().await;
    }
}

#[tokio::test]
async fn no_encoding_of_a_secret_stays_in_the_log() {
    const SECRET: &str = "hunter2/geheim";
    const SAID: &str = "a hunter2/geheim b hunter2%2Fgeheim c aHVudGVyMi9nZWhlaW0= d hunter2\\/geheim\n\
        e hunter2/ge\n   heim f 68756e746572322f67656865696d g xaHVudGVyMi9nZWhlaW0";
    let mut lab = Lab::new(policy(Vec::new()), &[READ, LIGHT]);
    lab.redactor = Redactor::new([("S".to_owned(), SECRET.to_owned())]);
    *lab.bank.says.lock().unwrap() = SAID.into();
    let (records, prompts) = lab.run().await;
    let all = text(&records) + &prompts.concat();
    for part in ["hunter2", "geheim", "aHVudGVy", "68756e74"] {
        assert!(!all.contains(part), "{part} is in {all}");
    }
    assert!(all.contains("[secret S]"));
}
