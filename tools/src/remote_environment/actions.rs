//! The actions of a peer: names without arguments, or names with a JSON Schema of their arguments.

use super::RemoteEnvironmentError;
use crate::outside::quote;
use crate::outside::schema::{check_arguments, keep_patterns, validator};
use crate::outside::text::cut;
use crate::schema::{RESERVED, identifier};
use crate::{Action, Effects, Parameter, ParameterKind, ToolCall, ToolSpec, with_defaults};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Limit on the actions of a world, and on the name of one, in characters: they stand in every prompt.
const MAX_ACTIONS: usize = 500;
const MAX_NAME: usize = 200;
/// Characters of a longer one that an error shows.
const SHOWN: usize = 60;
/// Limit on the patterns in the schemas of all actions; the world itself checks further ones.
const MAX_PATTERNS: usize = 64;
/// Limit on the repetitions of an action in one call.
pub(super) const TIMES: i64 = 50;

/// An action as a peer offers it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ActionOffer {
    pub name: String,
    pub description: String,
    /// JSON Schema of the argument object; `None` for an action without arguments.
    pub input: Option<Value>,
    /// Whether the peer wrote these texts and is not trusted.
    pub untrusted: bool,
}

impl From<&str> for ActionOffer {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

impl<'de> Deserialize<'de> for ActionOffer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Described {
            name: String,
            #[serde(default)]
            description: String,
            #[serde(default)]
            input: Option<Value>,
        }
        struct Either;
        // An untagged enum would not name the key that is unknown.
        impl<'de> Visitor<'de> for Either {
            type Value = ActionOffer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an action's name, or an object with its `name`, `description` and `input`")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<ActionOffer, E> {
                Ok(name.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ActionOffer, A::Error> {
                let Described { name, description, input } =
                    Described::deserialize(MapAccessDeserializer::new(map))
                        .map_err(|error| A::Error::custom(format!("an action has an {error}")))?;
                Ok(ActionOffer { name, description, input, untrusted: false })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// One action with its arguments, as a peer carries it out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deed {
    pub name: String,
    /// `None` for an action that takes no arguments.
    pub args: Option<Map<String, Value>>,
}

impl Deed {
    /// The action's text in the log: its name, and its arguments as JSON.
    pub fn action(&self) -> Action {
        match &self.args {
            None => Action(self.name.clone()),
            Some(args) => Action(format!("{} {}", self.name, Value::Object(args.clone()))),
        }
    }
}

/// The actions of an environment, with the tools that skills call.
#[derive(Clone)]
pub(super) struct Actions {
    by_tool: BTreeMap<String, Entry>,
}

#[derive(Clone)]
struct Entry {
    name: String,
    tool: ToolSpec,
    /// `None` for an action without arguments, whose tool takes a number of repetitions.
    validator: Option<Arc<jsonschema::Validator>>,
}

/// A parsed call.
pub(super) struct Repeated {
    pub deed: Deed,
    pub times: i64,
}

/// An action's name as a JavaScript identifier: `do` becomes `do_`.
fn tool_name(action: &str) -> String {
    let mut name = identifier("", action);
    if RESERVED.contains(&name.as_str()) {
        name.push('_');
    }
    name
}

impl Actions {
    /// The actions, and their tools in the order of `offers`.
    pub fn new(offers: &[ActionOffer]) -> Result<(Self, Vec<ToolSpec>), RemoteEnvironmentError> {
        if offers.is_empty() {
            return Err(RemoteEnvironmentError("the environment has no actions".to_owned()));
        }
        if offers.len() > MAX_ACTIONS {
            return Err(RemoteEnvironmentError(format!(
                "the environment has {} actions; at most {MAX_ACTIONS} are possible",
                offers.len()
            )));
        }
        let (mut by_tool, mut tools) = (BTreeMap::new(), Vec::new());
        let mut patterns = MAX_PATTERNS;
        for offer in offers {
            if offer.name.chars().nth(MAX_NAME).is_some() {
                return Err(RemoteEnvironmentError(format!(
                    "an action's name has more than {MAX_NAME} characters: {}",
                    quote::inline(&cut(&offer.name, SHOWN))
                )));
            }
            let mut offer = offer.clone();
            let compiled = match &mut offer.input {
                None => None,
                Some(input) => {
                    let wrong = |error: String| {
                        RemoteEnvironmentError(format!(
                            "the `input` of the action `{}` is no JSON Schema: {error}",
                            offer.name
                        ))
                    };
                    check_arguments(input).map_err(wrong)?;
                    keep_patterns(input, &mut patterns);
                    Some(Arc::new(validator(input).map_err(|error| wrong(error.to_string()))?))
                }
            };
            let tool = offer.tool();
            let entry = Entry { name: offer.name.clone(), tool: tool.clone(), validator: compiled };
            if tool.name == "observe" || by_tool.insert(tool.name.clone(), entry).is_some() {
                return Err(RemoteEnvironmentError(format!(
                    "two actions would both get the tool name `{}`",
                    tool.name
                )));
            }
            tools.push(tool);
        }
        Ok((Self { by_tool }, tools))
    }

    /// The peer's name of the action behind a tool.
    pub fn own_name(&self, tool: &str) -> Option<&str> {
        self.by_tool.get(tool).map(|entry| entry.name.as_str())
    }

    /// Parses a call; the error says what is wrong with it.
    pub fn read(&self, call: &ToolCall) -> Result<Repeated, String> {
        let Some(entry) = self.by_tool.get(&call.name) else {
            return Err(format!("there is no `{}` here", call.name));
        };
        let Some(validator) = &entry.validator else {
            let args = with_defaults(&entry.tool.parameters, call.args.clone());
            return match args.get("times").and_then(Value::as_i64) {
                Some(times @ 1..=TIMES) if args.len() == 1 => {
                    Ok(Repeated { deed: Deed { name: entry.name.clone(), args: None }, times })
                }
                _ => Err(format!("`{}` takes a whole number of times, 1 to {TIMES}", call.name)),
            };
        };
        let mut given = call.args.clone();
        // A call by position passes `null` for what it leaves out.
        given.retain(|_, value| !value.is_null());
        let mut args = Map::new();
        for parameter in &entry.tool.parameters {
            let default = parameter.default.clone().filter(|default| !default.is_null());
            if let Some(value) = given.remove(&parameter.name).or(default) {
                args.insert(parameter.name.clone(), value);
            }
        }
        args.extend(given);
        let args = Value::Object(args);
        if let Some(error) = validator.iter_errors(&args).next() {
            return Err(format!("`{}` was called with wrong arguments: {error}", call.name));
        }
        let Value::Object(args) = args else { return Err("arguments are an object".to_owned()) };
        Ok(Repeated { deed: Deed { name: entry.name.clone(), args: Some(args) }, times: 1 })
    }

    /// The action that a text in the log means.
    pub fn deed(&self, action: &Action) -> Option<Deed> {
        let named = |name: &str| self.by_tool.values().find(|entry| entry.name == name);
        if named(&action.0).is_some_and(|entry| entry.validator.is_none()) {
            return Some(Deed { name: action.0.clone(), args: None });
        }
        let (name, args) = action.0.split_at_checked(action.0.find(" {")?)?;
        named(name).filter(|entry| entry.validator.is_some())?;
        Some(Deed { name: name.to_owned(), args: Some(serde_json::from_str(args).ok()?) })
    }

    /// Names of the actions without arguments, which a reflex may take.
    pub fn plain(offers: &[ActionOffer]) -> impl Iterator<Item = &str> {
        offers.iter().filter(|offer| offer.input.is_none()).map(|offer| offer.name.as_str())
    }

    /// The call that a peer offers as possible now: an action with its arguments, an action's name, or the text for the only
    /// action, where that takes one text. `None` for what is no call.
    pub fn available(&self, offer: &Value) -> Option<ToolCall> {
        let tool_of = |name: &str| self.by_tool.values().find(|entry| entry.name == name);
        let call = match offer {
            Value::String(text) => match (tool_of(text), self.takes_text()) {
                (Some(entry), _) => ToolCall { name: entry.tool.name.clone(), args: Map::new() },
                (None, Some((tool, parameter))) => {
                    let args = Map::from_iter([(parameter.to_owned(), text.as_str().into())]);
                    ToolCall { name: tool.to_owned(), args }
                }
                (None, None) => return None,
            },
            Value::Object(fields) => {
                let entry = tool_of(fields.get("name")?.as_str()?)?;
                let args = match fields.get("args") {
                    Some(Value::Object(args)) => args.clone(),
                    None | Some(Value::Null) => Map::new(),
                    Some(_) => return None,
                };
                ToolCall { name: entry.tool.name.clone(), args }
            }
            _ => return None,
        };
        self.read(&call).ok().map(|_| call)
    }

    /// The tool and the parameter of the only action, where that takes one text.
    fn takes_text(&self) -> Option<(&str, &str)> {
        let mut entries = self.by_tool.values();
        let (Some(only), None) = (entries.next(), entries.next()) else { return None };
        only.validator.as_ref()?;
        let [parameter] = only.tool.parameters.as_slice() else { return None };
        let is_text = parameter.schema().get("type").and_then(Value::as_str) == Some("string");
        is_text.then_some((only.tool.name.as_str(), parameter.name.as_str()))
    }
}

impl ActionOffer {
    fn tool(&self) -> ToolSpec {
        let description = if self.description.is_empty() { &self.name } else { &self.description };
        let tool = ToolSpec {
            effects: Effects { write: true, ..Effects::default() },
            untrusted: self.untrusted,
            ..ToolSpec::new(tool_name(&self.name), description.clone())
        };
        match &self.input {
            Some(input) => tool.with_input(input.clone()),
            None => ToolSpec {
                parameters: vec![Parameter {
                    name: "times".to_owned(),
                    kind: ParameterKind::Integer { min: 1, max: TIMES },
                    default: Some(1.into()),
                }],
                ..tool
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn offers() -> Vec<ActionOffer> {
        serde_json::from_value(json!([
            "look around",
            {"name": "go", "input": {"type": "object", "properties": {"to": {"enum": ["north", "south"]},
                "fast": {"type": "boolean", "default": false}}, "required": ["to"], "additionalProperties": false}},
        ]))
        .unwrap()
    }

    fn call(name: &str, args: &Value) -> ToolCall {
        ToolCall { name: name.to_owned(), args: args.as_object().unwrap().clone() }
    }

    #[test]
    fn a_call_becomes_an_action_that_reads_back() {
        let (actions, tools) = Actions::new(&offers()).unwrap();
        let names: Vec<&str> = tools[1].parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!((tools[0].name.as_str(), names.as_slice()), ("look_around", &["to", "fast"][..]));
        let done = actions.read(&call("go", &json!({"fast": null, "to": "north"}))).unwrap();
        let action = done.deed.action();
        assert_eq!(action.0, r#"go {"to":"north","fast":false}"#);
        assert_eq!(actions.deed(&action), Some(done.deed));
        let look = actions.read(&call("look_around", &json!({"times": 3}))).unwrap();
        assert_eq!((look.deed.action().0.as_str(), look.times), ("look around", 3));
        assert_eq!(actions.deed(&look.deed.action()), Some(look.deed));
        for bad in [json!({}), json!({"to": "up"}), json!({"to": "north", "by": 1})] {
            let error = actions.read(&call("go", &bad)).map(|_| ()).unwrap_err();
            assert!(error.starts_with("`go` was called with wrong arguments: "), "{error}");
        }
        for text in ["go", "go {", "look around {}", "fly {}"] {
            assert_eq!(actions.deed(&Action(text.to_owned())), None, "{text}");
        }
    }

    #[test]
    fn what_stands_in_every_prompt_is_bounded() {
        let refused = |offers: Value| {
            let offers: Vec<ActionOffer> = serde_json::from_value(offers).unwrap();
            Actions::new(&offers).map(|_| ()).unwrap_err().to_string()
        };
        assert!(refused(json!(["a".repeat(201)])).contains("more than 200 characters"));
        let many: Vec<String> = (0..501).map(|at| format!("a{at}")).collect();
        assert!(refused(json!(many)).contains("has 501 actions; at most 500"));
        let argument = json!({"properties": {"x".repeat(201): {}}});
        assert!(refused(json!([{"name": "go", "input": argument}])).contains("more than 200 characters"));
    }

    #[test]
    fn an_unknown_key_of_an_action_is_refused_by_its_name() {
        let error = serde_json::from_value::<Vec<ActionOffer>>(json!([{"name": "go", "inputs": {}}]));
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("unknown field `inputs`, expected one of `name`, `description`, `input`"),
            "{error}"
        );
        let error =
            Actions::new(&[ActionOffer { input: Some(json!({"type": 3})), ..ActionOffer::from("go") }]);
        assert!(
            error.err().unwrap().to_string().starts_with("the `input` of the action `go` is no JSON Schema")
        );
    }

    #[test]
    fn available_calls_are_names_objects_or_the_text_of_the_only_action() {
        let (actions, _) = Actions::new(&offers()).unwrap();
        let north = json!({"name": "go", "args": {"to": "north"}});
        assert_eq!(actions.available(&north), Some(call("go", &json!({"to": "north"}))));
        assert_eq!(actions.available(&json!("look around")), Some(call("look_around", &json!({}))));
        for wrong in [json!("go"), json!("take lamp"), json!({"name": "go", "args": []}), json!(3), json!({})]
        {
            assert_eq!(actions.available(&wrong), None, "{wrong}");
        }
        let text =
            json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]});
        let (actions, _) =
            Actions::new(&[ActionOffer { input: Some(text), ..ActionOffer::from("command") }]).unwrap();
        let take = call("command", &json!({"text": "take lamp"}));
        assert_eq!(actions.available(&json!("take lamp")), Some(take));
    }
}
