//! Observations compared with Chromium's accessibility tree, on all pages of `tests/pages`. A page lists the accepted
//! differences in comments, each with its reason: `<!-- differs: missing option "S" | why -->`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::{browser, fixtures};
use serde_json::{Map, Value};
use sojourn_browser::{AccessibleElement, Page};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Roles of elements that are operated or tell what something is, and what an observation calls them.
const ROLES: [(&str, &str); 21] = [
    ("button", "button"),
    ("DisclosureTriangle", "button"),
    ("link", "link"),
    ("textbox", "textbox"),
    ("searchbox", "textbox"),
    ("spinbutton", "textbox"),
    ("combobox", "combobox"),
    ("listbox", "listbox"),
    ("checkbox", "checkbox"),
    ("radio", "radio"),
    ("slider", "slider"),
    ("switch", "switch"),
    ("tab", "tab"),
    ("menuitem", "menuitem"),
    ("option", "option"),
    ("heading", "heading"),
    ("image", "image"),
    ("Date", "date"),
    ("Iframe", "frame"),
    ("cell", "cell"),
    ("columnheader", "columnheader"),
];

#[tokio::test]
async fn names_and_roles_agree_with_the_accessibility_tree() {
    let Some((server, browser)) = browser().await else { return };
    let mut names: Vec<String> = fixtures()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    // The protocol cannot carry the tree of a page with halves of characters.
    names.retain(|name| name != "halves.html");
    names.sort();
    let mut unexpected = String::new();
    for name in names {
        let mut page = browser.page().await.unwrap();
        page.open(&server.url(&format!("/pages/{name}"))).await.unwrap();
        let found = differences(&mut page).await;
        let accepted = accepted(&std::fs::read_to_string(fixtures().join(&name)).unwrap());
        for line in found.difference(&accepted) {
            let _ = writeln!(unexpected, "{name}: differs: {line}");
        }
        for line in accepted.difference(&found) {
            let _ = writeln!(unexpected, "{name}: no longer differs: {line}");
        }
    }
    assert!(unexpected.is_empty(), "{unexpected}");
}

/// The differences that a page lists. Each has a reason.
fn accepted(page: &str) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for comment in page.split("<!-- differs: ").skip(1) {
        let (line, reason) = comment.split("-->").next().unwrap().split_once(" | ").unwrap();
        assert!(!reason.trim().is_empty(), "{line}");
        lines.insert(line.to_owned());
    }
    lines
}

async fn differences(page: &mut Page) -> BTreeSet<String> {
    let view = page.observe().await.unwrap();
    let told: Vec<&Map<String, Value>> =
        view.state["elements"].as_array().unwrap().iter().filter_map(Value::as_object).collect();
    let ids: Vec<String> = told.iter().map(|element| text(element, "id").to_owned()).collect();
    let tree: Vec<AccessibleElement> =
        page.accessibility(&ids).await.unwrap().into_iter().filter(|element| !element.ignored).collect();
    let words = |texts: Vec<&str>| clean(&texts.join(" ")).to_lowercase();
    let told_words = words(told.iter().flat_map(|element| texts(element)).collect());
    let shown: Vec<&str> = tree
        .iter()
        .filter(|element| element.role == "StaticText")
        .map(|element| element.name.as_str())
        .collect();
    let shown_words = words(shown.clone());
    let mut found = BTreeSet::new();
    for text in shown.iter().map(|text| clean(text)).filter(|text| !told_words.contains(&text.to_lowercase()))
    {
        found.insert(format!("missing text {text:?}"));
    }
    for element in &tree {
        let Some((_, role)) = ROLES.iter().find(|(role, _)| *role == element.role) else { continue };
        let name = clean(&element.name);
        let same = told.iter().find(|told| element.id.as_deref() == Some(text(told, "id")));
        let Some(same) = same else {
            found.insert(format!("missing {role} {name:?}"));
            continue;
        };
        if text(same, "role") != *role {
            found.insert(format!("{} {name:?} is a {role}", text(same, "role")));
        }
        if text(same, "name") != name {
            found.insert(format!("{role} {:?} is named {name:?}", text(same, "name")));
        }
    }
    for element in told {
        let is_in_tree = tree.iter().any(|other| other.id.as_deref() == Some(text(element, "id")));
        let name = text(element, "name");
        // Text without a role is in the tree as text.
        let is_text = text(element, "role") == "text" && shown_words.contains(&name.to_lowercase());
        if !is_in_tree && !is_text {
            found.insert(format!("extra {} {name:?}", text(element, "role")));
        }
    }
    found
}

fn text<'a>(element: &'a Map<String, Value>, field: &str) -> &'a str {
    element[field].as_str().unwrap()
}

/// All words that are told of an element.
fn texts(element: &Map<String, Value>) -> Vec<&str> {
    let options = element["options"].as_array().unwrap().iter().filter_map(Value::as_str);
    [text(element, "name"), text(element, "value")].into_iter().chain(options).collect()
}

fn clean(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
