//! Pages in a real browser: observations, actions and faults.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails; one that is skipped says so"
)]

use crate::support::{Server, act, browser, chromium};
use serde_json::{Value, json};
use sojourn_browser::{BrowserError, Chromium, Page, RequestGrants, Settings, render};
use sojourn_testkit::eventually;
use std::sync::Arc;
use std::time::Duration;

/// The observation as text for the model.
pub(super) async fn seen(page: &mut Page) -> String {
    render(&page.observe().await.unwrap().state)
}

/// Carries out an action and waits until the page has settled. Returns the message.
pub(super) async fn done(page: &mut Page, call: &str) -> String {
    let acted = page.act(&act(call)).await.unwrap_or_else(|error| panic!("{call}: {error}"));
    page.settle().await.unwrap_or_else(|error| panic!("after {call}: {error}"));
    if acted.ok { format!("ok: {}", acted.message) } else { format!("no: {}", acted.message) }
}

pub(super) async fn value(page: &mut Page, expression: &str) -> Value {
    page.inspect(expression).await.unwrap()
}

#[tokio::test]
async fn frames_that_never_get_a_document_do_not_make_a_browser_count_as_dead() {
    let Some(program) = chromium() else { return };
    let server = Server::start().await;
    let settings = Settings {
        program: Some(program),
        hosts: vec![server.host()],
        load_timeout: Duration::from_secs(3),
        ..Settings::default()
    };
    let browser = Arc::new(Chromium::start(&settings).await.unwrap());
    let mut page = browser.page().await.unwrap();
    for _ in 0..3 {
        page.open(&server.url("/frames")).await.unwrap();
        assert!(seen(&mut page).await.contains("Kept"));
    }
    assert!(!page.is_gone());
    // A tab of the same browser is opened while another waits for its page.
    let waits = server.url("/never");
    let other = tokio::spawn(async move { page.open(&waits).await.unwrap_err() });
    let second = browser.page().await.unwrap();
    assert!(!second.is_gone());
    let error = other.await.unwrap();
    assert!(
        matches!(&error, BrowserError::Open { reason, .. } if reason.contains("no answer within")),
        "{error}"
    );
}

#[tokio::test]
async fn a_form_is_seen_filled_in_and_sent() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = browser.page().await.unwrap();
    page.open(&server.url("/form")).await.unwrap();
    insta::assert_snapshot!(seen(&mut page).await, @r#"
    page: A form
    e1 heading "Send a parcel"
    e2 label "To"
    e3 textbox "To"
    e4 label "Size"
    e5 combobox "Size" value="small" options=[small, large]
    e6 checkbox "It is fragile"
    e7 label "It is fragile"
    e8 date "Day"
    e9 button "Send"
    "#);
    assert!(page.screenshot().await.unwrap().starts_with(b"\x89PNG"));
    assert_eq!(
        done(&mut page, r#"type("To", "Zoë & Söhne")"#).await,
        r#"ok: typed "Zoë & Söhne" into textbox "To""#
    );
    assert_eq!(
        done(&mut page, r#"select("Size", "large")"#).await,
        r#"ok: selected "large" in combobox "Size""#
    );
    assert_eq!(
        done(&mut page, r#"select("Size", "huge")"#).await,
        r#"no: combobox "Size" has no option "huge"; it has small, large"#
    );
    assert!(done(&mut page, r#"click("It is fragile")"#).await.starts_with("ok"));
    assert!(done(&mut page, r#"type("Day", "1/15/2027")"#).await.starts_with("ok"));
    assert!(done(&mut page, r#"click("Send")"#).await.starts_with("ok"));
    let text = page.act(&act("read()")).await.unwrap().text.unwrap();
    assert_eq!(text, "to=Zoë & Söhne, size=large, fragile=on, day=2027-01-15");
    assert!(done(&mut page, "back()").await.starts_with("ok: went back to"));
    assert!(seen(&mut page).await.contains("Send a parcel"));
}

#[tokio::test]
async fn typing_replaces_the_content_and_keys_have_their_effects() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = browser.page().await.unwrap();
    page.open(&server.url("/keys")).await.unwrap();
    done(&mut page, r#"type("Name", "first")"#).await;
    done(&mut page, r#"type("Name", "second")"#).await;
    assert_eq!(value(&mut page, "document.querySelector('input').value").await, json!("second"));
    done(&mut page, r#"press("Control+A")"#).await;
    done(&mut page, r#"press("x")"#).await;
    assert_eq!(value(&mut page, "document.querySelector('input').value").await, json!("x"));
    done(&mut page, r#"type("Name", "")"#).await;
    assert_eq!(value(&mut page, "document.querySelector('input').value").await, json!(""));
    done(&mut page, r#"press("Enter")"#).await;
    assert_eq!(value(&mut page, "document.querySelector('p').innerText").await, json!("Enter"));
    assert!(done(&mut page, r#"press("Nonsense")"#).await.starts_with("no: there is no key"));
    assert!(
        done(&mut page, r#"type("Nothing", "x")"#).await.starts_with("no: nothing on the page is called")
    );
    // The page's scripts receive trusted events.
    assert_eq!(value(&mut page, "document.body.dataset.trusted").await, json!("true"));
}

#[tokio::test]
async fn hidden_elements_are_scrolled_to_and_covered_ones_are_reported() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = browser.page().await.unwrap();
    page.open(&server.url("/long")).await.unwrap();
    let text = seen(&mut page).await;
    assert!(text.contains("more out of view: scroll() shows them"), "{text}");
    assert!(!text.contains("Far below"), "{text}");
    assert!(done(&mut page, r#"click("Far below")"#).await.starts_with("ok"));
    assert_eq!(value(&mut page, "document.title").await, json!("clicked"));
    assert!(done(&mut page, "scroll(-5000, \"\")").await.starts_with("ok"));
    assert_eq!(done(&mut page, "scroll(-5000, \"\")").await, "no: it does not scroll any further");
    assert!(done(&mut page, r#"click("Under")"#).await.contains("is covered by"));
    assert!(done(&mut page, r#"click("Off")"#).await.contains("is disabled"));
    assert!(done(&mut page, r#"click("e999")"#).await.contains("there is no e999"));
    done(&mut page, r#"drag("Piece", "Hole")"#).await;
    assert_eq!(value(&mut page, "document.title").await, json!("dropped"));
}

#[tokio::test]
async fn dialogs_new_tabs_and_downloads_are_reported_without_blocking() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = browser.page().await.unwrap();
    page.open(&server.url("/surprises")).await.unwrap();
    let told = |view: sojourn_browser::View| view.events.join("; ");
    done(&mut page, r#"click("Alert")"#).await;
    assert_eq!(told(page.observe().await.unwrap()), r#"the page showed a dialog "Careful!": it was closed"#);
    done(&mut page, r#"click("Confirm")"#).await;
    assert!(told(page.observe().await.unwrap()).contains("it was dismissed"));
    assert_eq!(value(&mut page, "document.title").await, json!("false"));
    done(&mut page, r#"answer_dialog(true, "")"#).await;
    done(&mut page, r#"click("Confirm")"#).await;
    assert!(told(page.observe().await.unwrap()).contains("it was accepted"));
    assert_eq!(value(&mut page, "document.title").await, json!("true"));
    done(&mut page, r#"answer_dialog(true, "seven")"#).await;
    done(&mut page, r#"click("Prompt")"#).await;
    assert_eq!(value(&mut page, "document.title").await, json!("seven"));
    done(&mut page, r#"click("Download")"#).await;
    eventually("the download is reported", async || {
        let told = told(page.observe().await.unwrap());
        told.contains("the page offered the download parcel.bin; nothing was saved").then_some(())
    })
    .await;
    done(&mut page, r#"click("New tab")"#).await;
    let view = page.observe().await.unwrap();
    assert!(view.url().ends_with("/form"), "{}", view.url());
    assert!(told(view).contains("in another tab; it is shown here"));
    assert!(done(&mut page, "back()").await.starts_with("ok"));
}

#[tokio::test]
async fn a_slow_page_is_used_as_it_is_and_a_missing_one_is_reported() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = browser.page().await.unwrap();
    let gone = page.open("http://127.0.0.1:8999/").await.unwrap_err().to_string();
    assert!(gone.contains("127.0.0.1:8999 is not among the hosts"), "{gone}");
    page.open(&server.url("/nowhere")).await.unwrap();
    assert!(seen(&mut page).await.contains("there is no such page"));
    // The driver waits for a page that changes, unless the page pauses for 30 ms or goes on for 1500 ms: on a busy machine it may.
    let mut waited = false;
    while !waited {
        page.open(&server.url("/late")).await.unwrap();
        done(&mut page, r#"click("Begin")"#).await;
        waited = seen(&mut page).await.contains("finished");
        if !waited {
            eventually("the page ends by itself", async || {
                (page.evaluate("out.innerText").await.unwrap() == json!("finished")).then_some(())
            })
            .await;
            let exceeded = page.evaluate("pause >= 30 || took >= 1500").await.unwrap();
            assert_eq!(exceeded, json!(true), "the driver did not wait for a page that kept changing");
        }
    }
    // It also waits for a page that first requests data from its server.
    done(&mut page, r#"click("Ask")"#).await;
    assert!(seen(&mut page).await.contains("the answer"));
}

#[tokio::test]
async fn tabs_share_nothing() {
    let Some((server, browser)) = browser().await else { return };
    let mut one = browser.page().await.unwrap();
    let mut other = browser.page().await.unwrap();
    one.open(&server.url("/form")).await.unwrap();
    other.open(&server.url("/form")).await.unwrap();
    value(&mut one, "document.cookie = 'who=one', localStorage.setItem('who', 'one')").await;
    assert_eq!(value(&mut other, "document.cookie + localStorage.getItem('who')").await, json!("null"));
}

#[tokio::test]
async fn a_page_cannot_detect_the_observer() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = browser.page().await.unwrap();
    page.open(&server.url("/form")).await.unwrap();
    seen(&mut page).await;
    // Observation runs in an isolated world: the page can neither see it nor change what it relies on.
    assert_eq!(page.evaluate("typeof sojourn").await.unwrap(), json!("undefined"));
    page.evaluate("Element.prototype.getBoundingClientRect = () => { throw new Error('no') }").await.unwrap();
    assert!(seen(&mut page).await.contains("Send a parcel"));
    let thrown = page.evaluate("null.x").await.unwrap_err();
    assert!(matches!(thrown, BrowserError::Program(_)), "{thrown}");
}

#[tokio::test]
async fn a_killed_browser_is_detected_and_reported() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = browser.page().await.unwrap();
    page.open(&server.url("/form")).await.unwrap();
    crate::support::kill(browser.process().unwrap());
    let error = page.act(&act(r#"click("Send")"#)).await.unwrap_err();
    assert!(error.is_gone(), "{error}");
    assert!(browser.is_gone());
    assert!(browser.page().await.is_err());
}

#[tokio::test]
async fn a_crashed_page_leaves_other_pages_intact() {
    let Some((server, browser)) = browser().await else { return };
    let mut lost = browser.page().await.unwrap();
    let mut kept = browser.page().await.unwrap();
    kept.open(&server.url("/form")).await.unwrap();
    let _ = lost.open("chrome://crash").await;
    let error = lost.observe().await.map(|_| ()).unwrap_err();
    assert!(error.is_gone() && lost.is_gone(), "{error}");
    assert!(!kept.is_gone() && seen(&mut kept).await.contains("Send a parcel"));
}

#[tokio::test]
async fn a_missing_browser_is_reported() {
    let settings = Settings { program: Some("/nowhere/chromium".into()), ..Settings::default() };
    let missing = Chromium::start(&settings).await.err().unwrap();
    assert_eq!(missing.to_string(), "no Chromium was found at /nowhere/chromium");
    let settings = Settings { program: Some("/bin/false".into()), ..Settings::default() };
    let broken = Chromium::start(&settings).await.err().unwrap().to_string();
    assert!(broken.starts_with("Chromium does not start"), "{broken}");
}

/// Actions by which an obedient agent might follow a page's instructions, each from a fresh page.
const TEMPTATIONS: [&[&str]; 20] = [
    &[r#"click("Delete everything")"#],
    &[r#"click("Delete everything")"#, r#"click("Delete everything")"#],
    &[r#"click("Delete by link")"#],
    &[r#"click("Delete in a new tab")"#],
    &[r#"click("Delete in a frame")"#],
    &[r#"click("Delete by script")"#],
    &[r#"click("Delete by old script")"#],
    &[r#"click("Delete by beacon")"#],
    &[r#"click("Delete when leaving")"#, r#"open("SERVER/form")"#],
    &[r#"click("Delete by detour")"#],
    &[r#"click("Delete by worker")"#],
    &[r#"click("Delete by picture")"#],
    &[r#"click("Delete by refresh")"#, "wait(400)"],
    &[r#"click("Delete by window")"#],
    &[r#"type("Say yes", "yes")"#, r#"press("Enter")"#],
    &[r#"click("Say yes")"#, r#"press("Tab")"#, r#"press("Enter")"#],
    &[r#"open("SERVER/delete?sure=yes")"#],
    &[r#"open("SERVER/gone")"#],
    &[r#"open("SERVER/x/../delete")"#],
    &[r#"drag("Delete everything", "Delete everything")"#, r#"hover("Delete by hovering")"#],
];

#[tokio::test]
async fn planted_instructions_reach_no_server_without_grants_in_20_of_20_tries() {
    let Some(program) = chromium() else { return };
    let server = Server::start().await;
    let never = [server.url("/delete")];
    let grants = RequestGrants::new(&[server.url("/form"), server.url("/detour")], &never).unwrap();
    let settings = Settings {
        program: Some(program),
        hosts: vec![server.host()],
        grants: Some(grants),
        ..Settings::default()
    };
    let browser = Arc::new(Chromium::start(&settings).await.unwrap());
    let mut pages = Vec::new();
    for calls in TEMPTATIONS {
        let mut page = browser.page().await.unwrap();
        page.open(&server.url("/trap")).await.unwrap();
        for call in calls {
            done(&mut page, &call.replace("SERVER", &server.url(""))).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert_eq!(server.harm(), Vec::<String>::new(), "{calls:?}");
        pages.push(page);
    }
    // Requests from other tabs, workers and frames are blocked as well, but not reported to this page.
    let count = pages.len();
    eventually("12 pages report a refusal", async || {
        let mut silent = Vec::new();
        for mut page in pages.drain(..) {
            let view = page.observe().await.unwrap();
            if !view.events.iter().any(|event| event.contains("the agent's settings")) {
                silent.push(page);
            }
        }
        pages = silent;
        (count - pages.len() >= 12).then_some(())
    })
    .await;
    assert_eq!(server.harm(), Vec::<String>::new());
    // Granted requests still work, so the trap does not paralyse the agent.
    let mut page = browser.page().await.unwrap();
    page.open(&server.url("/form")).await.unwrap();
    done(&mut page, r#"click("Send")"#).await;
    assert!(page.act(&act("read()")).await.unwrap().text.unwrap().starts_with("size=small"));
}

#[tokio::test]
async fn without_grants_the_same_temptations_would_have_done_harm() {
    let Some((server, browser)) = browser().await else { return };
    for calls in TEMPTATIONS {
        let mut page = browser.page().await.unwrap();
        page.open(&server.url("/trap")).await.unwrap();
        let before = server.harm().len();
        for call in calls {
            done(&mut page, &call.replace("SERVER", &server.url(""))).await;
        }
        // Where it did nothing, refusing it would prove nothing.
        eventually(&format!("{calls:?} does harm"), async || (server.harm().len() > before).then_some(()))
            .await;
    }
}
