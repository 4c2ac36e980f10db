//! The studio in a real browser: each page, the keyboard, a narrow window, and content that would like to be a script.

mod accessibility;
mod endings;

use super::Studio;
use crate::golden;
use crate::record_samples;
use crate::support::place;
use serde_json::{Value, json};
use sojourn_browser::{Chromium, Page, PageAction, Settings, Target, find_chromium};
use sojourn_core::call_hash;
use sojourn_memory::{
    AskedCall, EventSeq, Memories, MemoryKind, NewApproval, NewMemory, NewRun, OnTimeout, RunId, RunStatus,
    Store, Tenant,
};
use sojourn_testkit::{Place, eventually, skipped};
use sojourn_tools::{Effects, ToolSpec};
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
    ask(&store, HOSTILE).await;
    store.close().await;
    super::import_skill(&place, HOSTILE);
    place
}

/// A call of the first run that waits for a person, whose tool says this of itself.
async fn ask(store: &Store, says: &str) -> String {
    let run = store.runs().await.unwrap().pop().unwrap();
    let call = AskedCall {
        tool: says.to_owned(),
        description: says.to_owned(),
        effects: json!({"irreversible": true}),
        args: serde_json::Map::from_iter([(says.to_owned(), json!(says))]),
    };
    let spec =
        ToolSpec { effects: Effects { irreversible: true, ..Effects::default() }, ..ToolSpec::new(says, "") };
    let new = NewApproval {
        hash: call_hash(&spec, &call.args),
        call: AskedCall { effects: serde_json::to_value(spec.effects).unwrap(), ..call },
        run: run.id,
        seq: EventSeq(5),
        reason: says.to_owned(),
        asked_ms: 1_790_000_000_000,
        expires_ms: None,
        on_timeout: OnTimeout::Deny,
    };
    store.ask(new).await.unwrap().id.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_is_made_and_a_call_is_denied_by_hand() {
    if find_chromium().is_none() {
        return skipped("no Chromium is on this machine");
    }
    let place = super::with_golden_run();
    let store = Store::open(place.path().join("home")).await.unwrap();
    let asked = ask(&store, "send_form").await;
    store.close().await;
    let studio = Studio::start(place.path());
    let Some(browser) = browser(vec![studio.host.clone()]).await else { return };
    let mut page = browser.page().await.unwrap();
    page.open(&format!("http://{}/?token={}", studio.host, studio.token)).await.unwrap();
    shows(&page, "document.querySelector('.badge')?.textContent.startsWith('1')").await;

    page.evaluate("location.hash = '#/run/2026?seq=60'").await.unwrap();
    shows(&page, "document.querySelector('.waits a')?.textContent === 'Look and answer'").await;
    shows(&page, "document.querySelector('.moment h2').textContent === 'Record 60'").await;
    page.evaluate("document.querySelector('.moment-title button').click()").await.unwrap();
    shows(&page, "document.querySelector('dialog [name=prompt]') !== null").await;
    page.evaluate(
        "document.querySelector('dialog [name=prompt]').value = 'Drink first.'; document.querySelector('dialog [name=go]').checked = false; \
         document.querySelector('dialog [type=submit]').click()",
    )
    .await
    .unwrap();
    // Both futures, and what differs.
    shows(&page, "document.querySelectorAll('.columns > section').length === 2").await;
    shows(&page, "document.querySelector('.columns .changes')?.textContent.includes('Drink first.')").await;
    shows(&page, "document.querySelectorAll('.futures')[0].children.length > 20").await;
    shows(&page, "document.querySelectorAll('.futures')[1].textContent === 'nothing yet'").await;

    page.evaluate("document.querySelector('nav a[href=\"#/approvals\"]').click()").await.unwrap();
    shows(&page, "document.querySelector('.memory-list a')?.textContent === 'send_form'").await;
    page.evaluate("document.querySelector('.memory-list a').click()").await.unwrap();
    shows(&page, "document.querySelector('.view')?.textContent.includes('\"send_form\": \"send_form\"')")
        .await;
    shows(&page, "document.querySelector('.right .problem').textContent.includes('cannot be undone')").await;
    page.evaluate("document.querySelector('.right button.danger').click()").await.unwrap();
    shows(&page, "document.querySelector('.right h2').textContent === 'It was denied'").await;
    let answered = studio.get(&format!("/api/approvals/{asked}")).json();
    assert_eq!(
        (&answered["state"], &answered["answered_by"]),
        (&json!("denied"), &json!("a person in the studio"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skill_is_watched_in_a_fresh_world_and_the_failing_one_stands_first() {
    if find_chromium().is_none() {
        return skipped("no Chromium is on this machine");
    }
    let place = super::with_two_versions().await;
    let studio = Studio::start(place.path());
    let Some(browser) = browser(vec![studio.host.clone()]).await else { return };
    let mut page = browser.page().await.unwrap();
    page.open(&format!("http://{}/?token={}", studio.host, studio.token)).await.unwrap();
    page.evaluate("location.hash = '#/skills'").await.unwrap();
    shows(
        &page,
        "document.querySelector('.failing li')?.textContent.startsWith('collect_wood ! 2 failures since')",
    )
    .await;
    // Why it failed, and where.
    shows(
        &page,
        "document.querySelector('.failing li').textContent.endsWith('version 2: its goal was not reached in 9 steps, in run 20260101-000000-0007, record 12')",
    )
    .await;
    shows(&page, "document.querySelector('.failing li .note a').getAttribute('href') === '#/run/20260101-000000-0007?seq=12'").await;
    // The drawing of the calls is as wide as its place.
    shows(&page, "document.querySelector('.graph svg').getBoundingClientRect().right <= document.querySelector('.graph').getBoundingClientRect().right").await;
    page.evaluate("location.hash = '#/skills/collect_wood'").await.unwrap();
    shows(&page, "document.querySelector('.try-form [name=\"arg:n\"]')?.value === '1'").await;
    page.evaluate("document.querySelector('.try-form [type=submit]').click()").await.unwrap();
    shows(&page, "document.querySelector('.tried .good')?.textContent.includes('It reached its goal in')")
        .await;
    // It plays by itself to the end.
    shows(&page, "document.querySelector('.tried .view').textContent.includes('1 wood')").await;
    page.evaluate("document.querySelector('.try-form [name=steps]').value = 0; document.querySelector('.try-form').dispatchEvent(new Event('submit'))")
        .await
        .unwrap();
    shows(&page, "document.querySelector('.tried .problem')?.textContent.includes('did not reach its goal')")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_browsers_watch_a_run_and_what_one_does_the_other_shows() {
    if find_chromium().is_none() {
        return skipped("no Chromium is on this machine");
    }
    let place = place();
    place.write_agent("environment = \"crafter\"", "[run]\nepisode_steps = 60\n");
    let studio = Studio::start(place.path());
    let agents = studio.get("/api/agents").json();
    let begun =
        studio.post("/api/runs", &json!({"agent": agents["agents"][0]["name"], "seed": 1, "steps": 100_000}));
    let run = begun.json()["run"].as_str().unwrap().to_owned();
    let Some(first) = browser(vec![studio.host.clone()]).await else { return };
    let Some(second) = browser(vec![studio.host.clone()]).await else { return };
    let (mut one, mut other) = (first.page().await.unwrap(), second.page().await.unwrap());
    let records = "Number(document.querySelector('.numbers dd')?.textContent.replace(/[^0-9]/g, '') || 0)";
    for page in [&mut one, &mut other] {
        page.open(&format!("http://{}/?token={}", studio.host, studio.token)).await.unwrap();
        page.evaluate(&format!("location.hash = '#/run/{run}?seq=5'")).await.unwrap();
        shows(page, "document.querySelector('.moment h2')?.textContent === 'Record 5'").await;
    }
    // Both grow, and each keeps the place of its reader.
    one.evaluate("document.activeElement.blur(); 0").await.unwrap();
    press(&mut one, &["n"]).await;
    for (page, chosen) in [(&one, 6), (&other, 5)] {
        let before = page.evaluate(records).await.unwrap();
        shows(page, &format!("{records} > {before} + 20")).await;
        shows(page, &format!("document.querySelector('.moment h2').textContent === 'Record {chosen}'")).await;
    }
    // One of them pauses the run.
    one.evaluate("[...document.querySelectorAll('.page-head button')].find((one) => one.textContent === 'Pause…').click()")
        .await
        .unwrap();
    shows(&one, "document.querySelector('dialog [type=submit]') !== null").await;
    one.evaluate("document.querySelector('dialog [type=submit]').click()").await.unwrap();
    for page in [&one, &other] {
        shows(page, "document.querySelector('.run-title .status').textContent === 'paused'").await;
        shows(page, "[...document.querySelectorAll('.page-head button')].some((one) => one.textContent === 'Resume…')")
            .await;
    }
}

/// A studio with something on each page: the golden run and a fork of it, skills of which one fails, a call that waits.
struct Rich {
    _place: Place,
    studio: Studio,
    run: String,
    fork: String,
    asked: String,
}

async fn rich() -> Rich {
    let place = super::with_two_versions().await;
    // The library of one home, the runs of another.
    for name in ["sojourn.db", "sojourn.db-wal", "sojourn.db-shm"] {
        let _ = std::fs::remove_file(place.path().join("home").join(name));
    }
    place.write("home/sojourn.db", golden::log());
    let store = Store::open(place.path().join("home")).await.unwrap();
    let asked = ask(&store, "send_form").await;
    store.close().await;
    let studio = Studio::start(place.path());
    let run = studio.get("/api/runs").json()["runs"][0]["run"].as_str().unwrap().to_owned();
    let wanted = json!({"at": 60, "prompt": "Drink first.", "title": "drink first"});
    let fork =
        studio.post(&format!("/api/runs/{run}/fork"), &wanted).json()["run"].as_str().unwrap().to_owned();
    Rich { _place: place, studio, run, fork, asked }
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
    shows(&page, "document.querySelector('[data-head=Deaths]').textContent === '0'").await;
    page.evaluate("document.querySelector('.runs-list input').click()").await.unwrap();
    shows(
        &page,
        "document.querySelector('.page-head').textContent.includes('Tick another run to compare it with.')",
    )
    .await;

    // A run: the timeline, jumps, scrubbing and search, by keyboard alone.
    page.evaluate("document.querySelector('.runs-list tbody a').focus()").await.unwrap();
    press(&mut page, &["Enter"]).await;
    let chosen = "document.querySelector('.moment h2').textContent";
    // A run that has ended opens at its end, and says how it ended.
    shows(&page, &format!("{chosen} === 'Record 865'")).await;
    shows(&page, "document.querySelector('.ended').open").await;
    // Nobody died, and it says so.
    shows(&page, "document.querySelector('.ended-body').textContent.includes('Nobody died.')").await;
    page.evaluate("document.querySelector('.ended').open = false; location.hash = '#/run/2026?seq=1'")
        .await
        .unwrap();
    shows(&page, &format!("{chosen} === 'Record 1'")).await;
    shows(&page, "document.querySelectorAll('.timeline .group').length > 10").await;
    press(&mut page, &["f"]).await;
    shows(&page, &format!("{chosen} === 'Record 17'")).await;
    page.evaluate("location.hash = '#/run/2026?seq=14'").await.unwrap();
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
    // What is chosen is among what the filter shows; a record that it hides is told of.
    shows(&page, &format!("{chosen} === 'Record 66'")).await;
    press(&mut page, &["n"]).await;
    shows(&page, "document.querySelector('.hidden-record').textContent.includes('hides record 67')").await;
    page.evaluate("document.querySelector('.hidden-record button').click()").await.unwrap();
    shows(&page, "document.querySelector('.timeline .cursor .seq')?.textContent === '67'").await;

    // The other pages.
    page.evaluate("location.hash = '#/plots'").await.unwrap();
    shows(&page, "document.querySelectorAll('.chart svg path').length >= 3").await;
    page.evaluate("location.hash = '#/memory'").await.unwrap();
    shows(&page, "document.querySelectorAll('.memory-list li a').length > 5").await;
    // The map has each memory of the list, and leads to it.
    shows(&page, "document.querySelectorAll('.map circle').length === document.querySelectorAll('.memory-list li').length").await;
    shows(
        &page,
        "[...document.querySelectorAll('.map text')].some((word) => word.textContent === 'collect_wood')",
    )
    .await;
    page.evaluate(
        "document.querySelector('.map a').dispatchEvent(new MouseEvent('click', { bubbles: true }))",
    )
    .await
    .unwrap();
    shows(&page, "document.querySelector('.page.memory .history a')?.textContent.includes('record')").await;
    shows(&page, "document.querySelectorAll('.map .chosen').length === 1").await;
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
    shows(&page, &format!("{chosen} === 'Record 865'")).await;
    press(&mut page, &["A"]).await;
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
    page.evaluate("location.hash = '#/approvals'").await.unwrap();
    shows(&page, &has_text(".memory-list")).await;
    page.evaluate("document.querySelector('.memory-list a').click()").await.unwrap();
    shows(&page, &has_text(".view")).await;
    page.evaluate(&format!("location.hash = '#/compare?runs={run},2026'")).await.unwrap();
    shows(&page, &has_text(".columns")).await;
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
    let Rich { _place, studio, run, fork, asked } = rich().await;
    let (deadly, died) = endings::mortal().await;
    let mortal = Studio::start(deadly.path());
    let browser = browser(vec![studio.host.clone(), mortal.host.clone()]).await.unwrap();
    let mut page = browser.page().await.unwrap();
    page.resize(1280, 860).await.unwrap();
    page.open(&format!("http://{}/?token={}", studio.host, studio.token)).await.unwrap();
    let of_run = |seq: u64| format!("#/run/{run}?seq={seq}");
    let (compared, approval) = (format!("#/compare?runs={run},{fork}"), format!("#/approvals/{asked}"));
    for (name, address, shown) in [
        ("runs", "#/runs", "document.querySelectorAll('.spark').length === 2"),
        ("run", &of_run(66), "document.querySelector('.changes') !== null"),
        ("request", &of_run(47), "document.querySelectorAll('.mind .part').length > 1"),
        ("skills", "#/skills", "document.querySelector('.graph svg') !== null"),
        ("skill", "#/skills/collect_wood", "document.querySelector('.right .chart svg') !== null"),
        ("memory", "#/memory?q=wood", "document.querySelector('.memory-list a') !== null"),
        ("plots", &format!("#/plots?runs={run}"), "document.querySelectorAll('.chart svg path').length >= 3"),
        ("approval", &approval, "document.querySelector('.right .view') !== null"),
        ("compare", &compared, "document.querySelectorAll('.futures')[0]?.children.length > 20"),
    ] {
        page.evaluate(&format!("location.hash = '{address}'")).await.unwrap();
        shows(&page, shown).await;
        page.settle().await.unwrap();
        let picture = page.screenshot().await.unwrap();
        keep(name, &picture);
    }
    page.open(&format!("http://{}/?token={}", mortal.host, mortal.token)).await.unwrap();
    page.evaluate(&format!("location.hash = '#/run/{died}'")).await.unwrap();
    shows(&page, "document.querySelector('.ended-words')?.textContent.includes('killed')").await;
    press(&mut page, &["w"]).await;
    shows(&page, "document.querySelector('.ended-body .memories .why') !== null").await;
    page.settle().await.unwrap();
    keep("ended", &page.screenshot().await.unwrap());
}

/// Writes a picture of the book.
fn keep(name: &str, picture: &[u8]) {
    assert!(picture.len() < 300_000, "{name} has {} bytes", picture.len());
    let place = sojourn_testkit::markdown::root().join(format!("docs/src/images/studio-{name}.png"));
    std::fs::write(place, picture).unwrap();
}
