//! A site as an environment: the start of episodes, and when a goal counts as reached.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails; one that is skipped says so"
)]

use crate::support::{Server, action, chromium, text, world};
use serde_json::json;
use sojourn_tools::{EndingKind, Environment};

#[tokio::test]
async fn an_episode_starts_without_the_session_of_the_previous_one() {
    if chromium().is_none() {
        return;
    }
    let server = Server::start().await;
    let success = "document.body.innerText.includes('Welcome')";
    let mut site = world(&server, "/session", success, &json!({}));
    for seed in 0..2 {
        site.reset(seed).await.unwrap();
        assert!(text(&site).contains("Who are you?"));
        let done = site.step(&action("click(\"Look again\")")).await.unwrap();
        assert_eq!(done.unlocked, ["do_it"]);
        assert_eq!(done.ended.unwrap().kind, EndingKind::Succeeded);
    }
    // A practice environment is signed out, too.
    let mut practice = site.practice().unwrap();
    practice.reset(0).await.unwrap();
    assert!(text(&*practice).contains("Who are you?"));
}

#[tokio::test]
async fn a_goal_that_is_true_from_the_start_does_not_count() {
    if chromium().is_none() {
        return;
    }
    let server = Server::start().await;
    let success = "document.body.innerText.includes('Welcome')";
    let mut site = world(&server, "/session", success, &json!({"keep_session": true}));
    site.reset(0).await.unwrap();
    assert!(site.step(&action("click(\"Look again\")")).await.unwrap().ended.is_some());
    // Already signed in, so no action achieves the goal.
    site.reset(1).await.unwrap();
    assert!(text(&site).contains("Welcome back"));
    let idle = site.step(&action("wait(1)")).await.unwrap();
    assert!(idle.ended.is_none() && idle.unlocked.is_empty());
}

/// A canvas has no elements: only a point of its picture can be clicked.
#[tokio::test]
async fn a_point_of_the_picture_is_clicked_where_the_site_offers_it() {
    if chromium().is_none() {
        return;
    }
    let server = Server::start().await;
    let success = "document.getElementById('said').textContent === 'started'";
    let mut site = world(&server, "/pages/canvas.html", success, &json!({"points": true}));
    assert!(site.spec().tools.iter().any(|tool| tool.name == "click_at"));
    site.reset(0).await.unwrap();
    let picture = site.frame().await.unwrap();
    assert_eq!(&picture.bytes[1..4], b"PNG");
    let missed = site.step(&action("click_at(20, 20)")).await.unwrap();
    assert!(missed.ended.is_none() && text(&site).contains("missed"), "{}", text(&site));
    // The page puts the canvas 8 pixels from its edges; the button is at 250, 200 of it.
    let hit = site.step(&action("click_at(300, 228)")).await.unwrap();
    assert_eq!(hit.unlocked, ["do_it"]);
    let plain = world(&server, "/pages/canvas.html", success, &json!({}));
    assert!(plain.spec().tools.iter().all(|tool| tool.name != "click_at"));
}
