//! The time budget of a run follows the time that it runs, not the computer's clock.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::replaying_environment::{Lab, Pile, Table, WRITES, count, cut};
use sojourn_core::{Budgets, Clock, ControlRecord, FinishReason, ForkChanges, Outcome, TimeSource};
use sojourn_memory::{EventSeq, ForkPoint, Hash, RecordQuery, RunId};
use std::sync::Arc;

const HOUR_MS: i64 = 3_600_000;

/// Each card takes a second. `set_ms` says by how much the computer's clock was set, by the number of cards.
struct CardClock {
    pile: Pile,
    set_ms: fn(i64) -> i64,
}

impl TimeSource for CardClock {
    fn wall_ms(&self) -> i64 {
        let cards = self.pile.drawn() as i64;
        1_700_000_000_000 + cards * 1000 + (self.set_ms)(cards)
    }

    fn running_ms(&self) -> i64 {
        self.pile.drawn() as i64 * 1000
    }
}

/// A lab whose runs may take eight seconds, and for safety two hundred cards.
async fn lab() -> Lab {
    let mut lab = Lab::new(WRITES).await;
    lab.started.config.budgets = Budgets { steps: Some(200), time_ms: Some(8000), ..Budgets::default() };
    lab
}

fn clock(pile: &Pile, set_ms: fn(i64) -> i64) -> Clock {
    Clock::Live(Arc::new(CardClock { pile: pile.clone(), set_ms }))
}

#[tokio::test]
async fn a_clock_that_is_set_neither_shortens_nor_lengthens_a_run() {
    /// Milliseconds by which the clock is set, by the number of drawn cards.
    type SetMs = fn(i64) -> i64;
    let cases: [(&str, SetMs, u64); 4] = [
        ("not set", |_| 0, 0),
        ("set back", |cards| if cards > 0 { -HOUR_MS } else { 0 }, 1),
        ("set forward", |cards| if cards > 0 { HOUR_MS } else { 0 }, 1),
        ("set again and again", |cards| cards * cards * 10_000, 5),
    ];
    let mut lab = lab().await;
    for (name, set_ms, changes) in cases {
        let pile = Pile::default();
        lab.clock = clock(&pile, set_ms);
        let (_home, store, records) = lab.first(&pile).await;
        // The budget is looked at between two skills, of which each may draw twenty cards.
        assert!((6..40).contains(&pile.drawn()), "{name}: {} cards", pile.drawn());
        let finished = records.iter().rfind(|record| record.kind == "finish").unwrap();
        assert!(finished.payload.to_string().contains("time"), "{name}: {}", finished.payload);
        assert!(count(&records, "clock_changed") >= changes, "{name}");
        assert_eq!(count(&records, "clock_changed") > 0, changes > 0, "{name}");
        lab.verify(&store).await;
    }
}

#[tokio::test]
async fn a_skill_that_outlives_the_run_is_cut_off_and_a_resume_starts_another_episode() {
    /// Each card takes five seconds.
    struct SlowCards(Pile);

    impl TimeSource for SlowCards {
        fn wall_ms(&self) -> i64 {
            1_700_000_000_000 + self.running_ms()
        }

        fn running_ms(&self) -> i64 {
            self.0.drawn() as i64 * 5000
        }
    }

    let mut lab = lab().await;
    let pile = Pile::default();
    lab.clock = Clock::Live(Arc::new(SlowCards(pile.clone())));
    let (_home, store, records) = lab.first(&pile).await;
    // Eight seconds, and ten for the skill under way. It needs four cards at least.
    assert_eq!(pile.drawn(), 4);
    let kinds: Vec<&str> = records.iter().rev().take(4).map(|record| record.kind.as_str()).collect();
    assert_eq!(kinds, ["finish", "report_milestone", "out_of_time", "stepped"]);
    lab.verify(&store).await;

    let more = Some(Budgets { time_ms: Some(8000), ..Budgets::default() });
    lab.resumed = ControlRecord::Resumed {
        budgets: more,
        policy: None,
        untrusted: false,
        foreign: false,
        confined: false,
        by: None,
    };
    let (_home, copy, writer) = cut(&store, &records).await;
    let outcome = lab.run(Table::new(pile.clone(), true, WRITES), &copy, records.clone(), Some(writer)).await;
    assert_eq!(outcome, Outcome::Finished(FinishReason::Time));
    assert_eq!(pile.drawn(), 8);
    let all = copy.records(&records[0].run, &RecordQuery::all()).await.unwrap();
    assert_eq!(count(&all, "episode_started"), 2);
    lab.verify(&copy).await;
}

/// Wherever the first process died, also within a step.
#[tokio::test]
async fn the_time_between_two_processes_is_not_the_runs() {
    Box::pin(not_counted_before(ControlRecord::resumed())).await;
}

#[tokio::test]
async fn the_time_before_a_fork_is_not_the_forks() {
    Box::pin(not_counted_before(ControlRecord::Forked {
        forked_from: ForkPoint { run: RunId::new(1, 1), seq: EventSeq(1), hash: Hash::of(b"record") },
        changes: ForkChanges::new("cards".parse().unwrap()),
    }))
    .await;
}

async fn not_counted_before(control: ControlRecord) {
    let mut lab = lab().await;
    lab.resumed = control;
    let pile = Pile::default();
    lab.clock = clock(&pile, |_| 0);
    let (_home, store, records) = lab.first(&pile).await;
    let offsets: [fn(i64) -> i64; 2] = [|_| 10 * HOUR_MS, |_| -HOUR_MS];
    for set_ms in offsets {
        // Also directly after the record of an intent: then nothing else has told the process how long the pause was.
        let intends = |end: &usize| end % 5 == 2 || records[end - 1].kind == "act";
        for end in (2..records.len()).filter(intends) {
            let (_home, copy, writer) = cut(&store, &records[..end]).await;
            let pile = Pile::standing(1000, count(&records[..end], "stepped"));
            lab.clock = clock(&pile, set_ms);
            let past = copy.records(&records[0].run, &RecordQuery::all()).await.unwrap();
            let table = Table::new(pile.clone(), true, WRITES);
            let outcome = lab.run(table, &copy, past, Some(writer)).await;
            let in_time = matches!(outcome, Outcome::Finished(FinishReason::Time));
            assert!(in_time && (8..60).contains(&pile.drawn()), "after {end}: {outcome:?}, {}", pile.drawn());
        }
    }
}
