//! The form of an answer: free text, JSON, a grammar, or calls of tools.

use super::ApiError;
use super::fields::Fields;
use super::tools::{Choice, Tools};
use crate::constraint::on_one_line;
use crate::{Constraint, UnsupportedSchema};
use serde_json::{Value, json};

/// The first line of a grammar in llguidance's dialect of Lark, as llama.cpp's server expects it.
const LLGUIDANCE: &str = "%llguidance {}";
/// Limit on the length of a grammar, in bytes.
const MAX_GRAMMAR_BYTES: usize = 64 << 10;

/// The form that an answer has where it is no call.
pub(super) enum Format {
    /// Any text.
    Text,
    /// JSON that satisfies a schema.
    Json(Value),
    /// Text that a grammar in Lark matches.
    Grammar(String),
}

impl Format {
    /// Reads `response_format`, and `grammar`, which llama.cpp's server has too.
    pub(super) async fn read(body: &mut Fields) -> Result<Self, ApiError> {
        let grammar = body.text("grammar")?;
        let Some(mut format) = body.object("response_format")? else {
            return match grammar {
                Some(grammar) => lark(body, &grammar).map(Self::Grammar),
                None => Ok(Self::Text),
            };
        };
        if grammar.is_some() {
            return Err(body.invalid("grammar", "cannot stand beside `response_format`"));
        }
        let kind = format.needed_text("type")?;
        let format_of_answer = match kind.as_str() {
            "text" => Self::Text,
            "json_object" => Self::Json(json!({"type": "object"})),
            "json_schema" => Self::Json(schema(&mut format).await?),
            _ => return Err(format.invalid("type", "must be `text`, `json_object` or `json_schema`")),
        };
        format.end()?;
        Ok(format_of_answer)
    }

    /// The constraint of an answer in this form, or of calls where tools are offered.
    pub(super) fn constraint(self, tools: Option<&Tools>) -> Result<Constraint, ApiError> {
        let Some(tools) = tools else {
            return Ok(match self {
                Self::Text => Constraint::text(),
                Self::Json(schema) => Constraint::JsonSchema(schema),
                Self::Grammar(grammar) => Constraint::Lark(grammar),
            });
        };
        let calls = tools.grammar();
        let start = match (tools.choice, self) {
            (Choice::Required, _) => "start: opening calls".to_owned(),
            // A lazy rule ends where a call opens; `OTHERWISE` is all text in which none does.
            (Choice::Auto, Self::Text) => {
                "start: OTHERWISE | before calls\nbefore[lazy]: /(?s:.*)/ \"<tool_call>\\n\"\n\
                 OTHERWISE: /(?s:.*)/ & ~/(?s:.*)<tool_call>\\n(?s:.*)/"
                    .to_owned()
            }
            (Choice::Auto, Self::Json(schema)) => {
                format!("start: otherwise | opening calls\notherwise: %json {}", on_one_line(schema))
            }
            (Choice::Auto, Self::Grammar(_)) => {
                return Err(ApiError::invalid("grammar", "cannot stand beside `tools`"));
            }
        };
        Ok(Constraint::Lark(format!("{start}\n{calls}")))
    }
}

/// The schema of a `response_format` of the type `json_schema`.
async fn schema(format: &mut Fields) -> Result<Value, ApiError> {
    let place = format.place("json_schema");
    let Some(mut described) = format.object("json_schema")? else {
        return Err(ApiError::invalid(place, "is missing"));
    };
    // Every schema is enforced, so `strict` changes nothing.
    described.flag("strict")?;
    described.ignore(&["name", "description"]);
    let schema = described.take("schema").unwrap_or_else(|| json!({"type": "object"}));
    check_schema(&schema, &described.place("schema")).await?;
    described.end()?;
    Ok(schema)
}

/// Checks that sampling can enforce a schema.
pub(super) async fn check_schema(schema: &Value, place: &str) -> Result<(), ApiError> {
    if !schema.is_object() {
        return Err(ApiError::invalid(place, "must be an object"));
    }
    let fault = match Constraint::check_supported(schema.clone()).await {
        Ok(()) => return Ok(()),
        Err(UnsupportedSchema::NotASchema { reason }) => format!("is not a JSON schema: {reason}"),
        Err(UnsupportedSchema::Unsatisfiable { reason }) => format!("is satisfied by nothing: {reason}"),
        Err(error) => format!("cannot be enforced: {error}"),
    };
    Err(ApiError { code: Some("invalid_json_schema"), ..ApiError::invalid(place, &fault) })
}

fn lark(body: &Fields, grammar: &str) -> Result<String, ApiError> {
    if grammar.len() > MAX_GRAMMAR_BYTES {
        return Err(body.invalid("grammar", &format!("must have at most {MAX_GRAMMAR_BYTES} bytes")));
    }
    match grammar.trim_start().strip_prefix(LLGUIDANCE) {
        Some(grammar) => Ok(grammar.trim_start().to_owned()),
        None => Err(body.invalid(
            "grammar",
            &format!("must begin with the line `{LLGUIDANCE}`: only llguidance's dialect of Lark is known"),
        )),
    }
}
