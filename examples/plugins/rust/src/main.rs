//! A plugin in Rust that converts units of measurement. Each tool is a function; `serve` implements the protocol.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sojourn_tools::{CallContext, CallProgress, Json, tool};
use std::sync::Arc;

/// What is converted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Length {
    /// How many.
    value: f64,
    from: Unit,
    to: Unit,
}

#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Metre,
    Foot,
    Mile,
}

impl Unit {
    /// Length in metres, by the international yard and pound agreement of 1959.
    fn metres(self) -> f64 {
        match self {
            Self::Metre => 1.0,
            Self::Foot => 0.3048,
            Self::Mile => 1609.344,
        }
    }
}

/// Converts a length from one unit to another.
#[tool(idempotent)]
fn convert(length: Length) -> Result<Json<f64>, &'static str> {
    let Length { value, from, to } = length;
    if value < 0.0 {
        return Err("a length is not negative");
    }
    Ok(Json(value * from.metres() / to.metres()))
}

/// How long a march is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct March {
    /// Miles to go.
    #[schemars(range(min = 1, max = 20))]
    miles: u32,
}

/// Marches some miles and tells of every one of them.
#[tool(timeout_ms = 10000)]
async fn march(march: March, context: &CallContext) -> String {
    for mile in 1..=march.miles {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        if let Some(progress) = &context.progress {
            let message = Some(format!("mile {mile}"));
            progress(CallProgress { done: f64::from(mile), total: Some(f64::from(march.miles)), message });
        }
    }
    format!("marched {} miles", march.miles)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    sojourn_tools::process::serve(vec![Arc::new(convert_tool()), Arc::new(march_tool())]).await
}
