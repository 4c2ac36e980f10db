//! Rules of the policy about the actions of a world that other programs compute.

use super::replaying_environment::{Lab, Pile, Table, WRITES, count, cut};
use super::tools_lab::{policy, rule};
use sojourn_core::{Budgets, ControlRecord, ReflexSource, ToolUse};
use sojourn_memory::{Record, RecordQuery};
use sojourn_tools::PolicyVerdict;

fn denies_draw() -> ToolUse {
    ToolUse { policy: policy(vec![rule("dr*", PolicyVerdict::Deny, false)]), ..ToolUse::default() }
}

/// A lab with a reflex that always wants to draw a card.
async fn with_reflex() -> Lab {
    let mut lab = Lab::new(WRITES).await;
    let source = "function grab(state) {\n  return \"draw\";\n}".to_owned();
    lab.started.reflexes = vec![ReflexSource { name: "grab".into(), source }];
    lab
}

/// Resumes from the first `end` records on. All records, and the cards drawn since.
async fn resumed(
    lab: &Lab,
    store: &sojourn_memory::Store,
    records: &[Record],
    end: usize,
) -> (Vec<Record>, u64) {
    let (_home, copy, writer) = cut(store, &records[..end]).await;
    let drawn = count(&records[..end], "stepped");
    let pile = Pile::standing(1000, drawn);
    lab.run(Table::new(pile.clone(), true, WRITES), &copy, records[..end].to_vec(), Some(writer)).await;
    lab.verify(&copy).await;
    let all = copy.records(&records[0].run, &RecordQuery::all()).await.unwrap();
    (all, pile.drawn() - drawn)
}

#[tokio::test]
async fn a_rule_that_denies_an_action_of_a_world_holds_for_programs_and_reflexes() {
    let mut lab = with_reflex().await;
    lab.started.config.tools = Some(denies_draw());
    let pile = Pile::default();
    let (_home, store, records) = lab.first(&pile).await;
    assert_eq!((pile.drawn(), count(&records, "stepped")), (0, 0), "a card was drawn");
    let denied = |record: &&Record| record.payload.to_string().contains("not called: rule 1, which denies `");
    assert!(records.iter().any(|record| denied(&record)), "nobody says why");
    lab.verify(&store).await;
    for end in (2..records.len()).step_by(records.len() / 6) {
        assert_eq!(resumed(&lab, &store, &records, end).await.1, 0, "after {end}");
    }
}

#[tokio::test]
async fn a_stricter_policy_of_a_resume_holds_for_the_actions_of_the_world_at_once() {
    let mut lab = Lab::new(WRITES).await;
    lab.started.config.budgets = Budgets { steps: Some(5), ..Budgets::default() };
    let (_home, store, records) = lab.first(&Pile::default()).await;
    lab.resumed = ControlRecord::Resumed {
        budgets: None,
        policy: Some(Box::new(denies_draw().policy)),
        untrusted: false,
        foreign: false,
        confined: false,
        by: None,
    };
    for end in (2..records.len()).step_by(2) {
        let (_, drawn) = resumed(&lab, &store, &records, end).await;
        assert_eq!(drawn, 0, "after {end}: {}", records[end - 1].kind);
    }
}

#[tokio::test]
async fn reflexes_of_a_run_from_elsewhere_act_no_more() {
    let mut lab = with_reflex().await;
    let (_home, store, records) = lab.first(&Pile::default()).await;
    let by_reflex = |record: &&Record| record.kind == "stepped" && !record.payload["reflex"].is_null();
    assert!(records.iter().filter(by_reflex).count() > 1, "the reflex acts");
    lab.resumed = ControlRecord::Resumed {
        budgets: None,
        policy: None,
        untrusted: true,
        foreign: true,
        confined: false,
        by: None,
    };
    // Within a call the world of a run from elsewhere is lost.
    let between = |end: &usize| matches!(records[end - 1].kind.as_str(), "episode_started" | "act" | "acted");
    for end in (2..records.len() - 1).filter(between) {
        let (all, _) = resumed(&lab, &store, &records, end).await;
        let since = all.iter().skip_while(|record| record.kind != "resumed");
        assert!(since.clone().next().is_some(), "after {end}: no record says that it was resumed");
        assert_eq!(since.clone().filter(by_reflex).count(), 0, "after {end}");
    }
}
