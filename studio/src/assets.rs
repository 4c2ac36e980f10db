//! The page: HTML, styles and modules, embedded in the program.

use crate::App;
use crate::json::tagged;
use axum::Router;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use std::sync::Arc;

/// A file of the page.
#[derive(Clone, Copy)]
pub struct Asset {
    /// Its path on the server.
    pub path: &'static str,
    media_type: &'static str,
    /// Its content.
    pub text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The modules, each after those that it imports: a report has them in this order in one script.
pub const MODULES: [Asset; 23] = [
    module("/dom.js", include_str!("../web/dom.js")),
    module("/format.js", include_str!("../web/format.js")),
    module("/source.js", include_str!("../web/source.js")),
    module("/rows.js", include_str!("../web/rows.js")),
    module("/timeline.js", include_str!("../web/timeline.js")),
    module("/keys.js", include_str!("../web/keys.js")),
    module("/strip.js", include_str!("../web/strip.js")),
    module("/moment.js", include_str!("../web/moment.js")),
    module("/ended.js", include_str!("../web/ended.js")),
    module("/chart.js", include_str!("../web/chart.js")),
    module("/plots.js", include_str!("../web/plots.js")),
    module("/settings.js", include_str!("../web/settings.js")),
    module("/act.js", include_str!("../web/act.js")),
    module("/again.js", include_str!("../web/again.js")),
    module("/run.js", include_str!("../web/run.js")),
    module("/runs.js", include_str!("../web/runs.js")),
    module("/graph.js", include_str!("../web/graph.js")),
    module("/trying.js", include_str!("../web/trying.js")),
    module("/skills.js", include_str!("../web/skills.js")),
    module("/map.js", include_str!("../web/map.js")),
    module("/memory.js", include_str!("../web/memory.js")),
    module("/approvals.js", include_str!("../web/approvals.js")),
    module("/compare.js", include_str!("../web/compare.js")),
];

/// The module that starts the studio.
const APP: Asset = module("/app.js", include_str!("../web/app.js"));
/// The styles.
pub const STYLE: Asset =
    Asset { path: "/style.css", media_type: CSS, text: include_str!("../web/style.css") };
const INDEX: Asset = Asset { path: "/", media_type: HTML, text: include_str!("../web/index.html") };
const ICON: Asset = Asset { path: "/icon.svg", media_type: SVG, text: include_str!("../web/icon.svg") };

const fn module(path: &'static str, text: &'static str) -> Asset {
    Asset { path, media_type: JAVASCRIPT, text }
}

/// The routes of the page.
pub fn router() -> Router<Arc<App>> {
    let assets = MODULES.into_iter().chain([APP, STYLE, INDEX, ICON]);
    assets.fold(Router::new(), |router, asset| {
        router.route(asset.path, get(move |headers: HeaderMap| async move { answer(&headers, &asset) }))
    })
}

fn answer(headers: &HeaderMap, asset: &Asset) -> Response {
    if asset.path == "/" {
        // The first page sets the cookie, so it is never answered from a cache.
        let head = [(header::CONTENT_TYPE, asset.media_type), (header::CACHE_CONTROL, "no-store")];
        return (head, asset.text).into_response();
    }
    tagged(headers, asset.media_type, asset.text)
}
