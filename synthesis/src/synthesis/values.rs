//! The values of expressions, which only the sandbox computes.
//!
//! [`Values`] is a table from a state and an expression to a value. Looking up a value that is not in the table yields nothing
//! and notes that it is missing. The caller has an [`Evaluator`] fill in all missing values in one batch and asks again, until
//! nothing is missing: so the code that proposes expressions stays synchronous, and a batch costs one compiled program.

use super::selector::{Selection, Selector};
use super::text::{Given, TextExpression};
use crate::javascript::{all_helpers, indented, member, quote};
use crate::ui::{UiElement, UiState};
use async_trait::async_trait;
use serde_json::{Map, Value};
use sojourn_sandbox::{Host, HostError, Invocation, Limits, Program, Sandbox};
use sojourn_tools::ExplorationSpec;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The name of the list of elements in expressions that are evaluated.
const ELEMENTS: &str = "elements";
/// Expressions of one program, at most, and bytes of their text.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 160 << 10;

/// Values by the index of a state and the text of an expression.
#[derive(Default)]
pub(crate) struct Values {
    known: Vec<HashMap<String, Value>>,
    missing: RefCell<BTreeSet<(usize, String)>>,
}

impl Values {
    /// The value of an expression in the state with this index; none where it has none, or where it is missing.
    fn get(&self, state: usize, expression: String) -> Option<&Value> {
        let value = self.known.get(state).and_then(|values| values.get(&expression));
        if value.is_none() {
            self.missing.borrow_mut().insert((state, expression));
        }
        value.filter(|value| !value.is_null())
    }

    /// Whether a value was looked up that is not known.
    pub(super) fn is_missing_any(&self) -> bool {
        !self.missing.borrow().is_empty()
    }
}

/// A state, and the values that expressions have in it.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub spec: &'a ExplorationSpec,
    pub state: &'a UiState,
    /// The index of the state in `values`.
    pub index: usize,
    pub values: &'a Values,
    /// The arguments of the program.
    pub given: &'a [Given],
}

impl<'a> View<'a> {
    fn value(self, expression: String) -> Option<&'a Value> {
        self.values.get(self.index, expression)
    }

    fn list(self, expression: String) -> &'a [Value] {
        self.value(expression).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// One value for each element: that of an expression about `e`.
    fn each(self, place: usize, expression: &str) -> Option<&'a Value> {
        self.list(format!("{ELEMENTS}.map(e => {expression})")).get(place)
    }

    /// The id of the element that a selector finds.
    pub(super) fn find(self, selector: &Selector) -> Option<&'a Value> {
        self.value(format!("({} || {{}}).id", selector.expression(self.spec, ELEMENTS)))
    }

    /// Whether a selector finds this element.
    pub(super) fn finds(self, selector: &Selector, element: &UiElement) -> bool {
        self.find(selector).is_some_and(|id| element.id.is(id))
    }

    /// The text that an expression yields.
    pub(super) fn text(self, text: &TextExpression) -> Option<&'a str> {
        self.value(text.expression(self.spec, ELEMENTS))?.as_str()
    }

    /// The ids that a selection yields, in its order.
    pub(super) fn selected(self, selection: &Selection) -> Vec<&'a str> {
        let ids = self.list(selection.expression(self.spec, ELEMENTS));
        ids.iter().filter_map(Value::as_str).collect()
    }

    /// The texts in a list of an element that the goal contains.
    pub(super) fn mentioned_options(self, element: &UiElement, field: &str) -> Vec<&'a str> {
        let list = member(&element_by_id(element), field);
        self.list(format!("{list}.filter(said)")).iter().filter_map(Value::as_str).collect()
    }

    /// The first text in a list of an element that the goal contains.
    pub(super) fn first_option(self, element: &UiElement, field: &str) -> Option<&'a str> {
        let list = member(&element_by_id(element), field);
        self.value(format!("{list}.find(said)"))?.as_str()
    }

    /// The texts of the goal in quotation marks.
    pub(super) fn quoted(self) -> Vec<&'a str> {
        let quoted = self.list("goal.split(\"\\\"\").filter((_, at) => at % 2 === 1)".to_owned());
        quoted.iter().filter_map(Value::as_str).collect()
    }

    /// The words of the goal.
    pub(super) fn words(self) -> Vec<&'a str> {
        self.list("words(goal)".to_owned()).iter().filter_map(Value::as_str).collect()
    }

    /// The ordinal numbers of the goal.
    pub(super) fn ordinals(self) -> Vec<u64> {
        self.list("places".to_owned()).iter().filter_map(Value::as_u64).collect()
    }

    /// The fields of an element whose texts the goal contains.
    pub(super) fn mentioned_fields(self, place: usize) -> Vec<String> {
        let fields = self.state.elements[place].texts(self.spec);
        let said = fields.filter(|(field, text)| !text.is_empty() && self.is_said(place, field));
        said.map(|(field, _)| field.to_owned()).collect()
    }

    /// Whether the goal contains the label of an element.
    pub(super) fn is_mentioned(self, place: usize) -> bool {
        self.is_said(place, &self.spec.label)
    }

    fn is_said(self, place: usize, field: &str) -> bool {
        let text = member("e", field);
        self.each(place, &format!("Boolean({text}) && said({text})")) == Some(&Value::Bool(true))
    }

    /// Whether the label of an element is a number.
    pub(super) fn is_number(self, place: usize) -> bool {
        let label = member("e", &self.spec.label);
        self.each(place, &format!("isNumber({label})")) == Some(&Value::Bool(true))
    }

    /// The text in a field of an element.
    pub(super) fn text_of(self, place: usize, field: &str) -> Option<&'a str> {
        self.state.elements[place].text(self.spec, field)
    }

    /// The word of that text which the goal's first ordinal number states.
    pub(super) fn ordinal_word(self, place: usize, field: &str) -> Option<&'a str> {
        self.each(place, &format!("words({})[places[0] - 1]", member("e", field)))?.as_str()
    }

    /// The result of the calculation that the text begins with.
    pub(super) fn calculated(self, place: usize, field: &str) -> Option<&'a str> {
        self.each(place, &format!("calculated({})", member("e", field)))?.as_str()
    }
}

fn element_by_id(element: &UiElement) -> String {
    format!("{ELEMENTS}.find(e => e.id === {})", quote(element.id.as_str()))
}

/// Computes values of expressions in the sandbox.
pub(crate) struct Evaluator {
    sandbox: Sandbox,
    limits: Limits,
    /// Declarations of constants that expressions use.
    constants: String,
}

impl Evaluator {
    pub(crate) fn new(sandbox: Sandbox) -> Self {
        // Counted limits alone, so that a replay on another machine computes the same values.
        let limits = Limits {
            fuel: 20_000_000_000,
            host_calls: 0,
            output_bytes: 16 << 20,
            args_bytes: 16 << 20,
            deterministic: true,
            ..Limits::default()
        };
        Self { sandbox, limits, constants: String::new() }
    }

    /// Declares constants that expressions use; each has a name and a value.
    pub(crate) fn declare<'a>(&mut self, constants: impl Iterator<Item = (&'a str, &'a Value)>) {
        self.constants =
            constants.map(|(name, value)| indented(&format!("const {name} = {value};"))).collect();
    }

    /// Computes all values that are missing. An expression that throws or exceeds the limits has none.
    pub(crate) async fn complete(&self, values: &mut Values, spec: &ExplorationSpec, states: &[&UiState]) {
        let missing = std::mem::take(values.missing.get_mut());
        values.known.resize_with(states.len(), HashMap::new);
        let mut wanted: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (state, expression) in missing {
            wanted.entry(expression).or_default().push(state);
        }
        let wanted: Vec<(String, Vec<usize>)> = wanted.into_iter().collect();
        let mut rest = wanted.as_slice();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(batch_length(rest));
            rest = later;
            let program = self.compile(&batch_source(batch, &self.constants)).await;
            let used: BTreeSet<usize> = batch.iter().flat_map(|(_, states)| states.iter().copied()).collect();
            for state in used {
                let positions: Vec<usize> =
                    (0..batch.len()).filter(|&at| batch[at].1.contains(&state)).collect();
                let args = [
                    Value::from(states[state].goal.as_str()),
                    states[state].elements_json(spec),
                    Value::from(positions.as_slice()),
                ];
                let results = match &program {
                    Some(program) => self.call(program, &args).await,
                    None => Value::Null,
                };
                for (at, position) in positions.into_iter().enumerate() {
                    let value = results.get(at).cloned().unwrap_or_default();
                    values.known[state].insert(batch[position].0.clone(), value);
                }
            }
        }
    }

    /// A program with the entry `evaluate`; none, with a warning, where it does not compile.
    pub(crate) async fn compile(&self, source: &str) -> Option<Program> {
        let compiled = self.sandbox.compile_program("evaluate", source).await;
        compiled.inspect_err(|error| tracing::warn!(%error, "cannot evaluate expressions")).ok()
    }

    /// What a program returns; null, with a warning, where it fails.
    pub(crate) async fn call(&self, program: &Program, args: &[Value]) -> Value {
        let invocation = Invocation {
            args,
            bindings: &[],
            host: Arc::new(NoHost),
            limits: &self.limits,
            seed: 0,
            now_ms: 0,
        };
        let result = self.sandbox.call(program, invocation).await.result;
        result.inspect_err(|error| tracing::warn!(%error, "cannot evaluate expressions")).unwrap_or_default()
    }
}

/// How many of these expressions go into one program.
fn batch_length(wanted: &[(String, Vec<usize>)]) -> usize {
    let mut bytes = 0;
    let fits = |(expression, _): &&(String, Vec<usize>)| {
        bytes += expression.len() + 8;
        bytes <= BATCH_BYTES
    };
    wanted.iter().take(BATCH).take_while(fits).count().max(1)
}

/// A program that evaluates the expressions at the positions that it is given.
fn batch_source(batch: &[(String, Vec<usize>)], constants: &str) -> String {
    let expressions: Vec<String> =
        batch.iter().map(|(expression, _)| indented(&format!("() => {expression},"))).collect();
    format!(
        "function evaluate(goal, {ELEMENTS}, positions) {{\n{}{constants}  const expressions = [\n{}  ];\n  return positions.map(at => {{\n    \
         try {{ return expressions[at](); }} catch {{ return null; }}\n  }});\n}}\n",
        all_helpers(),
        expressions.concat()
    )
}

/// Expressions call nothing.
struct NoHost;

#[async_trait]
impl Host for NoHost {
    async fn call(&self, name: &str, _args: Map<String, Value>) -> Result<Value, HostError> {
        Err(HostError::Failed(format!("an expression cannot call `{name}`")))
    }
}
