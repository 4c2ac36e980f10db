//! Tools whose calls become tasks: the client fetches the result later, and a task may send requests meanwhile.

use super::rounds::{answer, field, form, needs};
use super::tools::tool;
use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
    CreateTaskResult, Tool,
};
use rmcp::task_manager::{TaskExit, TaskManager, TaskOptions};
use serde_json::{Value, json};
use std::time::Duration;

/// The tools, and whether each needs a client that supports tasks.
const TOOLS: [(&str, bool); 7] = [
    ("greet", false),
    ("slow_compute", false),
    ("failing_job", true),
    ("protocol_error_job", false),
    ("confirm_delete", true),
    ("multi_input", true),
    ("test_tool_with_task", true),
];

pub fn tools() -> Vec<Tool> {
    let properties = |name: &str| match name {
        "greet" => json!({"name": {"type": "string"}}),
        "slow_compute" => json!({"seconds": {"type": "number"}, "label": {"type": "string"}}),
        "confirm_delete" => json!({"filename": {"type": "string"}}),
        _ => json!({}),
    };
    TOOLS.iter().map(|(name, _)| tool(name, "takes its time", &properties(name), &[])).collect()
}

fn says(words: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(words)])
}

/// Calls a tool of this module; `None` for any other tool.
pub async fn call(
    tasks: &TaskManager,
    request: &CallToolRequestParams,
    able: Option<&ClientCapabilities>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let (name, needed) = TOOLS.into_iter().find(|(name, _)| *name == request.name)?;
    let knows = able.is_some_and(ClientCapabilities::supports_tasks);
    if needed && !knows {
        let needed = ClientCapabilities::builder().enable_tasks().build();
        return Some(Err(ErrorData::missing_required_client_capability(needed)));
    }
    Some(match name {
        "greet" => {
            let name = request.arguments.as_ref().and_then(|args| args.get("name")?.as_str());
            Ok(says(format!("Hello, {}!", name.unwrap_or("friend"))).into())
        }
        "confirm_delete" => Ok(confirm(tasks, request)),
        "multi_input" => Ok(two_at_once(tasks)),
        "test_tool_with_task" => round_then_task(tasks, request),
        name => working(tasks, name, request, knows).await,
    })
}

/// Tools that run for a while, as a task if the client supports tasks.
async fn working(
    tasks: &TaskManager,
    name: &str,
    request: &CallToolRequestParams,
    as_task: bool,
) -> Result<CallToolResponse, ErrorData> {
    let seconds = request.arguments.as_ref().and_then(|args| args.get("seconds")?.as_f64());
    let (takes, outcome) = match name {
        "failing_job" => (
            Duration::from_secs(1),
            Ok(CallToolResult::error(vec![ContentBlock::text("it failed, as it should")])),
        ),
        "protocol_error_job" => {
            (Duration::from_millis(200), Err(ErrorData::internal_error("it broke, as it should", None)))
        }
        _ => {
            let takes = Duration::try_from_secs_f64(seconds.unwrap_or(1.0)).unwrap_or(Duration::from_secs(1));
            (takes, Ok(says("it is computed")))
        }
    };
    if !as_task {
        tokio::time::sleep(takes).await;
        return outcome.map(Into::into);
    }
    let task = tasks.spawn(TaskOptions::default(), move |context| {
        Box::pin(async move {
            tokio::select! {
                () = context.cancelled() => Err(TaskExit::Cancelled),
                () = tokio::time::sleep(takes) => outcome.map_err(TaskExit::Error),
            }
        })
    });
    Ok(CreateTaskResult::new(task).into())
}

fn confirm(tasks: &TaskManager, request: &CallToolRequestParams) -> CallToolResponse {
    let file = request.arguments.as_ref().and_then(|args| args.get("filename")?.as_str());
    let file = file.unwrap_or("file.txt").to_owned();
    let task = tasks.spawn(TaskOptions::default(), move |context| {
        Box::pin(async move {
            let question = form(&format!("Delete {file}?"), "confirm", "boolean").map_err(TaskExit::Error)?;
            let said = context.request_input("confirm", question).await?;
            let yes = said.get("content").is_some_and(|content| content["confirm"] == Value::Bool(true));
            Ok(says(format!("{file}: confirmed = {yes}")))
        })
    });
    CreateTaskResult::new(task).into()
}

fn two_at_once(tasks: &TaskManager) -> CallToolResponse {
    let task = tasks.spawn(TaskOptions::default(), |context| {
        Box::pin(async move {
            let question = |message: &str| form(message, "value", "string").map_err(TaskExit::Error);
            let first = context.request_input("input-a", question("The first value?")?);
            let second = context.request_input("input-b", question("The second value?")?);
            let (first, second) = tokio::join!(first, second);
            let value = |said: Value| said["content"]["value"].as_str().unwrap_or("none").to_owned();
            Ok(says(format!("a = {}, b = {}", value(json!(first?)), value(json!(second?)))))
        })
    });
    CreateTaskResult::new(task).into()
}

fn round_then_task(
    tasks: &TaskManager,
    request: &CallToolRequestParams,
) -> Result<CallToolResponse, ErrorData> {
    let Some(said) = answer(request.input_responses.as_ref(), "user_name") else {
        return Ok(needs([("user_name", form("What is your name?", "name", "string")?)]).into());
    };
    let name = field(said, "name").to_owned();
    let task = tasks.spawn(TaskOptions::default(), move |_| {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(says(format!("Hello, {name}! (async)")))
        })
    });
    Ok(CreateTaskResult::new(task).into())
}
