//! The example plugin, used as an agent uses it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::{Value, json};
use sojourn_tools::process::{ProcessSettings, ProcessSource};
use sojourn_tools::{CallContext, CallLimits, CallProgress, ToolCall, ToolOutcome, ToolSource as _, Toolbox};
use std::path::Path;
use std::sync::{Arc, Mutex};

async fn call(
    toolbox: &Toolbox,
    name: &str,
    args: Value,
    context: CallContext,
) -> Result<ToolOutcome, String> {
    let call = ToolCall { name: name.to_owned(), args: args.as_object().unwrap().clone() };
    Ok(toolbox.validate(&call).map_err(|refusal| refusal.to_string())?.run(context).await)
}

#[tokio::test]
async fn the_plugin_converts_and_reports_progress() {
    let command = vec![env!("CARGO_BIN_EXE_sojourn-example-plugin").to_owned()];
    let settings = serde_json::from_value::<ProcessSettings>(json!({"command": command})).unwrap();
    let source = Arc::new(ProcessSource::open("units", settings, Path::new(".")).unwrap());
    assert!(source.ready(sojourn_testkit::PATIENCE).await, "{:?}", source.notices());
    let toolbox = Toolbox::new(vec![source.clone()], CallLimits::default());

    let mile = json!({"value": 2, "from": "mile", "to": "metre"});
    let done = call(&toolbox, "units_convert", mile, CallContext::default()).await.unwrap();
    assert_eq!(done.value, Some(json!(3218.688)));
    let below = json!({"value": -1, "from": "mile", "to": "metre"});
    let done = call(&toolbox, "units_convert", below, CallContext::default()).await.unwrap();
    assert_eq!((done.ok, done.message.as_str()), (false, "a length is not negative"));
    let league = json!({"value": 1, "from": "league", "to": "metre"});
    assert!(call(&toolbox, "units_convert", league, CallContext::default()).await.is_err());

    let heard: Arc<Mutex<Vec<CallProgress>>> = Arc::default();
    let kept = Arc::clone(&heard);
    let progress = Arc::new(move |progress| kept.lock().unwrap().push(progress));
    let context = CallContext { progress: Some(progress), ..CallContext::default() };
    let done = call(&toolbox, "units_march", json!({"miles": 3}), context).await.unwrap();
    assert_eq!(done.to_text(), "marched 3 miles");
    let miles: Vec<f64> = heard.lock().unwrap().iter().map(|progress| progress.done).collect();
    assert_eq!(miles, [1.0, 2.0, 3.0]);
    source.close().await;
}
