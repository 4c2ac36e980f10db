//! Tools that are not the environment's: what is called, what is not, what the log says of it, and that nothing is silently
//! done again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::tools_lab::{
    Bank, LIGHT, Lab, PAY, READ, Scripted, TRAP, Willing, cut, grants, library, new_run, policy, rule,
};
use async_trait::async_trait;
use serde_json::{Map, Value, json};
use sojourn_controller::{Cancel, Controller, ControllerError, ModelInfo, Reply, Request};
use sojourn_core::{Budgets, ControlRecord, DriveError, JournalError, Outcome, RecordKind};
use sojourn_memory::{Record, RecordQuery, RunStatus, Store};
use sojourn_tools::{
    CallContext, PolicyFile, PolicyVerdict, Tool, ToolError, ToolOutcome, ToolSource, ToolSpec,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[tokio::test]
async fn an_answer_is_quoted_and_the_decision_stands_before_it_in_the_log() {
    let lab = Lab::new(PolicyFile::default(), &[READ, LIGHT]);
    let (records, prompts) = lab.run().await;
    assert!(prompts[0].contains(
        "Tools that you may call before you choose:\n- bank_pay(): bank_pay\n- bank_read(): bank_read"
    ));
    assert!(prompts[1].contains("bank_read():\n> Balance: 12.\n"), "{}", prompts[1]);
    let kinds: Vec<&str> = records.iter().map(|record| record.kind.as_str()).collect();
    let asked = kinds.iter().position(|kind| *kind == "call_tool").unwrap();
    assert_eq!(kinds[asked..asked + 3], ["call_tool", "tool_decision", "tool_answered"]);
    assert_eq!(
        grants(&records)[0],
        ("bank_read".into(), true, "the default for calls that only read".into())
    );
}

#[tokio::test]
async fn a_person_decides_and_without_a_person_the_answer_is_no() {
    let asks = policy(vec![rule("bank_*", PolicyVerdict::Ask, false)]);
    let mut lab = Lab::new(asks, &[PAY, LIGHT]);
    let (records, _) = lab.run().await;
    assert_eq!(grants(&records)[0], ("bank_pay".into(), false, "nobody was there to ask".into()));
    assert_eq!(lab.paid(), 0);
    lab.approver = Arc::new(Willing);
    let (records, _) = lab.run().await;
    assert_eq!(grants(&records)[0], ("bank_pay".into(), true, "the user".into()));
    assert_eq!(lab.paid(), 3, "once before each step");
}

#[tokio::test]
async fn a_planted_instruction_causes_no_irreversible_call() {
    for attempt in 0..20 {
        let mut lab = Lab::new(policy(vec![rule("bank_pay", PolicyVerdict::Allow, false)]), &[READ, LIGHT]);
        // The worst that can be: it does what it reads.
        lab.credulous = true;
        lab.started.config.seed = attempt;
        *lab.bank.says.lock().unwrap() = TRAP.into();
        let (records, _) = lab.run().await;
        assert!(
            grants(&records).iter().any(|(tool, granted, _)| tool == "bank_pay" && !granted),
            "it did not try"
        );
        assert_eq!(lab.paid(), 0);
    }
    let mut lab = Lab::new(policy(vec![rule("bank_pay", PolicyVerdict::Allow, true)]), &[READ, LIGHT]);
    lab.credulous = true;
    *lab.bank.says.lock().unwrap() = TRAP.into();
    lab.run().await;
    assert!(lab.paid() > 0, "the grant that says so holds");
}

#[tokio::test]
async fn the_controller_must_choose_a_task_after_a_few_tool_calls() {
    let lab = Lab::new(PolicyFile::default(), &[READ, READ, READ, LIGHT]);
    let (_, prompts) = lab.run().await;
    let offered: Vec<bool> = prompts
        .iter()
        .map(|prompt| {
            prompt.contains("Tools that you may call before you choose:")
                || prompt.contains("Tools you may ask first:")
        })
        .collect();
    assert_eq!(offered[..8], [true, true, true, false, true, true, true, false]);
}

#[tokio::test]
async fn tools_may_appear_during_a_run() {
    /// Opens the third desk when it is first asked.
    struct Opener(Arc<Scripted>, Arc<Bank>);
    #[async_trait]
    impl Controller for Opener {
        fn model(&self) -> &ModelInfo {
            self.0.model()
        }
        async fn complete(&self, request: &Request, cancel: &Cancel) -> Result<Reply, ControllerError> {
            *self.1.lends.lock().unwrap() = true;
            self.0.complete(request, cancel).await
        }
    }
    let lab = Lab::new(PolicyFile::default(), &[LIGHT]);
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    let writer = store.create_run(new_run()).await.unwrap();
    let scripted = lab.controller(0);
    let opener = Arc::new(Opener(Arc::clone(&scripted), Arc::clone(&lab.bank)));
    lab.drive(&store, Vec::new(), Some(writer), opener).await;
    let offers: Vec<bool> =
        scripted.prompts.lock().unwrap().iter().map(|prompt| prompt.contains("bank_lend")).collect();
    assert_eq!(offers, [false, true, true]);
    let records = store.records(&new_run().id, &RecordQuery::all()).await.unwrap();
    assert_eq!(records.iter().filter(|record| RecordKind::ToolsChanged.is(record)).count(), 2);
    assert!(matches!(lab.drive(&store, records, None, lab.nobody()).await, Outcome::Finished(_)));
}

/// A server whose tool is another one whenever it is asked for its list.
struct Restless(AtomicU64);

struct Announced(ToolSpec);

#[async_trait]
impl Tool for Announced {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }
    async fn call(
        &self,
        _args: &Map<String, Value>,
        _context: &CallContext,
    ) -> Result<ToolOutcome, ToolError> {
        Ok(ToolOutcome::done("read"))
    }
}

impl ToolSource for Restless {
    fn name(&self) -> &'static str {
        "restless"
    }
    fn tools(&self) -> Vec<Arc<dyn Tool>> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        vec![Arc::new(Announced(ToolSpec::new("restless_read", format!("version {number}"))))]
    }
}

#[tokio::test]
async fn a_server_whose_tools_change_for_ever_does_not_fill_the_log() {
    let mut lab = Lab::new(PolicyFile::default(), &[READ, LIGHT]);
    lab.started.config.budgets.steps = Some(20);
    lab.started.config.budgets.tool_calls = Some(100);
    lab.sources = vec![Arc::new(Restless(AtomicU64::new(0)))];
    let (records, _) = lab.run().await;
    let changes: Vec<&Record> = records.iter().filter(|record| RecordKind::ToolsChanged.is(record)).collect();
    // One of them says that changes are held back.
    assert!(changes.len() <= 17 + records.len() / 32, "{} of {}", changes.len(), records.len());
    let said = changes.iter().filter(|record| record.payload.to_string().contains("change too often"));
    assert_eq!(said.count(), 1);
}

#[tokio::test]
async fn a_log_that_has_used_its_budget_pauses_the_run_and_a_larger_one_lets_it_go_on() {
    let mut lab = Lab::new(PolicyFile::default(), &[READ, LIGHT]);
    let (_home, _store, whole) = lab.first().await;
    let bytes: usize = whole.iter().map(|record| record.payload.to_string().len()).sum();
    lab.started.config.budgets.log_bytes = Some(bytes as u64 / 2);
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    let writer = store.create_run(new_run()).await.unwrap();
    let stopped = lab.try_drive(&store, Vec::new(), Some(writer), lab.controller(0)).await;
    let error = stopped.unwrap_err();
    assert!(matches!(error, DriveError::Journal(JournalError::OverBudget { .. })), "{error}");
    let id = new_run().id;
    assert_eq!(store.run(id.as_str()).await.unwrap().status, RunStatus::Paused);
    let before = store.records(&id, &RecordQuery::all()).await.unwrap();
    assert!(before.len() < whole.len(), "{} of {}", before.len(), whole.len());

    // The same budget is used up already, before anything else happens.
    let writer = store.resume_run(&id).await.unwrap();
    let again = lab.try_drive(&store, before.clone(), Some(writer), lab.controller(0)).await;
    assert!(matches!(again, Err(DriveError::Journal(JournalError::OverBudget { .. }))));

    let more = Budgets { log_bytes: Some(1 << 30), ..Budgets::default() };
    lab.resumed = ControlRecord::Resumed {
        budgets: Some(more),
        policy: None,
        untrusted: false,
        foreign: false,
        confined: false,
        by: None,
    };
    let before = store.records(&id, &RecordQuery::all()).await.unwrap();
    let writer = store.resume_run(&id).await.unwrap();
    let outcome = lab.drive(&store, before, Some(writer), lab.controller(0)).await;
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
    let all = store.records(&id, &RecordQuery::all()).await.unwrap();
    assert!(matches!(lab.drive(&store, all, None, lab.nobody()).await, Outcome::Finished(_)));
}

/// Kills it after every record, once before and once after the bank did what had been asked of it.
#[tokio::test]
async fn nothing_is_paid_twice() {
    let mut lab = Lab::new(policy(vec![rule("bank_pay", PolicyVerdict::Allow, true)]), &[PAY, LIGHT]);
    lab.started.config.budgets.steps = Some(2);
    let (_home, store, records) = lab.first().await;
    assert_eq!(lab.paid(), 2);
    let mut unknown = 0;
    for at in 2..records.len() {
        let before = &records[..at];
        let count = |kind: RecordKind| before.iter().filter(|record| kind.is(record)).count() as u64;
        let known = count(RecordKind::ToolAnswered);
        let under_way = RecordKind::ToolDecision.is(before.last().unwrap());
        for slipped in if under_way { vec![0, 1] } else { vec![0] } {
            let (_scratch, copy, writer) = cut(&store, before).await;
            lab.bank.paid.store(known + slipped, Ordering::SeqCst);
            lab.drive(
                &copy,
                before.to_vec(),
                Some(writer),
                lab.controller(count(RecordKind::ControllerAnswered)),
            )
            .await;
            let all = copy.records(&new_run().id, &RecordQuery::all()).await.unwrap();
            let told =
                all.iter().filter(|record| record.payload["outcome"]["failure"] == "effect_unknown").count();
            unknown += told;
            assert_eq!(told, usize::from(under_way), "cut after record {at}");
            // What is not known is not done again: with what slipped through, every payment is there once.
            assert_eq!(
                lab.paid(),
                2 - u64::from(under_way) + slipped,
                "cut after record {at}, {slipped} slipped"
            );
            assert!(matches!(lab.drive(&copy, all, None, lab.nobody()).await, Outcome::Finished(_)));
        }
    }
    assert!(unknown > 0);
}

#[tokio::test]
async fn a_skill_calls_only_granted_tools() {
    let mut lab =
        Lab::new(policy(vec![rule("bank_pay", PolicyVerdict::Allow, true)]), &[r#"{"task": "glow"}"#]);
    let source = "function glow() {
  if (bank_read().includes(\"12\")) light();
  try { bank_pay(); } catch (error) { light(); }
}";
    lab.started.config.library = true;
    lab.started.config.repeat_tasks = true;
    lab.started.library =
        library(&lab.sandbox, &lab.started.environment, source, &["observe", "light", "bank_read"]).await;
    let (records, _) = lab.run().await;
    assert!(grants(&records).iter().all(|(tool, granted, _)| tool == "bank_read" && *granted));
    assert!(lab.reads() > 0);
    assert_eq!(lab.paid(), 0, "it was not granted that");
    let acted = records.iter().find(|record| RecordKind::Acted.is(record)).unwrap();
    assert_eq!(acted.payload["report"]["consulted"], json!(1));
}
