//! Tools that programs under trial call.

use super::tools_lab::{Lab, grants, new_run};
use sojourn_core::{Outcome, RecordKind};
use sojourn_memory::{Record, RecordQuery};
use sojourn_skills::grammar::Language;
use sojourn_tools::PolicyFile;
use std::sync::atomic::Ordering;

/// A run whose controller writes a program that asks the bank twice; its records.
async fn learned(tool_calls: Option<u64>) -> (Lab, Vec<Record>) {
    let mut lab = Lab::new(PolicyFile::default(), &["  bank_read();\n  bank_read();\n  light();\n}"]);
    let config = &mut lab.started.config;
    (config.learning, config.library, config.deliberate) = (true, true, false);
    config.actor.language = Language::JavaScript;
    config.budgets.tool_calls = tool_calls;
    let (_home, store, records) = lab.first().await;
    let all = store.records(&new_run().id, &RecordQuery::all()).await.unwrap();
    let verified = lab.drive(&store, all, None, lab.nobody()).await;
    assert!(matches!(verified, Outcome::Finished(_) | Outcome::Replayed { .. }), "{verified:?}");
    (lab, records)
}

fn count(records: &[Record], kind: RecordKind) -> u64 {
    records.iter().filter(|record| kind.is(record)).count() as u64
}

#[tokio::test]
async fn a_call_in_a_trial_is_a_record_before_it_is_made() {
    let (lab, records) = Box::pin(learned(None)).await;
    let calls = count(&records, RecordKind::TrialCall);
    assert!(calls >= 4, "five worlds, of which three are needed: {calls}");
    let granted = grants(&records).iter().filter(|(_, granted, _)| *granted).count() as u64;
    assert_eq!(lab.bank.reads.load(Ordering::SeqCst), calls + granted, "a call has no record");
    let begun = records.iter().position(|record| RecordKind::TryCandidates.is(record)).unwrap();
    let over = records.iter().position(|record| RecordKind::CandidatesTried.is(record)).unwrap();
    let within = &records[begun + 1..over];
    assert!(within.iter().all(|record| record.payload["call"]["name"] == "bank_read"), "{within:?}");
    assert_eq!(within.len() as u64, calls);
}

#[tokio::test]
async fn calls_in_trials_are_within_the_budget_of_tool_calls() {
    let (lab, records) = Box::pin(learned(Some(3))).await;
    assert_eq!(count(&records, RecordKind::TrialCall), 3);
    assert_eq!(lab.bank.reads.load(Ordering::SeqCst), 3);
}
