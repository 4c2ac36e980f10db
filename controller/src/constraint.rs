use crate::ControllerError;
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokenId};
use llguidance::{Matcher, ParserFactory};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Bytes of a schema that answers are held to.
const SCHEMA_BYTES: usize = 64 << 10;

/// The form an answer must have.
///
/// There is no "anything goes": what the program reads is well-formed because it cannot be sampled otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// A JSON value that this schema describes, its properties in the schema's order.
    JsonSchema(Value),
    /// Text that the rule `start` of this grammar describes, in llguidance's dialect of Lark.
    Lark(String),
}

impl Constraint {
    /// One line of 1 to `max_chars` characters, for text that only people and prompts read.
    ///
    /// It neither begins with a space nor holds control characters.
    pub fn line(max_chars: u32) -> Self {
        let rest = max_chars.saturating_sub(1);
        Self::Lark(format!(r"start: /[^\x00-\x20\x7f][^\x00-\x1f\x7f]{{0,{rest}}}/"))
    }

    /// One of `choices`, as a JSON string.
    pub fn choice<S: Into<String>>(choices: impl IntoIterator<Item = S>) -> Self {
        let choices: Vec<String> = choices.into_iter().map(Into::into).collect();
        Self::JsonSchema(json!({"type": "string", "enum": choices}))
    }

    /// Says whether `text` is a whole answer, and why not.
    ///
    /// For text from a server that may have ignored the constraint; locally sampled text needs no check.
    /// Fails with [`ControllerError::BadConstraint`] when there is nothing to check against.
    pub fn check(&self, text: &str) -> Result<Result<(), String>, ControllerError> {
        match self {
            Self::JsonSchema(schema) => check_json(schema, text),
            Self::Lark(_) => self.check_lark(text),
        }
    }

    /// The grammar llguidance samples by.
    ///
    /// JSON is written on one line with a space after `,` and `:`. Where white space is left to the model, a small
    /// one may write it without end, and nothing between two keys can be forced.
    pub(crate) fn grammar(&self) -> TopLevelGrammar {
        match self {
            Self::JsonSchema(schema) => {
                let mut schema = schema.clone();
                if let Value::Object(fields) = &mut schema {
                    fields.entry("x-guidance").or_insert_with(|| {
                        json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "})
                    });
                }
                TopLevelGrammar::from_json_schema(schema)
            }
            Self::Lark(grammar) => TopLevelGrammar::from_lark(grammar.clone()),
        }
    }

    /// Whether answers can be held to this schema while they are sampled; why not, if not.
    ///
    /// What cannot is asked for in a wider form, and checked afterwards.
    pub async fn expressible(schema: Value) -> Result<(), String> {
        let size = schema.to_string().len();
        if size > SCHEMA_BYTES {
            return Err(format!("the schema has {size} bytes, of at most {SCHEMA_BYTES}"));
        }
        if let Err(error) = jsonschema::validator_for(&schema) {
            return Err(error.to_string());
        }
        // The compiler of grammars has been seen to panic on odd ones; on a thread of its own that is an answer too.
        let compiled = tokio::task::spawn_blocking(move || Self::JsonSchema(schema).compile().map(|_| ()));
        match compiled.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(ControllerError::BadConstraint { reason })) => Err(reason),
            Ok(Err(other)) => Err(other.to_string()),
            Err(_) => Err("the grammar compiler gave up".to_owned()),
        }
    }

    /// The constraint as something that takes bytes.
    pub(crate) fn compile(&self) -> Result<Matcher, ControllerError> {
        let bad = |reason: String| ControllerError::BadConstraint { reason };
        // A vocabulary of single bytes makes every text its own tokens.
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

    fn check_lark(&self, text: &str) -> Result<Result<(), String>, ControllerError> {
        let bad = |reason: String| ControllerError::BadConstraint { reason };
        let mut matcher = self.compile()?;
        let tokens: Vec<TokenId> = text.bytes().map(TokenId::from).collect();
        let taken = matcher.try_consume_tokens(&tokens).map_err(|error| bad(error.to_string()))?;
        if taken < tokens.len() {
            let at = text.get(..taken).unwrap_or_default();
            return Ok(Err(format!("the grammar does not go on after `{}`", tail(at))));
        }
        let whole = matcher.is_stopped() || matcher.is_accepting().map_err(|error| bad(error.to_string()))?;
        Ok(if whole { Ok(()) } else { Err(format!("the grammar wants more after `{}`", tail(text))) })
    }
}

fn check_json(schema: &Value, text: &str) -> Result<Result<(), String>, ControllerError> {
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| ControllerError::BadConstraint { reason: error.to_string() })?;
    Ok(match serde_json::from_str::<Value>(text) {
        Ok(value) => validator.validate(&value).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    })
}

/// The last few characters of `text`, for a message.
fn tail(text: &str) -> &str {
    let start = text.char_indices().rev().nth(39).map_or(0, |(at, _)| at);
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_of_limited_length() {
        let line = Constraint::line(8);
        for (text, whole) in [
            ("a", true),
            ("a b ü 界!", true),
            ("", false),
            (" a", false),
            ("a\nb", false),
            ("123456789", false),
        ] {
            assert_eq!(line.check(text).unwrap().is_ok(), whole, "{text:?}");
        }
    }

    #[test]
    fn a_grammar_tells_the_beginning_of_an_answer_from_a_whole_one() {
        let grammar = Constraint::Lark("start: \"go \" /[0-9]+/ \";\"".into());
        assert_eq!(grammar.check("go 12;").unwrap(), Ok(()));
        assert!(grammar.check("go 12").unwrap().unwrap_err().contains("wants more after `go 12`"));
        assert!(grammar.check("go x").unwrap().unwrap_err().contains("does not go on after `go `"));
    }

    #[test]
    fn a_choice_is_checked_as_json() {
        let choice = Constraint::choice(["eat", "sleep"]);
        assert_eq!(choice.check("\"eat\"").unwrap(), Ok(()));
        assert!(choice.check("\"run\"").unwrap().is_err());
        assert!(choice.check("eat").unwrap().is_err());
    }

    #[test]
    fn what_is_no_constraint_is_an_error_and_not_a_verdict() {
        for constraint in
            [Constraint::Lark("start: nowhere".into()), Constraint::JsonSchema(json!({"type": "nothing"}))]
        {
            let error = constraint.check("1").unwrap_err();
            assert!(matches!(error, ControllerError::BadConstraint { .. }), "{error}");
        }
    }
}
