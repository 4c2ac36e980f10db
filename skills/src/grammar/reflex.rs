//! The JavaScript subset for reflexes: conditions on the state, each with an action.
//!
//! It has no variables, and loops only over lists of the state. Every program therefore ends after a number
//! of comparisons that is known in advance.

use super::node::{Grammar, Node, choice, name, optional, repeat, seq, text};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Limits on the rules of a reflex and on the conditions of a rule.
const RULES: u32 = 5;
const CONDITIONS: u32 = 3;
/// Limit on the rules for the elements of a list.
const INNER_RULES: u32 = 4;

/// Input for the grammar of a reflex.
#[derive(Debug, Clone)]
pub struct ReflexSpec<'a> {
    /// Sample states, which provide names and types of the fields.
    pub samples: &'a [Value],
    /// Names of the actions that the reflex may return.
    pub actions: &'a [String],
    /// Further texts that state fields may hold, besides those in the samples.
    pub words: &'a [String],
}

/// Grammar of the body of `function name(state) {`, including its closing brace.
pub fn reflex_subset(spec: &ReflexSpec<'_>) -> Grammar {
    let mut grammar = Grammar { definitions: Vec::new() };
    let shape = Shape::of(spec);
    let mut statements = Vec::new();
    if !shape.is_plain() {
        statements.push(name("rule"));
    }
    for (list, element) in shape.lists.iter().filter(|(_, element)| !element.is_plain()) {
        statements.push(seq([
            text(format!("  for (const one of state.{list}) {{\n")),
            repeat(inner_rule(element), 1, INNER_RULES),
            text("  }\n"),
        ]));
    }
    let body = if statements.is_empty() {
        text("  return null;\n}")
    } else {
        seq([repeat(choice(statements), 1, RULES), text("  return null;\n}")])
    };
    grammar.define("start", body);
    let more = seq([text(" && "), name("condition")]);
    grammar.define(
        "rule",
        seq([
            text("  if ("),
            name("condition"),
            repeat(more, 0, CONDITIONS - 1),
            text(") return "),
            name("action"),
            text(";\n"),
        ]),
    );
    grammar.define("condition", choice(shape.conditions("state.")));
    grammar.define("action", choice(spec.actions.iter().map(|action| text(format!("\"{action}\"")))));
    grammar.define("compare", choice([" < ", " > ", " <= ", " >= ", " === ", " !== "].map(text)));
    grammar.define("number", seq([optional(text("-")), repeat(Node::Class(&[('0', '9')]), 1, 2)]));
    if shape.is_plain() {
        // Without fields there are no conditions, and so no rules.
        grammar.definitions.retain(|definition| !matches!(definition.name, "rule" | "condition"));
    }
    grammar
}

fn inner_rule(element: &Shape) -> Node {
    let mut conditions = element.conditions("one.");
    conditions.extend(element.distances());
    let condition = choice(conditions.clone());
    let further = seq([text(" && "), condition.clone()]);
    let action = choice([
        name("action"),
        seq([condition.clone(), text(" ? "), name("action"), text(" : "), name("action")]),
        seq([
            text("Math.abs(one."),
            choice(element.numbers.iter().map(text)),
            text(") > Math.abs(one."),
            choice(element.numbers.iter().map(text)),
            text(") ? ("),
            condition.clone(),
            text(" ? "),
            name("action"),
            text(" : "),
            name("action"),
            text(") : ("),
            condition.clone(),
            text(" ? "),
            name("action"),
            text(" : "),
            name("action"),
            text(")"),
        ]),
    ]);
    let action = if element.numbers.is_empty() { name("action") } else { action };
    seq([
        text("    if ("),
        condition,
        repeat(further, 0, CONDITIONS - 1),
        text(") return "),
        action,
        text(";\n"),
    ])
}

/// Fields of an object, grouped by type.
#[derive(Debug, Default)]
struct Shape {
    numbers: BTreeSet<String>,
    flags: BTreeSet<String>,
    /// Text fields with their possible values.
    texts: BTreeMap<String, BTreeSet<String>>,
    /// Lists of texts with their possible elements.
    sets: BTreeMap<String, BTreeSet<String>>,
    /// Lists of objects.
    lists: BTreeMap<String, Shape>,
}

impl Shape {
    fn of(spec: &ReflexSpec<'_>) -> Self {
        let mut shape = Self::default();
        for sample in spec.samples.iter().filter_map(Value::as_object) {
            shape.read(sample, "", true);
        }
        shape.learn(spec.words);
        shape
    }

    /// Collects the fields of an object, and those of nested objects by path, one level deep.
    fn read(&mut self, record: &Map<String, Value>, prefix: &str, nested: bool) {
        for (key, value) in record.iter().filter(|(key, _)| is_name(key)) {
            let path = format!("{prefix}{key}");
            match value {
                Value::Number(_) => _ = self.numbers.insert(path),
                Value::Bool(_) => _ = self.flags.insert(path),
                Value::String(word) => _ = self.texts.entry(path).or_default().insert(word.clone()),
                Value::Object(inner) if nested => self.read(inner, &format!("{path}."), false),
                Value::Array(items) if prefix.is_empty() => {
                    for item in items {
                        match item {
                            Value::Object(inner) => {
                                self.lists.entry(path.clone()).or_default().read(inner, "", false);
                            }
                            Value::String(word) => {
                                _ = self.sets.entry(path.clone()).or_default().insert(word.clone());
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Adds possible values to every text field.
    fn learn(&mut self, words: &[String]) {
        let known = self.texts.values_mut().chain(self.sets.values_mut());
        known.for_each(|texts| texts.extend(words.iter().filter(|word| is_word(word)).cloned()));
        self.lists.values_mut().for_each(|list| list.learn(words));
    }

    fn is_plain(&self) -> bool {
        self.numbers.is_empty() && self.flags.is_empty() && self.texts.is_empty() && self.sets.is_empty()
    }

    fn conditions(&self, prefix: &str) -> Vec<Node> {
        let mut all = Vec::new();
        let paths =
            |paths: Vec<&String>| choice(paths.into_iter().map(|path| text(format!("{prefix}{path}"))));
        if !self.numbers.is_empty() {
            all.push(seq([paths(self.numbers.iter().collect()), name("compare"), name("number")]));
        }
        if !self.flags.is_empty() {
            all.push(seq([optional(text("!")), paths(self.flags.iter().collect())]));
        }
        for (path, words) in &self.texts {
            let words = choice(words.iter().filter(|word| is_word(word)).map(|w| text(format!("\"{w}\""))));
            if matches!(&words, Node::Choice(options) if !options.is_empty()) {
                let equal = choice([text(" === "), text(" !== ")]);
                all.push(seq([text(format!("{prefix}{path}")), equal, words]));
            }
        }
        for (path, words) in &self.sets {
            let words = choice(words.iter().filter(|word| is_word(word)).map(|w| text(format!("\"{w}\""))));
            if matches!(&words, Node::Choice(options) if !options.is_empty()) {
                all.push(seq([text(format!("{prefix}{path}.includes(")), words, text(")")]));
            }
        }
        all
    }

    /// Comparisons of an element's distance, over any one or two of its numbers.
    fn distances(&self) -> Vec<Node> {
        if self.numbers.is_empty() {
            return Vec::new();
        }
        let field = || choice(self.numbers.iter().map(text));
        let one = [text("Math.abs(one."), field(), text(")")];
        let two = [text("Math.abs(one."), field(), text(") + Math.abs(one."), field(), text(")")];
        vec![seq([choice([seq(one), seq(two)]), name("compare"), name("number")])]
    }
}

/// Whether a field can be accessed with dot syntax.
fn is_name(key: &str) -> bool {
    let mut characters = key.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a text can be a literal of the grammar.
fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= 32
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "_ -".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn grammar() -> Grammar {
        let samples = [
            json!({"health": 3, "sleeping": false, "direction": "north", "inventory": {"wood": 1}, "near": ["table"],
                   "creatures": [{"kind": "zombie", "dx": 1, "dy": 0}], "odd key": 1, "position": [3, 4]}),
            json!({"health": 2, "creatures": []}),
        ];
        let actions = ["noop".to_owned(), "move_left".to_owned()];
        reflex_subset(&ReflexSpec { samples: &samples, actions: &actions, words: &["skeleton".to_owned()] })
    }

    #[test]
    fn the_grammar_offers_exactly_the_fields_of_the_state() {
        let lark = grammar().to_lark();
        for offered in [
            "state.health",
            "state.inventory.wood",
            "state.sleeping",
            "one.kind",
            "skeleton",
            "state.near.includes(",
        ] {
            assert!(lark.contains(offered), "{offered} is missing:\n{lark}");
        }
        for hidden in ["odd key", "position"] {
            assert!(!lark.contains(hidden), "{hidden} is offered:\n{lark}");
        }
    }

    #[test]
    fn a_state_without_fields_allows_one_program() {
        let grammar =
            reflex_subset(&ReflexSpec { samples: &[json!({})], actions: &["noop".to_owned()], words: &[] });
        assert!(!grammar.to_lark().contains("condition"), "{}", grammar.to_lark());
    }
}
