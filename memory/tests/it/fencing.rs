//! A run of a server has one writer at a time, also where an earlier one does not know that it was replaced.

use crate::common::{home, run_id};
use serde_json::json;
use sojourn_memory::{Durability, Error, EventSeq, NewRun, Owner, RetentionPolicy, RunStatus, Server, Store};
use sojourn_testkit::Postgres;

mod with_postgres {
    use super::*;

    struct Shared {
        server: Postgres,
        url: Server,
        home: tempfile::TempDir,
    }

    impl Shared {
        fn start() -> Option<Self> {
            let server = Postgres::start()?;
            let url = server.database("agents").parse().unwrap();
            Some(Self { server, url, home: home() })
        }

        async fn open(&self, owner: Owner) -> Store {
            Store::connect(self.home.path(), &self.url, owner).await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_writer_that_was_replaced_appends_nothing_and_changes_no_status() {
        let Some(shared) = Shared::start() else { return };
        let (one, other) = (shared.open(Owner::named("one")).await, shared.open(Owner::named("one")).await);
        let mut stale = one.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
        stale.append("step", 1, json!({"n": 1}), vec![]).await.unwrap();
        stale.commit(Durability::Effect).await.unwrap();
        stale.append("step", 2, json!({"n": "of the stale writer"}), vec![]).await.unwrap();
        // The same owner's next process takes over while the first one is still there.
        let mut writer = other.resume_run(&run_id()).await.unwrap();
        assert_eq!(writer.last_seq(), EventSeq(1));
        for _ in 0..2 {
            let fenced = stale.commit(Durability::Effect).await.unwrap_err();
            assert!(matches!(&fenced, Error::Fenced { run } if *run == run_id()), "{fenced:?}");
        }
        writer.append("step", 2, json!({"n": "of the new writer"}), vec![]).await.unwrap();
        writer.commit(Durability::Effect).await.unwrap();
        let fenced = stale.close(RunStatus::Failed).await.unwrap_err();
        assert!(matches!(fenced, Error::Fenced { .. }), "{fenced:?}");
        let records = other.records(&run_id(), &sojourn_memory::RecordQuery::all()).await.unwrap();
        let said: Vec<_> = records.iter().map(|record| record.payload["n"].clone()).collect();
        assert_eq!(said, [json!(1), json!("of the new writer")]);
        assert_eq!(other.run(run_id().as_str()).await.unwrap().status, RunStatus::Running);
        assert!(other.verify(&run_id(), |_, _| ()).await.unwrap().is_intact());
    }

    #[tokio::test]
    async fn another_owner_waits_for_the_lease_and_a_collection_fences_whom_it_does_not_see() {
        let Some(shared) = Shared::start() else { return };
        let (one, other) = (shared.open(Owner::named("one")).await, shared.open(Owner::named("other")).await);
        let mut writer = one.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
        writer.append("step", 1, json!({}), vec![]).await.unwrap();
        writer.commit(Durability::Effect).await.unwrap();
        assert!(matches!(other.resume_run(&run_id()).await, Err(Error::Locked { .. })));
        assert!(other.is_live(&run_id()).await.unwrap());
        assert!(matches!(other.collect(&RetentionPolicy::default()).await, Err(Error::Collecting)));
        // As if the writer had been stopped for longer than its lease.
        shared.server.sql("agents", "UPDATE sojourn.runs SET leased_until = now() - interval '1 s'");
        let collected = other.collect(&RetentionPolicy::default()).await.unwrap();
        assert_eq!(collected.garbage.runs, []);
        writer.append("step", 2, json!({}), vec![]).await.unwrap();
        assert!(matches!(writer.commit(Durability::Effect).await, Err(Error::Fenced { .. })));
        let next = other.resume_run(&run_id()).await.unwrap();
        assert_eq!(next.last_seq(), EventSeq(1));
    }

    #[tokio::test]
    async fn a_writer_waits_for_aserver_that_restarts_and_doubles_nothing() {
        let Some(mut shared) = Shared::start() else { return };
        let store = shared.open(Owner::alone()).await;
        let mut writer = store.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
        for n in 1..=20 {
            writer.append("step", n, json!({"n": n}), vec![]).await.unwrap();
            if n % 5 == 0 {
                shared.server.restart();
            }
            writer.commit(Durability::Effect).await.unwrap();
        }
        writer.close(RunStatus::Finished).await.unwrap();
        let report = store.verify(&run_id(), |_, _| ()).await.unwrap();
        assert!(report.is_intact(), "{report:?}");
        assert_eq!(report.records, 20);
    }
}
