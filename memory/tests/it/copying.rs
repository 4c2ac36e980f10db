//! A store that is copied into the other engine, and back, is the same store, wherever the copying was stopped meanwhile.

use crate::common::toy::{embedding, lesson, nearest, owner, recalled};
use crate::common::{home, payload, runtime};
use crate::unattended::schedule;
use proptest::prelude::*;
use serde_json::{Value, json};
use sojourn_memory::{
    CopyError, CopyReport, CopyStep, Error, EventSeq, Memories, NewMessage, NewRun, Owner, RecordQuery,
    RunId, RunStatus, Server, Store,
};
use sojourn_testkit::Postgres;
use std::ops::ControlFlow;
use std::path::Path;

fn id(n: usize) -> RunId {
    format!("run-{n}").parse().unwrap()
}

/// Something of everything that a store has.
async fn fill(store: &Store, runs: &[Vec<Value>], texts: &[String]) {
    for (n, payloads) in runs.iter().enumerate() {
        let new = NewRun { created_ms: n as i64, ..NewRun::new(id(n), "crafter", "model") };
        let mut writer = store.create_run(new).await.unwrap();
        for (at, payload) in payloads.iter().enumerate() {
            let shared = writer.put_blob(&"shared by all ".repeat(60).into_bytes()).await.unwrap();
            let own = writer.put_blob(&[0xff, n as u8, at as u8, 0]).await.unwrap();
            let long = json!({"payload": payload, "long": "many words ".repeat(at % 3 * 40)});
            writer.append("step", at as i64, long, vec![shared, own]).await.unwrap();
        }
        writer.close(RunStatus::Finished).await.unwrap();
        store.set_title(&id(n), texts.first().map(String::as_str)).await.unwrap();
    }
    if runs.first().is_some_and(|run| !run.is_empty()) {
        let fork = NewRun::new("fork".parse().unwrap(), "crafter", "model");
        drop(store.fork_run(&id(0), EventSeq(1), fork, json!({"seed": 3})).await.unwrap());
    }
    let memories = Memories::new(store.clone());
    for (n, text) in texts.iter().enumerate() {
        memories.remember(&lesson(n as u64, text), &[embedding(n as u64)]).await.unwrap();
    }
    let gone = memories.remember(&lesson(1000, "this is forgotten"), &[]).await.unwrap();
    memories.forget(&owner(), &gone.id).await.unwrap();
    // A schedule that was removed has used a number up.
    for name in ["removed", "daily"] {
        store.add_schedule(schedule(name)).await.unwrap();
    }
    store.remove_schedule("removed", 5).await.unwrap();
    store.begin_telling(&id(0), &["goal"]).await.unwrap();
    store.post(&message(1)).await.unwrap();
}

fn message(at_ms: i64) -> NewMessage {
    NewMessage {
        run: id(0),
        agent: "agent.toml".to_owned(),
        channel: "webhook".to_owned(),
        event: "goal".to_owned(),
        body: json!({"nul": "a\u{0}b"}).to_string(),
        at_ms,
    }
}

/// Copies, stopped after each of these numbers of looks and begun again; then to its end.
async fn copy(
    from: &Store,
    open: impl AsyncFn() -> Store,
    stops: &[usize],
) -> Result<(Store, CopyReport), CopyError> {
    for stop in stops {
        let to = open().await;
        let mut left = *stop;
        let mut watch = |_| {
            left = left.saturating_sub(1);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match from.copy_to(&to, &mut watch).await {
            Err(CopyError::Stopped) | Ok(_) => {}
            Err(error) => return Err(error),
        }
        to.close().await;
    }
    let to = open().await;
    let report = from.copy_to(&to, &mut |_| ControlFlow::Continue(())).await?;
    to.finish_copy().await?;
    Ok((to, report))
}

async fn is_same(one: &Store, other: &Store) {
    let report = one.copy_to(other, &mut |_| ControlFlow::Continue(())).await.unwrap();
    assert!(report.already && report.copied == 0, "{report:?}");
    assert!(report.faults.is_empty(), "{report:?}");
    assert_eq!(one.runs().await.unwrap(), other.runs().await.unwrap());
    for run in one.runs().await.unwrap() {
        let all = RecordQuery::all();
        assert_eq!(one.records(&run.id, &all).await.unwrap(), other.records(&run.id, &all).await.unwrap());
    }
    assert_eq!(one.schedules().await.unwrap(), other.schedules().await.unwrap());
}

mod with_postgres {
    use super::*;

    async fn server(home: &Path, url: &Server) -> Store {
        Store::connect_target(home, url, Owner::alone()).await.unwrap()
    }

    #[test]
    fn every_store_comes_back_from_the_other_engine_wherever_the_copies_were_stopped() {
        let Some(postgres) = Postgres::start() else { return };
        let mut number = 0;
        let mut database = || {
            number += 1;
            postgres.database(&format!("copy{number}")).parse::<Server>().unwrap()
        };
        let runs = prop::collection::vec(prop::collection::vec(payload(), 0..8), 1..4);
        let texts = prop::collection::vec("[a-z][a-zA-Z \u{0}é]{0,39}", 0..6);
        let stops = || prop::collection::vec(1_usize..60, 0..3);
        let config = ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        let strategy = (runs, texts, stops(), stops());
        let url = std::cell::RefCell::new(&mut database);
        let result = runner.run(&strategy, |(runs, texts, there, back)| {
            let url = (url.borrow_mut())();
            runtime().block_on(async {
                let (first, far, last) = (home(), home(), home());
                let here = Store::open(first.path()).await.unwrap();
                fill(&here, &runs, &texts).await;
                let (there, report) =
                    copy(&here, async || server(far.path(), &url).await, &there).await.unwrap();
                assert!(!report.already && !report.restarted && report.faults.is_empty(), "{report:?}");
                is_same(&here, &there).await;
                let open = async || Store::open_target(last.path()).await.unwrap();
                let (home, _) = copy(&there, open, &back).await.unwrap();
                is_same(&there, &home).await;
                is_same(&here, &home).await;
                // Copies go on as the store would: with the same next numbers, and words and vectors that are found.
                let memories = [&here, &there, &home].map(|store| Memories::new(store.clone()));
                for text in &texts {
                    let found = recalled(&memories[0], text).await;
                    assert_eq!(recalled(&memories[1], text).await, found);
                    assert_eq!(recalled(&memories[2], text).await, found);
                }
                for memories in &memories {
                    assert_eq!(nearest(memories, 0).await.as_ref(), texts.first());
                }
                let mut numbers = Vec::new();
                for store in [&here, &there, &home] {
                    store.post(&message(2)).await.unwrap();
                    let mut last = None;
                    while let Some(taken) = store.take_message(None, 1000, 1_000_000).await.unwrap() {
                        last = Some(taken.no);
                    }
                    numbers.push(last.unwrap());
                    let mut writer = store.create_run(NewRun::new(id(77), "crafter", "model")).await.unwrap();
                    writer.append("step", 1, json!({"is": "new"}), vec![]).await.unwrap();
                    writer.close(RunStatus::Finished).await.unwrap();
                    assert!(store.verify(&id(77), |_, _| {}).await.unwrap().is_intact());
                }
                assert_eq!(numbers, [numbers[0]; 3]);
                for store in [here, there, home] {
                    store.close().await;
                }
            });
            Ok(())
        });
        result.unwrap();
    }

    #[tokio::test]
    async fn an_unfinished_copy_is_opened_by_nobody_else_and_follows_a_source_that_changed() {
        let Some(postgres) = Postgres::start() else { return };
        let url: Server = postgres.database("copy").parse().unwrap();
        let (first, far, other) = (home(), home(), home());
        let here = Store::open(first.path()).await.unwrap();
        fill(&here, &[vec![json!(1); 30], vec![json!(2); 900]], &["a lesson".to_owned()]).await;
        let there = server(far.path(), &url).await;
        let mut watch = |progress: sojourn_memory::CopyProgress| match progress.step {
            CopyStep::Copying("records") if progress.done > 0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        assert!(matches!(here.copy_to(&there, &mut watch).await, Err(CopyError::Stopped)));
        let refused = Store::connect(far.path(), &url, Owner::alone()).await.unwrap_err();
        assert!(matches!(refused, Error::UnfinishedCopy { .. }), "{refused:?}");
        let stranger = Store::open(other.path()).await.unwrap();
        let refused = stranger.copy_to(&there, &mut |_| ControlFlow::Continue(())).await;
        assert!(matches!(refused, Err(CopyError::OtherContent { .. })), "{refused:?}");

        // A run that was copied goes away in the source, and another one comes.
        let keep = sojourn_memory::RetentionPolicy { newest: Some(2), ..Default::default() };
        here.collect(&keep).await.unwrap();
        let mut writer = here.create_run(NewRun::new(id(7), "crafter", "model")).await.unwrap();
        writer.append("step", 1, json!({"is": "new"}), vec![]).await.unwrap();
        let live = here.copy_to(&there, &mut |_| ControlFlow::Continue(())).await;
        assert!(matches!(&live, Err(CopyError::Live { run }) if *run == id(7)), "{live:?}");
        writer.close(RunStatus::Finished).await.unwrap();
        let report = here.copy_to(&there, &mut |_| ControlFlow::Continue(())).await.unwrap();
        assert!(report.restarted, "{report:?}");
        there.finish_copy().await.unwrap();
        is_same(&here, &there).await;
        Store::connect(far.path(), &url, Owner::alone()).await.unwrap();
    }

    #[tokio::test]
    async fn a_target_with_other_content_for_the_same_ids_is_refused_and_left_as_it_is() {
        let Some(postgres) = Postgres::start() else { return };
        let url: Server = postgres.database("copy").parse().unwrap();
        let (first, far) = (home(), home());
        let here = Store::open(first.path()).await.unwrap();
        fill(&here, &[vec![json!(1)]], &[]).await;
        let there = server(far.path(), &url).await;
        fill(&there, &[vec![json!("another")]], &[]).await;
        let before = there.records(&id(0), &RecordQuery::all()).await.unwrap();
        let refused = here.copy_to(&there, &mut |_| ControlFlow::Continue(())).await;
        assert!(
            matches!(&refused, Err(CopyError::OtherContent { what }) if what.contains("`runs`")),
            "{refused:?}"
        );
        assert_eq!(there.records(&id(0), &RecordQuery::all()).await.unwrap(), before);
        Store::connect(far.path(), &url, Owner::alone()).await.unwrap();
    }
}
