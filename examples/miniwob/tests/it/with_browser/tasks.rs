//! All pages of the package open, equal seeds give equal instances, and the pages' own scripts judge.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails; one that is skipped says so"
)]

use sojourn_browser::WebEnvironment;
use sojourn_miniwob::{list_tasks, open, seed};
use sojourn_tools::{Action, EndingKind, Environment, EnvironmentError, EpisodePrefix};
use std::path::PathBuf;

/// Folder in which `sojourn environments install miniwob` puts the pages. Without them or a browser, tests
/// are skipped.
fn pages() -> Option<PathBuf> {
    let cache =
        || directories::ProjectDirs::from("", "", "sojourn").map(|dirs| dirs.cache_dir().join("miniwob"));
    let place = std::env::var_os("SOJOURN_MINIWOB").map(PathBuf::from).or_else(cache)?;
    let pages = place.join("miniwob/html");
    let there = pages.join("miniwob/click-test.html").is_file() && sojourn_browser::find_chromium().is_some();
    if !there {
        eprintln!("skipped: no Chromium, or no pages; `sojourn environments install miniwob` brings them");
    }
    there.then_some(pages)
}

fn position(world: &WebEnvironment, task: &str) -> (u64, u64) {
    let tasks = &world.spec().tasks;
    let at = tasks.iter().position(|one| one.name == task).unwrap();
    (tasks.len() as u64, at as u64)
}

fn goal(world: &dyn Environment) -> String {
    world.observe().unwrap().state["goal"].as_str().unwrap_or_default().to_owned()
}

fn act(call: &str) -> Action {
    Action(call.to_owned())
}

#[tokio::test]
async fn every_task_opens_and_the_same_seed_is_the_same_task() {
    let Some(pages) = pages() else { return };
    let mut world = open(&pages).unwrap();
    let tasks = list_tasks(&pages).unwrap();
    assert_eq!(tasks.len(), 130);
    let mut empty = Vec::new();
    for (position, task) in (0..).zip(&tasks) {
        let seed = seed(tasks.len() as u64, position, 7);
        assert!(world.spec().tasks.iter().any(|one| one.name == task.identifier() && one.is_in(seed)));
        world.reset(seed).await.unwrap_or_else(|error| panic!("{}: {error}", task.name));
        let first = goal(&world);
        world.reset(seed).await.unwrap();
        assert_eq!(goal(&world), first, "{}", task.name);
        if first.is_empty() {
            empty.push(task.name.clone());
        }
        // An observation has at most about 1500 tokens.
        let seen = world.observe().unwrap().text.chars().count();
        assert!(seen < 6000, "{}: {seen} characters", task.name);
    }
    assert_eq!(empty, Vec::<String>::new(), "what is to be done is told in words");
}

#[tokio::test]
async fn the_pages_judge_the_actions() {
    let Some(pages) = pages() else { return };
    let mut world = open(&pages).unwrap();
    let (tasks, at) = position(&world, "click_test_2");
    world.reset(seed(tasks, at, 1)).await.unwrap();
    assert!(goal(&world).contains("ONE"));
    let done = world.step(&act("click(\"ONE\")")).await.unwrap();
    assert_eq!((done.reward, done.unlocked.as_slice()), (1.0, &["click_test_2".to_owned()][..]));
    assert_eq!(done.ended.unwrap().kind, EndingKind::Succeeded);
    assert!(matches!(world.step(&act("back()")).await, Err(EnvironmentError::NotRunning)));

    world.reset(seed(tasks, at, 1)).await.unwrap();
    let wrong = world.step(&act("click(\"TWO\")")).await.unwrap();
    assert!(wrong.reward < 1.0 && wrong.unlocked.is_empty());
    assert_eq!(wrong.ended.unwrap().kind, EndingKind::Died);
}

#[tokio::test]
async fn an_interrupted_episode_is_restored_and_tabs_are_independent() {
    let Some(pages) = pages() else { return };
    let mut world = open(&pages).unwrap();
    let (tasks, at) = position(&world, "login_user");
    let seed = seed(tasks, at, 5);
    world.reset(seed).await.unwrap();
    let words: Vec<String> = goal(&world).split('"').map(str::to_owned).collect();
    let typed = [
        act(&format!("type(\"Username\", {:?})", words[1])),
        act(&format!("type(\"Password\", {:?})", words[3])),
    ];
    for action in &typed {
        assert!(world.step(action).await.unwrap().ended.is_none());
    }
    let state = world.observe().unwrap().state;

    // Another process restores the interrupted episode; here another tab of the same browser stands for it.
    let mut other = world.practice().unwrap();
    let past = EpisodePrefix { seed, actions: typed.to_vec(), state: state.clone() };
    assert!(other.rejoin(&past).await.unwrap());
    assert_eq!(other.observe().unwrap().state, state);
    for world in [&mut world as &mut dyn Environment, &mut *other] {
        let done = world.step(&act("click(\"Login\")")).await.unwrap();
        assert_eq!(done.ended.unwrap().kind, EndingKind::Succeeded);
    }
}
