//! How a run ended: the reader finds out why the agent died, what it knew, and tries another future.

use super::*;

/// A home with a run in which the agent lived three times, remembered, decided, and died.
pub(super) async fn mortal() -> (Place, String) {
    let place = place();
    let store = Store::open(place.path().join("home")).await.unwrap();
    let run = RunId::new(1_790_000_000_000, 7);
    let mut at_ms = 1_790_000_000_000;
    let new = NewRun { created_ms: at_ms, ..NewRun::new(run.clone(), "crafter", "scripted") };
    let mut writer = store.create_run(new).await.unwrap();
    let samples = record_samples::records();
    let sample = |kind: &str| {
        let found = samples.iter().find(|record| record.kind().as_str() == kind);
        record_samples::payload(found.unwrap_or_else(|| panic!("{kind}")))
    };
    let mut write = async |kind: &str, payload: Value| {
        at_ms += 1500;
        writer.append(kind, at_ms, payload, Vec::new()).await.unwrap();
    };
    let mut started = sample("started");
    // The steps are used up, the time is not.
    started["config"]["budgets"] = json!({"steps": 18, "time_ms": 3_600_000});
    write("started", started).await;
    for life in 1..=3 {
        for kind in
            ["start_episode", "recall", "recalled", "ask_controller", "controller_answered", "act", "called"]
        {
            write(kind, sample(kind)).await;
            if kind == "start_episode" {
                let mut begun = sample("episode_started");
                begun["observation"]["state"]["inventory"] = json!({"drink": 3, "health": 9});
                write("episode_started", begun).await;
            }
        }
        let step = |drink: u64, health: u64| {
            let mut step = sample("stepped");
            step["change"] = json!({"inventory": {"drink": drink, "health": health}});
            step
        };
        for (drink, health) in [(2, 9), (1, 9), (0, 9), (0, 7), (0, 4)] {
            write("stepped", step(drink, health)).await;
        }
        let mut last = step(0, 0);
        last["ended"] = json!({"kind": "died", "cause": format!("killed by zombie {life}")});
        write("stepped", last).await;
    }
    write("finish", sample("finish")).await;
    writer.close(RunStatus::Finished).await.unwrap();
    store.close().await;
    (place, run.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_says_why_it_died_what_it_knew_and_where_another_future_begins() {
    if find_chromium().is_none() {
        return skipped("no Chromium is on this machine");
    }
    let (place, run) = mortal().await;
    let studio = Studio::start(place.path());
    let deaths = studio.get(&format!("/api/runs/{run}/records?only=deaths")).json();
    let last = deaths["records"].as_array().unwrap().last().unwrap()["seq"].as_u64().unwrap();
    let Some(browser) = browser(vec![studio.host.clone()]).await else { return };
    let mut page = browser.page().await.unwrap();
    page.open(&format!("http://{}/?token={}", studio.host, studio.token)).await.unwrap();
    page.evaluate(&format!("location.hash = '#/run/{run}'")).await.unwrap();
    // Why, in one line and without a click.
    shows(&page, "document.querySelector('.ended-words')?.textContent.includes('died: killed by zombie 3')")
        .await;
    // A sign of the overview leads to the record that it stands for, and not to one beside it.
    page.evaluate("document.querySelector('.ended').open = false").await.unwrap();
    shows(&page, "document.querySelectorAll('.strip .mark.is-deaths').length === 3").await;
    for (sign, death) in deaths["records"].as_array().unwrap().iter().enumerate() {
        let at = page
            .evaluate(&format!(
                "(({{ left, top, width, height }}) => [left + width / 2 + 3, top + height / 2])(document.querySelectorAll('.strip .mark.is-deaths')[{sign}].getBoundingClientRect())"
            ))
            .await
            .unwrap();
        let [x, y] = [0, 1].map(|side| at[side].as_f64().unwrap().round() as i64);
        page.act(&PageAction::Click { target: Target::Point(x, y) }).await.unwrap();
        shows(
            &page,
            &format!("document.querySelector('.moment h2').textContent === 'Record {}'", death["seq"]),
        )
        .await;
    }
    // By keyboard alone: the question is asked beside the death, also while the rest is closed.
    shows(&page, "document.querySelector('.ended-actions button')?.offsetParent !== null").await;
    page.evaluate("document.querySelector('.ended summary').focus()").await.unwrap();
    press(&mut page, &["Tab", "Enter"]).await;
    shows(&page, "document.querySelector('dialog h2')?.textContent.startsWith('Try it again from record')")
        .await;
    press(&mut page, &["Escape"]).await;
    shows(&page, "document.querySelector('dialog') === null").await;
    press(&mut page, &["w"]).await;
    shows(&page, "document.querySelector('.ended').open && document.querySelectorAll('.ended-body section').length === 3").await;
    // The cause: what fell to its end, and where it began; not the last blow alone.
    shows(&page, "document.querySelector('.ended-body').textContent.includes('health fell from 9 to 0 in its last 3 steps. drink had been at 0 for 3 steps.')").await;
    shows(&page, "document.querySelectorAll('.decline path').length === 2").await;
    shows(&page, "document.querySelector('.ended-body').textContent.includes('The world, just before')")
        .await;
    // What it knew: the memories with reasons, and the request with all that it was shown.
    shows(&page, "document.querySelector('.ended-body .memories .why')?.textContent.length > 10").await;
    assert_eq!(page.evaluate("document.documentElement.scrollWidth <= innerWidth").await.unwrap(), true);
    let click = |words: &str| {
        format!(
            "[...document.querySelectorAll('.ended-body button')].find((one) => one.textContent.includes('{words}')).click()"
        )
    };
    page.evaluate(&click("Show that moment")).await.unwrap();
    shows(&page, &format!("document.querySelector('.moment h2').textContent === 'Record {last}'")).await;
    shows(&page, "document.querySelector('.ending')?.textContent.includes('killed by zombie 3')").await;
    shows(
        &page,
        "document.querySelector('.ended-words').textContent.includes('the run: the step budget is used up.')",
    )
    .await;
    page.evaluate(&click("Death before")).await.unwrap();
    shows(&page, "document.querySelector('.ended-words').textContent.includes('killed by zombie 2')").await;
    shows(&page, "document.querySelector('.ended-words').textContent.includes('death 2 of 3')").await;
    page.evaluate(&click("All that it was shown")).await.unwrap();
    shows(&page, "document.querySelector('.mind .part pre')?.textContent === 'What next?'").await;
    // What if.
    page.evaluate(&click("Fork with other settings")).await.unwrap();
    shows(&page, "document.querySelector('dialog h2')?.textContent.startsWith('Fork after record')").await;
    // The budget that is used up there is raised, so that the fork does not end at once; of the other one what is left counts.
    shows(&page, "document.querySelector('dialog [name=steps]').value === '300' && document.querySelector('dialog').textContent.includes('budget of steps')").await;
    shows(&page, "document.querySelector('dialog [name=minutes]').value === '' && document.querySelector('dialog [name=minutes]').placeholder === 'the 59 that are left'").await;
    // Settings stand there with what they are now; a wrong one is refused before anything happens.
    shows(&page, "document.querySelectorAll('dialog .settings li').length > 50").await;
    page.evaluate(
        "const field = document.querySelector('dialog [aria-label=\"run.actor.candidates\"]'); field.value = 'many'; field.dispatchEvent(new Event('input')); \
         document.querySelector('dialog [type=submit]').click()",
    )
    .await
    .unwrap();
    shows(&page, "document.querySelector('dialog form > .problem').textContent.includes('is a whole number, not \"many\"')").await;
    page.evaluate("document.querySelector('dialog .buttons button[type=button]').click()").await.unwrap();
    shows(&page, "document.querySelector('dialog') === null").await;
    page.evaluate(&click("Try it again from here")).await.unwrap();
    shows(&page, "document.querySelector('dialog h2')?.textContent.startsWith('Try it again from record')")
        .await;
    shows(&page, "document.querySelectorAll('dialog [name=variant]').length >= 2").await;
    shows(&page, "document.querySelector('dialog [name=prompt]').value.includes('Watch drink: here it ran out, then health fell from 9 to 0')").await;
    page.evaluate("document.querySelector('dialog .buttons button[type=button]').click()").await.unwrap();

    // A goal for a run that is not under way waits, and the page says so.
    page.evaluate("[...document.querySelectorAll('.page-head button')].find((one) => one.textContent.startsWith('Add a goal')).click()")
        .await
        .unwrap();
    shows(&page, "document.querySelector('dialog [name=goal]') !== null").await;
    page.evaluate("document.querySelector('dialog [name=goal]').value = 'stay <b>alive</b>'; document.querySelector('dialog [type=submit]').click()")
        .await
        .unwrap();
    shows(&page, "document.querySelector('.goals')?.textContent.includes('stay <b>alive</b> waits until the run is resumed')").await;

    // A report has the same answers.
    place.text(&["report", "latest", "--out", "run.html"]);
    page.open(&format!("file://{}", place.path().join("run.html").display())).await.unwrap();
    shows(&page, "document.querySelector('.ended-words')?.textContent.includes('died: killed by zombie 3')")
        .await;
}
