use crate::ControllerError;
use jsonschema::PatternOptions;
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokenId};
use llguidance::{Matcher, ParserFactory};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Limits on the patterns of a schema: their number, the bytes of a compiled one, and the steps of a comparison.
const MAX_PATTERNS: usize = 256;
const PATTERN_BYTES: usize = 1 << 18;
const PATTERN_STEPS: usize = 100_000;
/// The largest JSON schema that is compiled into a grammar, in bytes.
const MAX_SCHEMA_BYTES: usize = 64 << 10;

/// The form an answer must have. Every request has one, so the program never parses free text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// A JSON value that satisfies this schema. Properties appear in the order of the schema.
    JsonSchema(Value),
    /// Text that the rule `start` of this grammar matches, in llguidance's dialect of Lark.
    Lark(String),
}

/// Why [`Constraint::check`] rejects a text.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The constraint cannot be compiled, so no text can be checked against it.
    #[error(transparent)]
    Constraint(#[from] ControllerError),
    /// The text violates the constraint.
    #[error("{reason}")]
    Violation {
        /// What violates it, as the validator or the grammar reports it.
        reason: String,
    },
}

/// Why answers cannot be constrained to a JSON schema while they are sampled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedSchema {
    /// The schema is larger than the grammar compiler is given.
    #[error("the schema has {bytes} bytes; at most {limit} are supported")]
    TooLarge {
        /// Length of the schema's JSON, in bytes.
        bytes: usize,
        /// The largest supported length, in bytes.
        limit: usize,
    },
    /// The value is not a JSON schema.
    #[error("{reason}")]
    NotASchema {
        /// What the validator reports.
        reason: String,
    },
    /// No value satisfies the schema.
    #[error("{reason}")]
    Unsatisfiable {
        /// What the grammar compiler reports.
        reason: String,
    },
    /// The grammar compiler does not support a keyword of the schema.
    #[error("{reason}")]
    NoGrammar {
        /// What the grammar compiler reports.
        reason: String,
    },
    /// The grammar compiler panicked.
    #[error("the grammar compiler panicked on this schema")]
    CompilerPanicked,
}

impl Constraint {
    /// One line of 1 to `max_chars` characters, for text that only people and prompts read.
    ///
    /// The line does not start with a space and has no control characters.
    pub fn line(max_chars: u32) -> Self {
        let rest = max_chars.saturating_sub(1);
        Self::Lark(format!(r"start: /[^\x00-\x20\x7f][^\x00-\x1f\x7f]{{0,{rest}}}/"))
    }

    /// Any text, for answers that only people read. The request's `max_tokens` bounds it.
    pub fn text() -> Self {
        Self::Lark(r"start: /(?s:.*)/".into())
    }

    /// One of `choices`, as a JSON string.
    pub fn choice<S: Into<String>>(choices: impl IntoIterator<Item = S>) -> Self {
        let choices: Vec<String> = choices.into_iter().map(Into::into).collect();
        Self::JsonSchema(json!({"type": "string", "enum": choices}))
    }

    /// Checks that `text` is a complete answer.
    ///
    /// Use it on text from servers, which may ignore the constraint. Locally sampled text needs no check.
    ///
    /// # Errors
    /// [`CheckError::Violation`] if the text violates the constraint, [`CheckError::Constraint`] if the
    /// constraint cannot be compiled.
    pub fn check(&self, text: &str) -> Result<(), CheckError> {
        match self {
            Self::JsonSchema(schema) => check_json(schema, text),
            Self::Lark(_) => self.check_lark(text),
        }
    }

    /// The beginning of `text` after which the grammar allows nothing more, if `text` begins with a complete answer.
    /// For a schema: the whole text.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(crate) fn complete_beginning<'t>(&self, text: &'t str) -> Result<&'t str, CheckError> {
        match self {
            Self::JsonSchema(schema) => check_json(schema, text).map(|()| text),
            Self::Lark(_) => self.lark_beginning(text),
        }
    }

    /// The grammar that llguidance samples by.
    pub(crate) fn grammar(&self) -> TopLevelGrammar {
        match self {
            Self::JsonSchema(schema) => TopLevelGrammar::from_json_schema(on_one_line(schema.clone())),
            Self::Lark(grammar) => TopLevelGrammar::from_lark(grammar.clone()),
        }
    }

    /// Checks whether a grammar can be compiled from `schema`, so that sampling can enforce it.
    ///
    /// Callers request unsupported schemas in a wider form and validate the answer afterwards.
    ///
    /// # Errors
    /// [`UnsupportedSchema`] with the reason.
    pub async fn check_supported(schema: Value) -> Result<(), UnsupportedSchema> {
        let bytes = schema.to_string().len();
        if bytes > MAX_SCHEMA_BYTES {
            return Err(UnsupportedSchema::TooLarge { bytes, limit: MAX_SCHEMA_BYTES });
        }
        if patterns(&schema) > MAX_PATTERNS {
            let reason = format!("it has more than {MAX_PATTERNS} patterns");
            return Err(UnsupportedSchema::NoGrammar { reason });
        }
        if let Err(error) = validator(&schema) {
            return Err(UnsupportedSchema::NotASchema { reason: error.to_string() });
        }
        // The grammar compiler panics on some schemas. A separate task turns the panic into an error.
        let compiled = tokio::task::spawn_blocking(move || Self::JsonSchema(schema).compile().map(|_| ()));
        let reason = match compiled.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(ControllerError::BadConstraint { reason })) => reason,
            Ok(Err(other)) => other.to_string(),
            Err(_) => return Err(UnsupportedSchema::CompilerPanicked),
        };
        // llguidance reports every failure as text; this is how it begins when no value fits.
        if reason.starts_with("Unsatisfiable") {
            Err(UnsupportedSchema::Unsatisfiable { reason })
        } else {
            Err(UnsupportedSchema::NoGrammar { reason })
        }
    }

    /// Compiles the constraint into a matcher over a vocabulary of single bytes.
    pub(crate) fn compile(&self) -> Result<Matcher, ControllerError> {
        let bad = |reason: String| ControllerError::BadConstraint { reason };
        let bytes = ApproximateTokEnv::single_byte_env();
        let mut factory = ParserFactory::new(&bytes, InferenceCapabilities::default(), &[])
            .map_err(|error| bad(error.to_string()))?;
        factory.quiet();
        let matcher = Matcher::new(factory.create_parser(self.grammar()));
        match matcher.get_error() {
            Some(error) => Err(bad(error)),
            None => Ok(matcher),
        }
    }

    fn check_lark(&self, text: &str) -> Result<(), CheckError> {
        let accepted = self.lark_beginning(text)?;
        if accepted.len() == text.len() { Ok(()) } else { Err(ends_after(accepted)) }
    }

    fn lark_beginning<'t>(&self, text: &'t str) -> Result<&'t str, CheckError> {
        let bad = |reason: String| ControllerError::BadConstraint { reason };
        let mut matcher = self.compile()?;
        let tokens: Vec<TokenId> = text.bytes().map(TokenId::from).collect();
        let consumed = matcher.try_consume_tokens(&tokens).map_err(|error| bad(error.to_string()))?;
        let accepted = text.get(..consumed).unwrap_or_default();
        let complete =
            matcher.is_stopped() || matcher.is_accepting().map_err(|error| bad(error.to_string()))?;
        match (complete, consumed < tokens.len()) {
            (true, _) => Ok(accepted),
            (false, true) => Err(ends_after(accepted)),
            (false, false) => Err(CheckError::Violation {
                reason: format!("the grammar requires more after `{}`", tail(text)),
            }),
        }
    }
}

/// The schema with llguidance's settings for JSON on one line, with a space after `,` and `:`. If white space were free, small
/// models could emit it without end, and no token between two keys could be forced.
pub(crate) fn on_one_line(mut schema: Value) -> Value {
    if let Value::Object(fields) = &mut schema {
        fields.entry("x-guidance").or_insert_with(
            || json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "}),
        );
    }
    schema
}

/// Compiles a schema, with bounds on its patterns: it may come from another program.
fn validator(schema: &Value) -> Result<jsonschema::Validator, jsonschema::ValidationError<'static>> {
    let patterns = PatternOptions::fancy_regex()
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .backtrack_limit(PATTERN_STEPS);
    jsonschema::options().with_pattern_options(patterns).build(schema)
}

/// How often `pattern` stands in a schema, at least, and properties by pattern.
fn patterns(schema: &Value) -> usize {
    let (mut open, mut found) = (vec![schema], 0);
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => {
                found += usize::from(fields.get("pattern").is_some_and(Value::is_string));
                found += fields
                    .get("patternProperties")
                    .and_then(Value::as_object)
                    .map_or(0, serde_json::Map::len);
                open.extend(fields.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    found
}

/// The violation of a text that goes on after `accepted`.
fn ends_after(accepted: &str) -> CheckError {
    CheckError::Violation { reason: format!("the grammar allows nothing more after `{}`", tail(accepted)) }
}

fn check_json(schema: &Value, text: &str) -> Result<(), CheckError> {
    let validator =
        validator(schema).map_err(|error| ControllerError::BadConstraint { reason: error.to_string() })?;
    let violation = |reason: String| CheckError::Violation { reason };
    let value: Value = serde_json::from_str(text).map_err(|error| violation(error.to_string()))?;
    validator.validate(&value).map_err(|error| violation(error.to_string()))
}

/// The last 40 characters of `text`, for an error message.
fn tail(text: &str) -> &str {
    let start = text.char_indices().rev().nth(39).map_or(0, |(at, _)| at);
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_accepts_one_line_of_limited_length() {
        let line = Constraint::line(8);
        for (text, complete) in [
            ("a", true),
            ("a b ü 界!", true),
            ("", false),
            (" a", false),
            ("a\nb", false),
            ("123456789", false),
        ] {
            assert_eq!(line.check(text).is_ok(), complete, "{text:?}");
        }
    }

    #[test]
    fn text_accepts_everything() {
        for text in ["", "a", "two\nlines\n", "ä 界 </s> {\"a\": 1}"] {
            assert!(Constraint::text().check(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn grammar_check_distinguishes_incomplete_from_invalid_text() {
        let grammar = Constraint::Lark("start: \"go \" /[0-9]+/ \";\"".into());
        assert!(grammar.check("go 12;").is_ok());
        let reason = |text| grammar.check(text).unwrap_err().to_string();
        assert!(reason("go 12").contains("requires more after `go 12`"));
        assert!(reason("go x").contains("allows nothing more after `go `"));
    }

    #[test]
    fn choice_is_checked_as_json() {
        let choice = Constraint::choice(["eat", "sleep"]);
        assert!(choice.check("\"eat\"").is_ok());
        assert!(matches!(choice.check("\"run\""), Err(CheckError::Violation { .. })));
        assert!(matches!(choice.check("eat"), Err(CheckError::Violation { .. })));
    }

    #[test]
    fn invalid_constraint_is_distinguished_from_a_violation() {
        for constraint in
            [Constraint::Lark("start: nowhere".into()), Constraint::JsonSchema(json!({"type": "nothing"}))]
        {
            let error = constraint.check("1").unwrap_err();
            let bad = matches!(error, CheckError::Constraint(ControllerError::BadConstraint { .. }));
            assert!(bad, "{error}");
        }
    }
}
