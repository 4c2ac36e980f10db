//! Every page, in light and dark, as axe-core judges it.

use super::*;
use std::path::PathBuf;

/// The package that looks for what is hard to use without seeing or pointing.
const AXE: &str = "axe-core@4.14.1";

/// axe-core, which looks for what people who cannot see or point would stumble over; `None` where npm cannot fetch it.
fn axe() -> Option<String> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let place = cache.join("sojourn/npm/axe");
    std::fs::create_dir_all(&place).ok()?;
    let script = place.join("node_modules/axe-core/axe.min.js");
    if !script.exists() {
        let mut npm = std::process::Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefer-offline", "--prefix"]);
        npm.arg(&place).arg(AXE).output().ok()?;
    }
    std::fs::read_to_string(script).ok()
}

/// Shows the page as one who likes it dark sees it, or as one who does not.
fn in_scheme(dark: bool) -> String {
    let media = if dark { "all" } else { "(prefers-color-scheme: dark)" };
    format!(
        "window.schemes ??= [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).filter((rule) => rule.media?.mediaText.includes('prefers-color-scheme')); \
         for (const rule of window.schemes) rule.media.mediaText = '{media}'; window.schemes.length"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axe_finds_no_serious_violation_on_any_page() {
    if find_chromium().is_none() {
        return skipped("no Chromium is on this machine");
    }
    let Some(axe) = axe() else { return skipped("npm cannot fetch axe-core") };
    let Rich { _place, studio, run, fork, asked } = rich().await;
    let Some(browser) = browser(vec![studio.host.clone()]).await else { return };
    let mut page = browser.page().await.unwrap();
    page.open(&format!("http://{}/?token={}", studio.host, studio.token)).await.unwrap();
    page.evaluate(&format!("{axe}; 0")).await.unwrap();
    let compared = format!("#/compare?runs={run},{fork}");
    let approval = format!("#/approvals/{asked}");
    let request = format!("#/run/{run}?seq=47");
    for (address, there) in [
        ("#/runs", "document.querySelectorAll('.spark').length === 2"),
        (request.as_str(), "document.querySelectorAll('.mind .part').length > 1"),
        ("#/skills", "document.querySelector('.graph svg') !== null"),
        ("#/skills/collect_wood", "document.querySelector('.right .chart svg') !== null"),
        ("#/memory", "document.querySelector('.memory-list a') !== null"),
        ("#/plots", "document.querySelectorAll('.chart svg path').length >= 3"),
        (approval.as_str(), "document.querySelector('.right .view') !== null"),
        (compared.as_str(), "document.querySelectorAll('.futures')[0]?.children.length > 20"),
    ] {
        page.evaluate(&format!("location.hash = '{address}'")).await.unwrap();
        shows(&page, there).await;
        for (width, scheme) in [(1280, "light"), (360, "light"), (1280, "dark")] {
            page.resize(width, 800).await.unwrap();
            if scheme == "dark" {
                page.evaluate(&in_scheme(true)).await.unwrap();
            }
            let found = page
                .evaluate(
                    "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations \
                     .filter(({ impact }) => impact === 'serious' || impact === 'critical') \
                     .map(({ id, nodes }) => [id, ...nodes.slice(0, 3).map((node) => node.html.slice(0, 200))]))",
                )
                .await
                .unwrap();
            assert_eq!(found, json!([]), "{address} in {width} pixels, {scheme}");
        }
        page.evaluate(&in_scheme(false)).await.unwrap();
        page.resize(1280, 800).await.unwrap();
    }
}
