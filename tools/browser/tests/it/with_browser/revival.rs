//! A browser that dies in mid-episode. The test has a process of its own, whose browsers are all killed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails; one that is skipped says so"
)]

use crate::support::{Server, action, chromium, text, world};
use serde_json::json;
use sojourn_tools::{EndingKind, Environment, EnvironmentError};

#[test]
fn an_episode_survives_the_death_of_its_browser() {
    sojourn_testkit::alone!("an_episode_survives_the_death_of_its_browser", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(episode());
    });
}

async fn episode() {
    if chromium().is_none() {
        return;
    }
    let server = Server::start().await;
    let mut site = world(
        &server,
        "/keys",
        "document.querySelector('p').innerText === 'Enter'",
        &json!({"timeout_ms": 10_000}),
    );
    assert!(matches!(site.step(&action("back()")).await, Err(EnvironmentError::NotRunning)));
    site.reset(0).await.unwrap();
    crate::support::signal_children("-KILL");
    let step = site.step(&action("type(\"Name\", \"x\")")).await.unwrap();
    assert!(step.ended.is_none());
    assert!(text(&site).contains("it was restarted and the page was opened again"), "{}", text(&site));
    // One that answers nothing is as good as dead, after the time that an answer may take.
    crate::support::signal_children("-STOP");
    let step = site.step(&action("type(\"Name\", \"y\")")).await.unwrap();
    assert!(step.ended.is_none());
    assert!(text(&site).contains("does not answer any more; it was restarted"), "{}", text(&site));
    assert!(site.step(&action("nonsense")).await.is_err());
    let done = site.step(&action("press(\"Enter\")")).await.unwrap();
    assert_eq!(done.ended.unwrap().kind, EndingKind::Succeeded);
    assert!(matches!(site.step(&action("back()")).await, Err(EnvironmentError::NotRunning)));
}
