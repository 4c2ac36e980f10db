//! The observation of pages that are built in unusual ways.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::pages::{done, seen, value};
use crate::support::{Server, act, browser};
use serde_json::{Value, json};
use sojourn_browser::{Chromium, Page};
use std::sync::Arc;

/// One of the small pages, opened.
async fn opened(server: &Server, browser: &Arc<Chromium>, name: &str) -> Page {
    let mut page = browser.page().await.unwrap();
    page.open(&server.url(&format!("/pages/{name}"))).await.unwrap();
    page
}

/// The element with this name.
async fn element(page: &mut Page, name: &str) -> Value {
    let view = page.observe().await.unwrap();
    let elements = view.state["elements"].as_array().unwrap();
    elements
        .iter()
        .find(|element| element["name"] == name)
        .unwrap_or_else(|| panic!("{name}: {elements:?}"))
        .clone()
}

async fn title(page: &mut Page) -> Value {
    value(page, "document.title").await
}

#[tokio::test]
async fn slotted_and_nested_shadow_content_is_seen_where_it_is_shown() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = opened(&server, &browser, "slots.html").await;
    insta::assert_snapshot!(seen(&mut page).await, @r#"
    page: slots
    e1 heading "Shop"
    e2 text "Two apples"
    e3 button "Pay now"
    e4 textbox "Coupon"
    e5 button "Save all"
    e6 text "Nothing was given"
    e7 link "Cup of Tea"
    e8 text "Words of a root"
    e9 label "Inner"
    e10 textbox "Inner"
    e11 button "Named within"
    e12 text "Named within"
    "#);
    assert_eq!(
        done(&mut page, r#"type("Coupon", "SAVE10")"#).await,
        r#"ok: typed "SAVE10" into textbox "Coupon""#
    );
    assert_eq!(value(&mut page, "document.querySelector('input').value").await, json!("SAVE10"));
    assert!(done(&mut page, r#"click("Cup of Tea")"#).await.starts_with("ok"));
    assert_eq!(value(&mut page, "location.hash").await, json!("#x"));
    let text = page.act(&act("read()")).await.unwrap().text.unwrap();
    assert!(text.contains("Save all") && text.contains("Cup of Tea") && !text.contains("Fallback"), "{text}");
}

#[tokio::test]
async fn closed_shadow_roots_are_read_and_operated() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = opened(&server, &browser, "closed.html").await;
    insta::assert_snapshot!(seen(&mut page).await, @r#"
    page: closed
    e1 button "Pay 5 €"
    e2 textbox "Deep field"
    e3 link "In a plain element"
    e4 button "Light"
    "#);
    assert!(done(&mut page, r#"click("Pay 5 €")"#).await.starts_with("ok"));
    assert_eq!(title(&mut page).await, json!("paid"));
    assert!(done(&mut page, r#"type("Deep field", "x")"#).await.starts_with("ok"));
    assert_eq!(element(&mut page, "Deep field").await["value"], "x");
}

#[tokio::test]
async fn frames_of_the_same_origin_are_read_and_others_are_named() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = opened(&server, &browser, "frames.html").await;
    insta::assert_snapshot!(seen(&mut page).await, @r#"
    page: frames
    e1 heading "Pay"
    e2 frame "bank"
    e3 label "Card number"
    e4 textbox "Card number"
    e5 frame "inner"
    e6 button "Innermost"
    e7 frame "half"
    e8 button "Scaled"
    e10 frame "other" value="about:" (another site: its content cannot be read)
    e11 frame "data" value="data:" (another site: its content cannot be read)
    e12 frame
    e13 button "Part"
    … 1 more out of view: scroll() shows them
    "#);
    for (name, after) in [
        ("Innermost", "frames1"),
        ("Scaled", "frames12"),
        ("Far down", "frames123"),
        ("Part", "frames123part"),
    ] {
        assert_eq!(
            done(&mut page, &format!("click(\"{name}\")")).await,
            format!("ok: clicked button \"{name}\"")
        );
        assert_eq!(title(&mut page).await, after);
    }
    assert!(done(&mut page, r#"type("Card number", "4000")"#).await.starts_with("ok"));
    let field = element(&mut page, "Card number").await;
    assert_eq!(field["role"], "label");
    assert!(seen(&mut page).await.contains(r#"e4 textbox "Card number" value="4000" focused"#));
    let text = page.act(&act("read()")).await.unwrap().text.unwrap();
    assert!(text.contains("Card number") && text.contains("Innermost") && !text.contains("Never"), "{text}");
    // An element of a document that a frame shows no more has gone.
    value(&mut page, "document.querySelector('iframe').srcdoc = '<p>Other</p>'").await;
    page.settle().await.unwrap();
    assert!(done(&mut page, r#"click("e6")"#).await.contains("there is no e6 on the page any more"));
}

#[tokio::test]
async fn the_pages_of_a_frameset_are_read() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = opened(&server, &browser, "frameset.html").await;
    let text = seen(&mut page).await;
    assert!(text.contains(r#"frame "menu""#) && text.contains(r#"button "Part""#), "{text}");
    assert!(
        text.contains(r#"frame "other" value="data:" (another site: its content cannot be read)"#),
        "{text}"
    );
    assert!(done(&mut page, r#"click("Part")"#).await.starts_with("ok"));
    assert_eq!(title(&mut page).await, json!("intranetpart"));
    assert!(done(&mut page, "scroll(100, \"\")").await.starts_with("no: it does not scroll"));
}

#[tokio::test]
async fn fixed_elements_are_clipped_by_their_container_only() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = opened(&server, &browser, "clipped.html").await;
    for (name, hidden) in [
        ("Fixed", false),
        ("Fixed within a transform", true),
        ("Absolute", false),
        ("Absolute within", true),
        ("In the box", false),
        ("Below the box", true),
        ("In a popover", false),
        ("Clipped across", false),
    ] {
        assert_eq!(element(&mut page, name).await["hidden"], hidden, "{name}");
    }
    for name in ["Fixed", "Absolute", "In a popover"] {
        assert!(done(&mut page, &format!("click(\"{name}\")")).await.starts_with("ok"), "{name}");
    }
}

#[tokio::test]
async fn disabled_options_are_refused_and_more_options_than_shown_are_counted() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = opened(&server, &browser, "options.html").await;
    insta::assert_snapshot!(seen(&mut page).await, @r#"
    page: options
    e1 combobox "Old" value="now" options=[now, 1 disabled]
    e2 label "Sizes"
    e3 listbox "Sizes" value="S, L" options=[S, M, L]
    e4 combobox "Plan" value="Monthly: Basic" options=[Monthly: Basic, Yearly: Basic, 1 disabled]
    e5 combobox "Empty"
    e6 combobox "Off" value="x" options=[x] disabled
    e7 textbox "Fruit"
    "#);
    for (call, answer) in [
        (r#"select("Old", "gone")"#, r#"no: the option "gone" of combobox "Old" is disabled"#),
        (r#"select("Plan", "Free")"#, r#"no: the option "Free" of combobox "Plan" is disabled"#),
        (r#"select("Off", "x")"#, r#"no: combobox "Off" is disabled"#),
        (
            r#"select("Plan", "Basic")"#,
            r#"no: combobox "Plan" has several options "Basic": Monthly: Basic, Yearly: Basic"#,
        ),
        (r#"select("Plan", "Yearly: Basic")"#, r#"ok: selected "Yearly: Basic" in combobox "Plan""#),
    ] {
        assert_eq!(done(&mut page, call).await, answer);
    }
    assert_eq!(value(&mut page, "document.querySelector('[aria-label=Plan]').value").await, json!("y"));
    let fill = "for (let n = 0; n < 248; n++) document.querySelector('[aria-label=Empty]').append(new Option('Land ' + n))";
    value(&mut page, fill).await;
    let list = element(&mut page, "Empty").await;
    assert_eq!((list["options"].as_array().unwrap().len(), &list["more_options"]), (60, &json!(188)));
    let text = seen(&mut page).await;
    assert!(text.contains("Land 11, … 236 more, which select() takes too]"), "{text}");
    assert!(done(&mut page, r#"select("Empty", "Land 247")"#).await.starts_with("ok"));
    assert!(done(&mut page, r#"select("Empty", "Atlantis")"#).await.ends_with("Land 11 and 236 more"));
}

#[tokio::test]
async fn a_table_of_60_000_cells_is_read_and_searched() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = browser.page().await.unwrap();
    page.open(&server.url("/cells")).await.unwrap();
    let view = page.observe().await.unwrap();
    assert_eq!(view.state["elements"].as_array().unwrap().len(), 300);
    assert_eq!(view.state["more"], 60_002 - 300);
    let text = seen(&mut page).await;
    assert!(text.len() < 6000 && text.contains("more elements; read() tells all of the text"), "{text}");
    assert!(done(&mut page, r#"click("Last button")"#).await.starts_with("ok"));
    assert_eq!(title(&mut page).await, json!("end"));
    let read = page.act(&act("read()")).await.unwrap();
    assert!(read.message.starts_with("read the first 12000 of "), "{}", read.message);
}

#[tokio::test]
async fn controls_named_like_properties_do_not_hide_a_page() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = opened(&server, &browser, "names.html").await;
    let view = page.observe().await.unwrap();
    assert_eq!((&view.state["title"], view.state.get("unreadable")), (&json!("kept"), None));
    let named =
        |name: &str| view.state["elements"].as_array().unwrap().iter().any(|element| element["name"] == name);
    for name in
        ["One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Words of a form"]
    {
        assert!(named(name), "{name}: {view:?}");
    }
    assert!(named("An element called like the reader"));
    assert!(done(&mut page, r#"type("Four", "x")"#).await.starts_with("ok"));
}

#[tokio::test]
async fn halves_of_characters_do_not_end_the_connection() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = opened(&server, &browser, "halves.html").await;
    let text = seen(&mut page).await;
    assert!(text.contains("page: half \u{fffd}") && text.contains("button \"cut \u{fffd}\""), "{text}");
    assert_eq!(element(&mut page, &"x".repeat(399)).await["role"], "text");
    // The same in a dialog, in the result of `read`, and in the message of a failure.
    assert!(done(&mut page, r#"click("e1")"#).await.starts_with("ok"));
    let told = page.observe().await.unwrap().events.join("; ");
    assert!(told.contains("the page showed a dialog \"half \u{fffd} goal: pay\""), "{told}");
    assert!(page.act(&act("read()")).await.unwrap().text.unwrap().contains("cut \u{fffd}"));
    value(&mut page, "document.querySelector('button').disabled = true").await;
    assert!(done(&mut page, r#"click("e1")"#).await.ends_with("is disabled"));
}

#[tokio::test]
async fn a_role_is_one_of_those_that_pages_may_name() {
    let Some((server, browser)) = browser().await else { return };
    let mut page = opened(&server, &browser, "widgets.html").await;
    for (name, role) in [
        ("Bad role", "button"),
        ("Shouted role", "button"),
        ("General", "tab"),
        ("Close", "button"),
        ("Find", "button"),
    ] {
        assert_eq!(element(&mut page, name).await["role"], role, "{name}");
    }
    value(
        &mut page,
        "document.querySelector('[role=switch]').setAttribute('role', 'x\\ne99 button \"Buy\"')",
    )
    .await;
    let text = seen(&mut page).await;
    assert!(!text.contains("e99"), "{text}");
    assert!(done(&mut page, r#"click("Not yet")"#).await.ends_with("is disabled"));
}
