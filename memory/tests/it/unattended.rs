//! What a daemon, its runs and a person's commands share: two processes never both win, and nothing is done twice.

use crate::common::open_store;
use serde_json::{Map, Value, json};
use sojourn_memory::{
    ApprovalId, ApprovalState, Arguments, AskedCall, Due, Error, EventSeq, JobState, LogCollection, Memories,
    MemoryKind, Missed, NewApproval, NewMemory, NewMessage, NewRequest, NewRun, NewSchedule, OnTimeout,
    Overlap, PendingApproval, Posted, RequestKind, RunId, RunStatus, Schedule, Store, Submission, Tenant,
    Timing, Work,
};

async fn store() -> (tempfile::TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = open_store(home.path()).await;
    (home, store)
}

/// A schedule of a run each second.
pub fn schedule(name: &str) -> NewSchedule {
    NewSchedule {
        name: name.to_owned(),
        work: Work::Run { agent: "agent.toml".to_owned(), arguments: Arguments::default(), queue: None },
        timing: Timing::EveryMs(1000),
        missed: Missed::Run,
        overlap: Overlap::Refuse,
        created_ms: 0,
    }
}

fn message(at_ms: i64) -> NewMessage {
    NewMessage {
        run: run("run-1"),
        agent: "agent.toml".to_owned(),
        channel: "webhook".to_owned(),
        event: "goal".to_owned(),
        body: "{}".to_owned(),
        at_ms,
    }
}

fn run(name: &str) -> RunId {
    name.parse().unwrap()
}

fn due(due_ms: i64) -> Due {
    Due { due_ms, missed: 0, run: run(&format!("run-{due_ms}")), state: JobState::Due, why: None }
}

/// Records due times up to `seen_ms`, at that time; returns those that are new.
async fn record(store: &Store, schedule: &Schedule, seen_ms: i64, dues: &[Due]) -> Option<Vec<i64>> {
    let new = store.record_due(schedule, seen_ms, dues, seen_ms).await.unwrap()?;
    Some(new.into_iter().map(|due| due.due_ms).collect())
}

#[tokio::test]
async fn a_due_time_is_recorded_once_whoever_is_first() {
    let (_home, store) = store().await;
    let schedule = store.add_schedule(schedule("a")).await.unwrap();
    assert_eq!(record(&store, &schedule, 1000, &[due(1000)]).await, Some(vec![1000]));
    assert_eq!(record(&store, &schedule, 1000, &[due(1000)]).await, None, "by an older reading");
    let jobs = store.open_jobs().await.unwrap();
    assert_eq!(jobs.len(), 1);

    // A settled job is not started, and its end is the first one.
    assert!(store.start_job(jobs[0].no, 1001).await.unwrap());
    store.end_job(jobs[0].no, JobState::Finished, "done", 1002).await.unwrap();
    store.end_job(jobs[0].no, JobState::Failed, "again", 1003).await.unwrap();
    assert!(!store.start_job(jobs[0].no, 1004).await.unwrap());
    let settled = store.jobs(None, 10).await.unwrap().remove(0);
    assert_eq!(
        (settled.state, settled.why.as_deref(), settled.ended_ms),
        (JobState::Finished, Some("done"), Some(1002))
    );
}

#[tokio::test]
async fn a_schedule_starts_runs_or_collects_logs() {
    let (_home, store) = store().await;
    let collection = LogCollection { newest: Some(3), older_than_ms: Some(5), pause_runs: true };
    let works = [schedule("a").work, Work::CollectLogs(collection)];
    for (name, work) in ["a", "b"].into_iter().zip(works.clone()) {
        store.add_schedule(NewSchedule { work, ..schedule(name) }).await.unwrap();
    }
    let read: Vec<Work> = store.schedules().await.unwrap().into_iter().map(|one| one.settings.work).collect();
    assert_eq!(read, works);
}

#[tokio::test]
async fn a_clock_that_was_ahead_records_no_due_time_twice() {
    let (_home, store) = store().await;
    let schedule = store.add_schedule(schedule("a")).await.unwrap();
    assert_eq!(record(&store, &schedule, 1000, &[due(1000)]).await, Some(vec![1000]));
    let ahead = store.schedule("a").await.unwrap();
    assert_eq!(record(&store, &ahead, 500, &[]).await, Some(Vec::new()));
    let back = store.schedule("a").await.unwrap();
    let new = record(&store, &back, 2000, &[due(1000), due(2000)]).await;
    assert_eq!(new, Some(vec![2000]), "a known due time is not reported again");
    assert_eq!(store.jobs(None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_schedule_that_was_paused_or_removed_meanwhile_records_nothing() {
    let (_home, store) = store().await;
    let read = store.add_schedule(schedule("a")).await.unwrap();
    store.pause_schedule("a", true, 500).await.unwrap();
    assert_eq!(record(&store, &read, 1000, &[due(1000)]).await, None);
    store.pause_schedule("a", false, 7000).await.unwrap();
    let resumed = store.schedules().await.unwrap().remove(0);
    assert_eq!(resumed.seen_ms, 7000, "due times during the pause are not missed");
    assert_eq!(record(&store, &resumed, 8000, &[due(8000)]).await, Some(vec![8000]));

    store.remove_schedule("a", 8001).await.unwrap();
    assert_eq!(store.jobs(None, 10).await.unwrap()[0].state, JobState::Cancelled);
    assert!(matches!(store.remove_schedule("a", 8002).await, Err(Error::NoSuchSchedule { .. })));
    assert!(store.add_schedule(schedule("a")).await.is_ok(), "its name is free again");
    assert!(matches!(store.add_schedule(schedule("a")).await, Err(Error::ScheduleExists { .. })));
}

async fn ask(store: &Store, text: &str) -> PendingApproval {
    ask_until(store, text, None).await
}

async fn ask_until(store: &Store, text: &str, expires_ms: Option<i64>) -> PendingApproval {
    let args: Map<_, _> = [("text".to_owned(), json!(text))].into_iter().collect();
    let call = AskedCall { tool: "send".into(), description: String::new(), effects: json!({}), args };
    let hash = format!("{:064x}", text.len());
    let new = NewApproval {
        run: run("run-1"),
        seq: EventSeq(7),
        hash,
        call,
        reason: "rule 1".into(),
        asked_ms: 1,
        expires_ms,
        on_timeout: OnTimeout::Deny,
    };
    store.ask(new).await.unwrap()
}

#[tokio::test]
async fn a_question_is_answered_once_and_by_its_whole_name() {
    let (_home, store) = store().await;
    let asked = ask(&store, "hello").await;
    assert_eq!(store.approval(&asked.id).await.unwrap(), asked);
    assert!(store.answer_approval(&asked.id, false, "a person", 2).await.unwrap());
    assert!(!store.answer_approval(&asked.id, true, "the time-out", 3).await.unwrap());
    let answered = store.approval(&asked.id).await.unwrap();
    assert_eq!((answered.state, answered.answered_by.as_deref()), (ApprovalState::Denied, Some("a person")));

    let another = format!("a{}-ffffff", asked.id.as_str()[1..].split('-').next().unwrap());
    let another = another.parse().unwrap();
    assert!(matches!(
        store.answer_approval(&another, true, "a person", 4).await,
        Err(Error::NoSuchApproval { .. })
    ));
    for bad in ["", "17", "a-", "ax-1", &"a1-".repeat(100)] {
        assert!(bad.parse::<sojourn_memory::ApprovalId>().is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_request_to_a_run_is_settled_once_and_no_run_is_asked_without_end() {
    let (_home, store) = store().await;
    let asked = |of: &str, what, body| NewRequest {
        run: run(of),
        what,
        body,
        by: "a person".to_owned(),
        asked_ms: 1,
    };
    let goal = |text: &str| asked("a", RequestKind::Goal, json!(text));
    let first = store.request(&goal("light the lamp")).await.unwrap().unwrap();
    store.request(&asked("a", RequestKind::Pause, json!(null))).await.unwrap().unwrap();
    store.request(&asked("b", RequestKind::Goal, json!("open the door"))).await.unwrap().unwrap();
    let open = store.open_requests(&run("a"), RequestKind::Goal).await.unwrap();
    assert_eq!((open.len(), open[0].no, &open[0].asked.body), (1, first, &json!("light the lamp")));

    let redact = |body: &mut Value| *body = json!(body.as_str().unwrap().replace("lamp", "[secret]"));
    assert!(store.settle_request(first, "taken up", 2, redact).await.unwrap());
    assert!(!store.settle_request(first, "refused", 3, |_| {}).await.unwrap());
    assert!(store.open_requests(&run("a"), RequestKind::Goal).await.unwrap().is_empty());
    let all = store.requests(&run("a"), RequestKind::Goal, 10).await.unwrap();
    assert_eq!(all[0].outcome.as_deref(), Some("taken up"));
    assert_eq!(all[0].asked.body, "light the [secret]", "what a person asked may hold a secret of the run");

    let mut kept = 0;
    while store.request(&goal("again")).await.unwrap().is_some() {
        kept += 1;
        assert!(kept < 1000);
    }
    assert!(
        store.request(&asked("b", RequestKind::Goal, json!("a"))).await.unwrap().is_some(),
        "another run"
    );
}

#[tokio::test]
async fn questions_without_a_time_do_not_hide_those_whose_time_is_over() {
    let (_home, store) = store().await;
    let late = ask_until(&store, "late", Some(20)).await;
    let early = ask_until(&store, "early", Some(10)).await;
    for number in 0..5 {
        ask(&store, &"x".repeat(number)).await;
    }
    let expired = async |now_ms, limit| -> Vec<ApprovalId> {
        store.expired_approvals(now_ms, limit).await.unwrap().into_iter().map(|one| one.id).collect()
    };
    assert_eq!(expired(9, 3).await, []);
    assert_eq!(expired(20, 1).await, std::slice::from_ref(&early.id));
    assert_eq!(expired(20, 3).await, [early.id.clone(), late.id]);
    assert_eq!(store.count_approvals(None, false).await.unwrap(), 7);
    assert!(store.answer_approval(&early.id, true, "a person", 2).await.unwrap());
    assert_eq!(store.count_approvals(None, false).await.unwrap(), 6);
}

#[tokio::test]
async fn a_run_of_any_name_keeps_no_home_from_being_opened() {
    let (home, store) = store().await;
    let mut writers = Vec::new();
    for name in ["open", "home", "daemon", "collector"] {
        writers.push(store.create_run(NewRun::new(run(name), "", "")).await.unwrap());
    }
    let opened = tokio::time::timeout(std::time::Duration::from_mins(1), Store::open(home.path())).await;
    assert!(opened.is_ok_and(|opened| opened.is_ok()), "a run's lock is taken for that of opening");
}

#[tokio::test]
async fn what_is_forgotten_is_in_no_question_either() {
    let (_home, store) = store().await;
    let text = "the door's code is \"4711\" in Lisbon";
    let kept = ask(&store, "another text").await;
    ask(&store, text).await;
    let tenant = Tenant::new("t").unwrap();
    let memories = Memories::new(store.clone());
    let memory = NewMemory::new(tenant.clone(), MemoryKind::Fact, text);
    let id = memories.remember(&memory, &[]).await.unwrap().id;
    let forgotten = memories.forget(&tenant, &id).await.unwrap().unwrap();
    assert_eq!(forgotten.residue, Vec::<std::path::PathBuf>::new());
    let left = store.approvals(None, true, 10).await.unwrap();
    assert_eq!(left.iter().map(|one| &one.id).collect::<Vec<_>>(), [&kept.id]);
}

#[tokio::test]
async fn what_is_forgotten_is_in_no_title_and_where_it_must_stay_is_named() {
    let (_home, store) = store().await;
    let text = "Maria lives at 12 Elm Street in Springfield";
    let titled = NewRun { title: Some(format!("ask whether {text}")), ..NewRun::new(run("run-1"), "", "") };
    store.create_run(titled).await.unwrap();
    let arguments = || Arguments { always: vec![format!("--goal=find out whether {text}")], first: vec![] };
    let work = Work::Run { agent: "agent.toml".to_owned(), arguments: arguments(), queue: None };
    store.add_schedule(NewSchedule { work, ..schedule("a") }).await.unwrap();
    let on_a_server = store.server().is_some();
    let over = run("run-2");
    if on_a_server {
        for id in [over.clone(), run("run-3")] {
            let submission = Submission {
                run: id,
                path: "agent.toml".to_owned(),
                agent: String::new(),
                arguments: arguments(),
                labels: Vec::new(),
                submitted_ms: 1,
            };
            store.submit(&submission).await.unwrap();
        }
        assert!(store.cancel_queued(&over, 2).await.unwrap());
    }
    let tenant = Tenant::new("t").unwrap();
    let memories = Memories::new(store.clone());
    let forget = async || {
        let memory = NewMemory::new(tenant.clone(), MemoryKind::Fact, text);
        let id = memories.remember(&memory, &[]).await.unwrap().id;
        memories.forget(&tenant, &id).await.unwrap().unwrap().kept
    };
    let kept = forget().await;
    let named = |word: &str| kept.iter().any(|place| place.contains(word));
    assert!(named("schedule list"), "{kept:?}");
    assert_eq!((named("queue list"), kept.len()), (on_a_server, 1 + usize::from(on_a_server)), "{kept:?}");
    assert_eq!(store.run("run-1").await.unwrap().title, None);
    store.remove_schedule("a", 3).await.unwrap();
    if on_a_server {
        let left: Vec<RunId> =
            store.queue().await.unwrap().into_iter().map(|one| one.submission.run).collect();
        assert_eq!(left, [run("run-3")], "what is over is deleted");
        assert!(store.cancel_queued(&run("run-3"), 4).await.unwrap());
    }
    assert_eq!(forget().await, Vec::<String>::new());
}

#[tokio::test]
async fn messages_that_were_given_up_do_not_pile_up() {
    let (_home, store) = store().await;
    for number in 0..1010 {
        let message = message(number);
        assert!(store.post(&message).await.unwrap());
        let taken = store.take_message(None, 2000, 0).await.unwrap().unwrap();
        store.message_failed(taken.no, "gone", None, 2000).await.unwrap();
    }
    assert_eq!(store.message_counts().await.unwrap(), (0, 0, 1000));
}

/// Each record is reported once, whichever process saw it. Records from before the first subscription are not reported.
#[tokio::test]
async fn news_of_a_record_are_kept_once_and_old_ones_not_at_all() {
    let (_home, store) = store().await;
    let mut writer = store.create_run(NewRun::new(run("run-1"), "crafter", "model")).await.unwrap();
    for n in 1..=3 {
        writer.append("step", n, json!({"n": n}), vec![]).await.unwrap();
    }
    writer.close(RunStatus::Paused).await.unwrap();
    let message = message(0);
    let one = std::slice::from_ref(&message);
    let post = async |event: &'static str, seq| {
        store.post_of_record(&run("run-1"), (event, EventSeq(seq)), one).await.unwrap()
    };
    assert_eq!(post("goal", 1).await, Posted::Known, "nobody has begun");
    let marks = store.begin_telling(&run("run-1"), &["goal", "died"]).await.unwrap();
    assert_eq!(
        (marks["goal"], marks["died"]),
        (EventSeq(3), EventSeq(3)),
        "what is there already is no news"
    );
    assert_eq!(post("goal", 3).await, Posted::Known);
    let mut writer = store.resume_run(&run("run-1")).await.unwrap();
    for n in 4..=6 {
        writer.append("step", n, json!({"n": n}), vec![]).await.unwrap();
    }
    writer.close(RunStatus::Paused).await.unwrap();
    assert_eq!(post("goal", 5).await, Posted::Kept);
    assert_eq!(post("goal", 5).await, Posted::Known, "by another process");
    assert_eq!(post("died", 5).await, Posted::Kept, "kinds of events are counted apart");
    let marks = store.begin_telling(&run("run-1"), &["goal"]).await.unwrap();
    assert_eq!(marks, std::collections::BTreeMap::from([("goal".to_owned(), EventSeq(5))]));
    assert_eq!(post("goal", 6).await, Posted::Kept, "what an earlier process did not tell");
    assert_eq!(post("died", 6).await, Posted::Known, "nobody wants to know of that any more");
    assert_eq!(store.begin_telling(&run("run-1"), &["died"]).await.unwrap()["died"], EventSeq(6));
    assert_eq!(store.message_counts().await.unwrap().0, 3);
    for _ in 3..1000 {
        assert!(store.post(&message).await.unwrap());
    }
    assert_eq!(post("died", 7).await, Posted::Full);
    let taken = store.take_message(None, 1, 0).await.unwrap().unwrap();
    store.message_delivered(taken.no, 1).await.unwrap();
    assert_eq!(post("died", 7).await, Posted::Kept, "what did not fit was not marked as told");
}

mod with_postgres_alone {
    use super::*;

    /// Schedulers of several machines read the same tables at the same time.
    #[test]
    fn of_two_schedulers_one_submits_a_due_run_and_one_tells_of_its_end() {
        sojourn_testkit::in_postgres(|| crate::common::runtime().block_on(one_submits_and_one_tells()));
    }

    async fn one_submits_and_one_tells() {
        let (_home, store) = store().await;
        let schedule = store.add_schedule(schedule("a")).await.unwrap();
        record(&store, &schedule, 1000, &[due(1000)]).await.unwrap();
        let job = store.open_jobs().await.unwrap().remove(0);
        let submission = Submission {
            run: job.run.clone(),
            path: "/agent.toml".to_owned(),
            agent: "environment = \"crafter\"".to_owned(),
            arguments: Arguments::default(),
            labels: vec!["gpu".to_owned()],
            submitted_ms: 1500,
        };
        let (one, other) =
            tokio::join!(store.submit_job(job.no, &submission), store.submit_job(job.no, &submission));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(one != other, "one of them does it: {one} and {other}");
        let queue = store.queue().await.unwrap();
        assert_eq!((queue.len(), &queue[0].submission), (1, &submission));
        let now = store.open_jobs().await.unwrap().remove(0);
        assert_eq!((now.state, now.starts, now.started_ms), (JobState::Running, 1, Some(1500)));

        let (one, other) = tokio::join!(store.hold_job(job.no, 2000, 50), store.hold_job(job.no, 2000, 50));
        assert!(one.unwrap() != other.unwrap(), "one of them tells of the end");
        assert!(!store.hold_job(job.no, 2049, 50).await.unwrap());
        assert!(
            store.hold_job(job.no, 2050, 50).await.unwrap(),
            "after one that died in between another tells"
        );
        store.end_job(job.no, JobState::Finished, "", 2060).await.unwrap();
        assert!(!store.hold_job(job.no, 9000, 50).await.unwrap());
        assert!(!store.submit_job(job.no, &submission).await.unwrap(), "it is settled");

        // A run that has begun, as one that was copied from a home, is put there too.
        record(&store, &Schedule { seen_ms: 1000, ..schedule }, 2000, &[due(2000)]).await.unwrap();
        let job = store.open_jobs().await.unwrap().remove(0);
        let begun = store.create_run(NewRun::new(job.run.clone(), "crafter", "model")).await.unwrap();
        begun.close(RunStatus::Paused).await.unwrap();
        let submission = Submission { run: job.run.clone(), ..submission };
        assert!(matches!(store.submit(&submission).await, Err(Error::RunExists { .. })), "a person does not");
        assert!(store.submit_job(job.no, &submission).await.unwrap());
        let clock_ms = store.clock_ms().await.unwrap();
        assert!(clock_ms > 1_700_000_000_000, "{clock_ms}");
    }

    #[test]
    fn a_database_for_a_while_is_apart_from_the_store_and_is_removed() {
        let Some(server) = sojourn_testkit::Postgres::start() else { return };
        let url = server.database("agents");
        crate::common::runtime().block_on(async {
            let home = tempfile::tempdir().unwrap();
            let agents: sojourn_memory::Server = url.parse().unwrap();
            let scratch = sojourn_memory::ScratchDatabase::create(&agents).await.unwrap();
            let owner = sojourn_memory::Owner::alone();
            let store = Store::connect(home.path(), scratch.server(), owner.clone()).await.unwrap();
            let writer = store.create_run(NewRun::new(run("run-1"), "crafter", "model")).await.unwrap();
            writer.close(RunStatus::Paused).await.unwrap();
            let beside = Store::connect(home.path(), &agents, owner).await.unwrap();
            assert_eq!(beside.runs().await.unwrap().len(), 0);
            scratch.remove().await.unwrap();
        });
        let left = "SELECT count(*) FROM pg_database WHERE datname LIKE 'sojourn_scratch%'";
        assert_eq!(server.sql("agents", left), "0");
        // What a process that was killed long ago has left goes when the next one is made; what is not its own stays.
        server.database("sojourn_scratch_1700000000_5_7");
        server.database("sojourn_scratch_of_somebody");
        crate::common::runtime().block_on(async {
            let agents: sojourn_memory::Server = url.parse().unwrap();
            sojourn_memory::ScratchDatabase::create(&agents).await.unwrap().remove().await.unwrap();
        });
        let names = "SELECT string_agg(datname, ',') FROM pg_database WHERE datname LIKE 'sojourn_scratch%'";
        assert_eq!(server.sql("agents", names), "sojourn_scratch_of_somebody");
    }
}

sojourn_testkit::also_in_postgres!(
    a_due_time_is_recorded_once_whoever_is_first,
    a_schedule_starts_runs_or_collects_logs,
    a_clock_that_was_ahead_records_no_due_time_twice,
    a_schedule_that_was_paused_or_removed_meanwhile_records_nothing,
    a_question_is_answered_once_and_by_its_whole_name,
    questions_without_a_time_do_not_hide_those_whose_time_is_over,
    what_is_forgotten_is_in_no_question_either,
    what_is_forgotten_is_in_no_title_and_where_it_must_stay_is_named,
    messages_that_were_given_up_do_not_pile_up,
    news_of_a_record_are_kept_once_and_old_ones_not_at_all,
);
