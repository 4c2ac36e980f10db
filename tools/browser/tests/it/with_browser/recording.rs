//! What a person does on a page is recorded in the words of the agent, and nothing that a page makes up is.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails; one that is skipped says so"
)]

use crate::support::{Server, act, browser, kill};
use serde_json::Value;
use sojourn_browser::{Chromium, PageAction, RecordedAction, Recorder};
use std::sync::Arc;

async fn recorder(server: &Server, browser: &Arc<Chromium>, page: &str) -> Recorder {
    Recorder::open(browser.page().await.unwrap(), browser, &server.url(page)).await.unwrap()
}

/// Acts in a person's place, by the keys and the pointer of the browser.
async fn does(recorder: &mut Recorder, calls: &[&str]) {
    for call in calls {
        let call = PageAction::call(call).unwrap_or_else(|| panic!("{call}"));
        recorder.perform(&call).await.unwrap().unwrap();
    }
    recorder.finish().await.unwrap();
}

/// `type textbox "To": "ada"`
fn in_words(action: &RecordedAction) -> String {
    let elements = action.state["elements"].as_array().unwrap();
    let args = action.call.args.iter().map(|(name, value)| {
        let element = elements.iter().find(|one| one["id"] == *value && name != "text");
        element.map_or_else(
            || value.to_string(),
            |one| format!("{} {}", one["role"].as_str().unwrap(), one["name"]),
        )
    });
    let mut args: Vec<String> = args.collect();
    args.sort();
    let secret = if action.secret { " (secret)" } else { "" };
    format!("{} {}{secret}", action.call.name, args.join(", "))
}

fn all(recorder: &Recorder) -> Vec<String> {
    recorder.actions().iter().map(in_words).collect()
}

#[tokio::test]
async fn what_is_typed_pressed_chosen_and_clicked_is_recorded() {
    let Some((server, browser)) = browser().await else { return };
    let mut recorder = recorder(&server, &browser, "/form").await;
    // A list is chosen from by keys, as a person does it.
    does(
        &mut recorder,
        &[
            "type(\"To\", \"ada\")",
            "type(\"To\", \"ada lovelace\")",
            "press(\"Tab\")",
            "press(\"ArrowDown\")",
            "click(\"It is fragile\")",
            "click(\"Send\")",
        ],
    )
    .await;
    assert_eq!(
        all(&recorder),
        [
            "type \"ada lovelace\", textbox \"To\"",
            "select \"large\", combobox \"Size\"",
            "click checkbox \"It is fragile\"",
            "click button \"Send\"",
        ]
    );
    assert_eq!(recorder.sent().iter().collect::<Vec<_>>(), [&server.url("/form")]);
    assert!(recorder.last()["elements"].to_string().contains("to=ada lovelace"), "{}", recorder.last());
    // The page before an action is the page that the person saw.
    let first = &recorder.actions()[0].state["elements"];
    assert!(
        first.to_string().contains("Send a parcel") && !first.to_string().contains("lovelace"),
        "{first}"
    );
    assert_eq!(recorder.holds("document.title === ''").await, Some(true));
}

#[tokio::test]
async fn what_is_typed_into_fields_for_passwords_is_marked_as_secret() {
    let Some((server, browser)) = browser().await else { return };
    let mut recorder = recorder(&server, &browser, "/secret").await;
    does(
        &mut recorder,
        &[
            "type(\"Name\", \"ada\")",
            "type(\"Password\", \"lovelace\")",
            "click(\"Show\")",
            "type(\"Password\", \"lovelace-2\")",
            "type(\"Card\", \"4111\")",
            "type(\"Masked\", \"hush\")",
        ],
    )
    .await;
    assert_eq!(
        all(&recorder),
        [
            "type \"ada\", textbox \"Name\"",
            "type \"lovelace\", textbox \"Password\" (secret)",
            "click button \"Show\"",
            // The page has made the field an ordinary one.
            "type \"lovelace-2\", textbox \"Password\" (secret)",
            "type \"4111\", textbox \"Card\" (secret)",
            "type \"hush\", textbox \"Masked\" (secret)",
        ]
    );
}

#[tokio::test]
async fn a_page_can_neither_forge_actions_nor_see_that_it_is_recorded() {
    let Some((server, browser)) = browser().await else { return };
    let mut recorder = recorder(&server, &browser, "/forger").await;
    // The page forges events while it loads, and again when it is clicked.
    assert_eq!(all(&recorder), [""; 0]);
    does(&mut recorder, &["click(\"Go \\\"now\\\"\")"]).await;
    assert_eq!(all(&recorder), ["click button \"Go \\\"now\\\"\""]);
    let seen = recorder.page().evaluate("document.getElementById('out').textContent").await.unwrap();
    assert_eq!(
        seen,
        Value::from("undefined,undefined,undefined,forged"),
        "what the page found of the recorder"
    );
    let actions = recorder.actions().len();
    let forged = recorder
        .page()
        .evaluate("window.sojournTell ? sojournTell('{\"tool\":\"click\",\"id\":\"e1\"}') : 'none'")
        .await;
    assert_eq!(forged.unwrap(), Value::from("none"));
    recorder.finish().await.unwrap();
    assert_eq!(recorder.actions().len(), actions);
}

#[tokio::test]
async fn a_click_by_keyboard_counts_once_and_a_form_that_is_sent_by_enter_is_a_key() {
    let Some((server, browser)) = browser().await else { return };
    let mut recorder = recorder(&server, &browser, "/form").await;
    does(&mut recorder, &["type(\"To\", \"ada\")", "press(\"Enter\")"]).await;
    assert_eq!(all(&recorder), ["type \"ada\", textbox \"To\"", "press \"Enter\""]);
    assert!(recorder.last()["elements"].to_string().contains("to=ada"));
    let mut recorder = self::recorder(&server, &browser, "/form").await;
    does(&mut recorder, &["press(\"Tab\")", "press(\"Tab\")", "press(\"Tab\")", "press(\"Space\")"]).await;
    assert_eq!(all(&recorder), ["click checkbox \"It is fragile\""]);
}

#[tokio::test]
async fn the_end_of_a_window_ends_the_recording() {
    let Some((server, browser)) = browser().await else { return };
    let mut recorder = recorder(&server, &browser, "/form").await;
    recorder.page().act(&act("type(\"To\", \"ada\")")).await.unwrap();
    recorder.page().act(&act("click(\"It is fragile\")")).await.unwrap();
    while recorder.actions().len() < 2 {
        assert!(recorder.wait().await.unwrap());
    }
    // With its last window the browser ends.
    kill(browser.process().unwrap());
    while recorder.wait().await.unwrap() {}
    recorder.finish().await.unwrap();
    assert_eq!(all(&recorder), ["type \"ada\", textbox \"To\"", "click checkbox \"It is fragile\""]);
    assert_eq!(recorder.holds("true").await, None);
}
