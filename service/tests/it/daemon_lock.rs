//! The daemon's lock beside those of runs.

use sojourn_memory::{NewRun, RunId, Store};
use sojourn_service::DaemonLock;

#[tokio::test]
async fn a_run_called_daemon_is_not_the_daemon() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    let run: RunId = "daemon".parse().unwrap();
    drop(store.create_run(NewRun::new(run.clone(), "", "")).await.unwrap());
    let daemon = DaemonLock::take(home.path()).unwrap();
    assert!(!store.is_live(&run).await.unwrap(), "to stop the run would stop the daemon");
    let writer = store.resume_run(&run).await.unwrap();
    drop(daemon);
    assert_eq!(DaemonLock::holder(home.path()), None);
    let _daemon = DaemonLock::take(home.path()).unwrap();
    drop(writer);
}
