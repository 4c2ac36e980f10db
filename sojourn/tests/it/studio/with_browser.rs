//! The studio in a real browser: each page, the keyboard, a narrow window, and content that would like to be a script.

use super::Studio;
use crate::golden;
use crate::record_samples;
use crate::support::place;
use serde_json::{Value, json};
use sojourn_browser::{Chromium, Page, PageAction, Settings, find_chromium};
use sojourn_memory::{Memories, MemoryKind, NewMemory, NewRun, RunId, RunStatus, Store, Tenant};
use sojourn_testkit::{Place, eventually, skipped};
use std::sync::Arc;

/// What a page, a skill or a memory might say.
const HOSTILE: &str = "<img src=x onerror=\"window.harmed=1\"><script>window.harmed=1</script>\u{202e}";

async fn browser(hosts: Vec<String>) -> Option<Arc<Chromium>> {
    if find_chromium().is_none() {
        skipped("no Chromium is on this machine");
        return None;
    }
    let settings = Settings { hosts, files: true, window: (1280, 800), ..Settings::default() };
    Some(Arc::new(Chromium::start(&settings).await.unwrap()))
}

/// Waits until an expression is true.
async fn shows(page: &Page, expression: &str) {
    eventually(expression, async || {
        let value = page.evaluate(expression).await.unwrap_or(Value::Null);
        (value == Value::Bool(true)).then_some(())
    })
    .await;
}

async fn press(page: &mut Page, keys: &[&str]) {
    for key in keys {
        page.act(&PageAction::Press { key: (*key).to_owned() }).await.unwrap();
    }
}

/// The golden run, and a run whose title, world, model and texts are hostile, with a skill and a memory that are.
async fn hostile() -> Place {
    let place = place();
    place.write("home/sojourn.db", golden::log());
    let store = Store::open(place.path().join("home")).await.unwrap();
    let new = NewRun { title: Some(HOSTILE.to_owned()), ..NewRun::new(RunId::new(1, 1), HOSTILE, HOSTILE) };
    let mut writer = store.create_run(new).await.unwrap();
    for record in record_samples::records() {
        let text = record_samples::payload(&record).to_string();
        // The names of tasks, skills and tools, and whatever the world says.
        let text = text.replace("collect_wood", &HOSTILE.replace('"', "\\\""));
        let payload: Value = serde_json::from_str(&text).unwrap();
        writer.append(record.kind().as_str(), 1, payload, Vec::new()).await.unwrap();
    }
    writer
        .append(
            "episode_started",
            2,
            json!({"seed": 1, "observation": {"text": HOSTILE, "state": {HOSTILE: HOSTILE}}}),
            Vec::new(),
        )
        .await
        .unwrap();
    writer.append(HOSTILE, 3, json!({HOSTILE: HOSTILE}), Vec::new()).await.unwrap();
    writer.close(RunStatus::Finished).await.unwrap();
    let memories = Memories::new(store.clone());
    let memory =
        NewMemory::new(Tenant::new("local").unwrap(), MemoryKind::Reflection, format!("harmless {HOSTILE}"));
    memories.remember(&memory, &[]).await.unwrap();
    store.close().await;
    super::import_skill(&place, HOSTILE);
    place
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_shows_the_golden_run_and_obeys_the_keyboard() {
    let Some(place) = find_chromium().is_some().then(super::with_golden_run) else {
        return skipped("no Chromium is on this machine");
    };
    let studio = Studio::start(place.path());
    let Some(browser) = browser(vec![studio.host.clone()]).await else { return };
    let mut page = browser.page().await.unwrap();
    page.open(&format!("http://{}/?token={}", studio.host, studio.token)).await.unwrap();
    shows(&page, "document.querySelector('.runs-list tbody a') !== null").await;
    assert_eq!(
        page.evaluate("location.search + document.cookie").await.unwrap(),
        "",
        "the token stays nowhere"
    );
    shows(&page, "document.querySelector('.spark-cell b').textContent === '1'").await;

    // A run: the timeline, jumps, scrubbing and search, by keyboard alone.
    page.evaluate("document.querySelector('.runs-list tbody a').focus()").await.unwrap();
    press(&mut page, &["Enter"]).await;
    let chosen = "document.querySelector('.moment h2').textContent";
    shows(&page, &format!("{chosen} === 'Record 1'")).await;
    shows(&page, "document.querySelectorAll('.timeline .group').length > 10").await;
    press(&mut page, &["f"]).await;
    shows(&page, &format!("{chosen} === 'Record 14'")).await;
    shows(&page, "document.querySelector('.worlds') !== null").await;
    press(&mut page, &["a"]).await;
    shows(&page, &format!("{chosen} === 'Record 66'")).await;
    shows(&page, "document.querySelector('.view').textContent.includes('inventory: 1 wood')").await;
    press(&mut page, &["p"]).await;
    shows(&page, "document.querySelector('.view').textContent.includes('inventory: nothing')").await;
    press(&mut page, &["Space"]).await;
    shows(&page, "Number(document.querySelector('.scrubber input').value) > 67").await;
    press(&mut page, &["Space"]).await;
    page.evaluate("document.querySelector('.timeline').focus()").await.unwrap();
    press(&mut page, &["Home", "ArrowDown", "ArrowRight"]).await;
    shows(&page, "document.querySelector('.timeline .cursor .seq')?.textContent === '2'").await;
    press(&mut page, &["/"]).await;
    page.evaluate("document.activeElement.value = 'facing tree'; document.activeElement.dispatchEvent(new Event('input')); document.activeElement.blur(); 0")
        .await
        .unwrap();
    shows(&page, "/^\\d+ found$/.test(document.querySelector('.filters [role=status]').textContent)").await;
    shows(&page, "[...document.querySelectorAll('.timeline .record .text')].some((line) => line.textContent.includes('facing tree'))").await;
    page.evaluate("const only = document.querySelector('[aria-label=\"Show only\"]'); only.value = 'achievements'; only.dispatchEvent(new Event('change')); 0")
        .await
        .unwrap();
    shows(&page, "document.querySelectorAll('.timeline .record').length === 1").await;

    // The other pages.
    page.evaluate("location.hash = '#/plots'").await.unwrap();
    shows(&page, "document.querySelectorAll('.chart svg path').length >= 3").await;
    page.evaluate("location.hash = '#/memory'").await.unwrap();
    shows(&page, "document.querySelectorAll('.memory-list li a').length > 5").await;
    page.evaluate("document.querySelector('.memory-list a').click()").await.unwrap();
    shows(&page, "document.querySelector('.page.memory .history a')?.textContent.includes('record')").await;
    page.evaluate("location.hash = '#/skills'").await.unwrap();
    shows(&page, "document.querySelector('.empty')?.textContent.includes('no skills yet')").await;

    // A narrow window: nothing is wider than it.
    page.resize(360, 740).await.unwrap();
    page.evaluate("location.hash = '#/run/2026?seq=12'").await.unwrap();
    shows(&page, "document.querySelectorAll('.mind .part').length > 1").await;
    assert_eq!(page.evaluate("document.documentElement.scrollWidth <= 360").await.unwrap(), true);

    // A report shows the same without a server.
    place.text(&["report", "latest", "--out", "run.html"]);
    page.resize(1280, 800).await.unwrap();
    page.open(&format!("file://{}", place.path().join("run.html").display())).await.unwrap();
    shows(&page, &format!("{chosen} === 'Record 1'")).await;
    press(&mut page, &["f", "a"]).await;
    shows(&page, &format!("{chosen} === 'Record 66'")).await;
    shows(&page, "document.querySelector('.view').textContent.includes('inventory: 1 wood')").await;
    page.evaluate("document.querySelector('#tab-plots').click()").await.unwrap();
    shows(&page, "document.querySelectorAll('.chart svg path').length >= 3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_content_is_shown_as_text_and_does_nothing() {
    if find_chromium().is_none() {
        return skipped("no Chromium is on this machine");
    }
    let place = hostile().await;
    let studio = Studio::start(place.path());
    let Some(browser) = browser(vec![studio.host.clone()]).await else { return };
    let mut page = browser.page().await.unwrap();
    page.open(&format!("http://{}/?token={}", studio.host, studio.token)).await.unwrap();
    let has_text =
        |place: &str| format!("document.querySelector('{place}')?.textContent.includes('onerror')");
    shows(&page, &has_text(".runs-list")).await;
    let run = "19700101-000000-0001";
    let last = studio.get(&format!("/api/runs/{run}")).json()["run"]["records"].as_u64().unwrap();
    page.evaluate(&format!("location.hash = '#/run/{run}?seq={}'", last - 1)).await.unwrap();
    shows(&page, &has_text(".view")).await;
    shows(&page, &has_text(".timeline")).await;
    // Every record in full, with its payload unfolded.
    for seq in 1..=last {
        page.evaluate(&format!("location.hash = '#/run/{run}?seq={seq}'")).await.unwrap();
        shows(&page, &format!("document.querySelector('.moment h2')?.textContent === 'Record {seq}' && document.querySelector('.card.raw h3') !== null")).await;
        page.evaluate("for (let i = 0; i < 4; i += 1) document.querySelectorAll('.moment details').forEach((one) => { one.open = true; }); 0").await.unwrap();
    }
    page.evaluate("location.hash = '#/skills/get_wood'").await.unwrap();
    shows(&page, &has_text(".source")).await;
    page.evaluate("location.hash = '#/memory?q=harmless'").await.unwrap();
    shows(&page, &has_text(".memory-list")).await;
    page.evaluate(&format!("location.hash = '#/plots?runs={run}'")).await.unwrap();
    shows(&page, &has_text(".chart")).await;
    assert_eq!(page.evaluate("window.harmed === undefined").await.unwrap(), true);
    assert_eq!(page.evaluate("document.querySelectorAll('main img, main script').length").await.unwrap(), 0);

    place.text(&["report", run, "--out", "run.html"]);
    page.open(&format!("file://{}", place.path().join("run.html").display())).await.unwrap();
    shows(&page, &has_text(".timeline")).await;
    assert_eq!(page.evaluate("window.harmed === undefined").await.unwrap(), true);
    assert_eq!(page.evaluate("document.querySelectorAll('img').length").await.unwrap(), 0);
}

/// Makes the pictures of the book: `cargo test -p sojourn --test it studio::with_browser::pictures -- --ignored`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes the pictures of the book"]
async fn pictures() {
    let place = super::with_golden_run();
    let studio = Studio::start(place.path());
    let browser = browser(vec![studio.host.clone()]).await.unwrap();
    let mut page = browser.page().await.unwrap();
    page.resize(1280, 860).await.unwrap();
    page.open(&format!("http://{}/?token={}", studio.host, studio.token)).await.unwrap();
    for (name, address, shown) in [
        ("run", "#/run/2026?seq=66", "document.querySelector('.changes') !== null"),
        ("request", "#/run/2026?seq=47", "document.querySelectorAll('.mind .part').length > 1"),
        ("plots", "#/plots", "document.querySelectorAll('.chart svg path').length >= 3"),
    ] {
        page.evaluate(&format!("location.hash = '{address}'")).await.unwrap();
        shows(&page, shown).await;
        page.settle().await.unwrap();
        let picture = page.screenshot().await.unwrap();
        assert!(picture.len() < 300_000, "{name} has {} bytes", picture.len());
        std::fs::write(
            sojourn_testkit::markdown::root().join(format!("docs/src/images/studio-{name}.png")),
            picture,
        )
        .unwrap();
    }
}
