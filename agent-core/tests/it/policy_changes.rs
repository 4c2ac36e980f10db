//! A policy that is tightened between two processes of a run.

use super::tools_lab::{LIGHT, Lab, PAY, READ, Willing, cut, grants, new_run, policy, rule};
use sojourn_core::{ControlRecord, Outcome, RecordKind};
use sojourn_memory::{Record, RecordQuery};
use sojourn_tools::{PolicyFile, PolicyVerdict};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Runs to the end under a policy that lets the bank pay, then again from every record on with `resumed`. `check` sees all
/// records of each run, the place of the resume, and how often the bank paid in all.
async fn resumed_at_every_record(
    lab: &mut Lab,
    resumed: ControlRecord,
    check: impl Fn(&[Record], usize, u64),
) {
    lab.started.config.budgets.steps = Some(2);
    let (_home, store, records) = lab.first().await;
    assert_eq!(lab.paid(), 2, "the policy at the start allows it");
    lab.resumed = resumed;
    for at in 2..records.len() {
        let before = &records[..at];
        let count = |kind: RecordKind| before.iter().filter(|record| kind.is(record)).count() as u64;
        let (_scratch, copy, writer) = cut(&store, before).await;
        lab.bank.paid.store(0, Ordering::SeqCst);
        let controller = lab.controller(count(RecordKind::ControllerAnswered));
        lab.drive(&copy, before.to_vec(), Some(writer), controller).await;
        let all = copy.records(&new_run().id, &RecordQuery::all()).await.unwrap();
        check(&all, at, lab.paid());
        let verified = lab.drive(&copy, all, None, lab.nobody()).await;
        assert!(matches!(verified, Outcome::Finished(_)), "cut after record {at}: {verified:?}");
    }
}

fn under(policy: PolicyFile) -> ControlRecord {
    ControlRecord::Resumed {
        budgets: None,
        policy: Some(Box::new(policy)),
        untrusted: false,
        foreign: false,
        confined: false,
        by: None,
    }
}

#[tokio::test]
async fn a_resume_under_a_policy_that_denies_makes_no_call_that_the_old_one_allowed() {
    let allows = policy(vec![rule("bank_pay", PolicyVerdict::Allow, true)]);
    let mut lab = Lab::new(allows, &[PAY, LIGHT]);
    let denies = under(policy(vec![rule("bank_pay", PolicyVerdict::Deny, false)]));
    resumed_at_every_record(&mut lab, denies, |all, at, paid| {
        assert_eq!(paid, 0, "cut after record {at}");
        let resumed = all.iter().position(|record| RecordKind::Resumed.is(record)).unwrap();
        assert_eq!(all[resumed].payload["policy"]["rule"][0]["then"], "deny");
        assert!(grants(&all[resumed..]).iter().all(|(_, granted, _)| !granted), "cut after record {at}");
    })
    .await;
}

#[tokio::test]
async fn a_call_that_was_repeatable_is_not_repeated_under_a_policy_that_denies_it() {
    let mut lab = Lab::new(PolicyFile::default(), &[READ, LIGHT]);
    lab.started.config.budgets.steps = Some(1);
    let (_home, store, records) = lab.first().await;
    let decided = records.iter().position(|record| RecordKind::ToolDecision.is(record)).unwrap();
    let before = &records[..=decided];
    for (then, reads) in [(PolicyVerdict::Allow, 1), (PolicyVerdict::Ask, 0), (PolicyVerdict::Deny, 0)] {
        let (_scratch, copy, writer) = cut(&store, before).await;
        lab.bank.reads.store(0, Ordering::SeqCst);
        lab.resumed = under(policy(vec![rule("bank_read", then, false)]));
        lab.drive(&copy, before.to_vec(), Some(writer), lab.controller(1)).await;
        assert_eq!(lab.reads(), reads, "{then:?}");
        let all = copy.records(&new_run().id, &RecordQuery::all()).await.unwrap();
        assert!(matches!(lab.drive(&copy, all, None, lab.nobody()).await, Outcome::Finished(_)));
    }
}

#[tokio::test]
async fn a_policy_that_is_loosened_loosens_no_run_that_is_resumed() {
    let mut lab = Lab::new(policy(vec![rule("bank_pay", PolicyVerdict::Ask, false)]), &[PAY, LIGHT]);
    lab.approver = Arc::new(Willing);
    let allows = under(policy(vec![rule("bank_pay", PolicyVerdict::Allow, true)]));
    resumed_at_every_record(&mut lab, allows, |all, at, _| {
        assert!(grants(all).iter().all(|(_, _, by)| by == "the user"), "cut after record {at}");
    })
    .await;
}

#[tokio::test]
async fn a_run_from_elsewhere_is_tainted_from_the_resume_on() {
    // The answers are trusted, so that nothing else taints the run.
    let rules = vec![rule("bank_pay", PolicyVerdict::Allow, false)];
    let allows = PolicyFile { trusted: vec!["bank_*".into()], ..policy(rules) };
    let mut lab = Lab::new(allows, &[PAY, LIGHT]);
    let elsewhere = ControlRecord::Resumed {
        budgets: None,
        policy: None,
        untrusted: true,
        foreign: false,
        confined: false,
        by: None,
    };
    resumed_at_every_record(&mut lab, elsewhere, |all, at, paid| {
        assert_eq!(paid, 0, "cut after record {at}");
        let resumed = all.iter().position(|record| RecordKind::Resumed.is(record)).unwrap();
        assert!(grants(&all[resumed..]).iter().all(|(_, granted, _)| !granted), "cut after record {at}");
    })
    .await;
}

#[tokio::test]
async fn an_approval_holds_for_the_call_that_was_shown() {
    let mut lab = Lab::new(policy(vec![rule("bank_pay", PolicyVerdict::Ask, false)]), &[PAY, LIGHT]);
    lab.approver = Arc::new(Willing);
    let (records, _) = lab.run().await;
    let decision = records.iter().find(|record| RecordKind::ToolDecision.is(record)).unwrap();
    let shown = decision.payload["shown"].as_str().unwrap();
    assert!(shown.len() == 64 && shown.bytes().all(|byte| byte.is_ascii_hexdigit()), "{shown}");

    // Another process finds the approval of a call that reads, with a hash of another call.
    let mut lab = Lab::new(policy(vec![rule("bank_read", PolicyVerdict::Ask, false)]), &[READ, LIGHT]);
    lab.approver = Arc::new(Willing);
    lab.started.config.budgets.steps = Some(1);
    let (_home, store, mut records) = lab.first().await;
    let decided = records.iter().position(|record| RecordKind::ToolDecision.is(record)).unwrap();
    records.truncate(decided + 1);
    let approved = records[decided].payload["shown"].clone();
    for (forged, reads) in [(false, 1), (true, 0)] {
        if forged {
            records[decided].payload["shown"] = "0".repeat(64).into();
        }
        let (_scratch, copy, writer) = cut(&store, &records).await;
        lab.bank.reads.store(0, Ordering::SeqCst);
        lab.drive(&copy, records.clone(), Some(writer), lab.controller(1)).await;
        assert_eq!(lab.reads(), reads, "forged: {forged}");
    }
    records[decided].payload["shown"] = approved;
    lab.foreign = true;
    let (_scratch, copy, writer) = cut(&store, &records).await;
    lab.bank.reads.store(0, Ordering::SeqCst);
    lab.drive(&copy, records.clone(), Some(writer), lab.controller(1)).await;
    assert_eq!(lab.reads(), 0, "an approval that was given elsewhere does not count here");
}
