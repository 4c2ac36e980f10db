use super::node::{Grammar, Node, choice, name, optional, repeat, seq, text};
use crate::Callable;
use crate::scan::{is_identifier, keywords};
use serde_json::Value;
use sojourn_tools::{Parameter, ParameterKind};
use std::collections::BTreeSet;

/// The function to be written, and what it may use.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GrammarSpec {
    /// Name of the function. It cannot call itself.
    pub name: String,
    /// Names of its parameters.
    pub parameters: Vec<String>,
    /// Functions that it may call, besides the view.
    pub functions: Vec<Callable>,
    /// Function that shows the state.
    pub view: Option<View>,
}

/// A parameterless function that returns the state.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Name of the function: `observe`.
    pub name: String,
    /// A sample state. Its properties are those that the grammar offers.
    pub sample: Value,
    /// Whether programs may compare with `null`: the state says so what there is not.
    pub nulls: bool,
}

/// Limits on the statements of a function and of a block: sufficient for good skills, short enough to prevent
/// rambling.
const BODY: u32 = 24;
const BLOCK: u32 = 12;
/// Maximum depth of property paths into the state.
const MAX_PATH: usize = 4;
/// Names of loop counters.
const COUNTERS: [&str; 3] = ["i", "j", "k"];

const LETTERS: &[(char, char)] = &[('a', 'z'), ('A', 'Z'), ('_', '_')];
const WORD: &[(char, char)] = &[('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')];
const DIGIT: &[(char, char)] = &[('0', '9')];
/// Printable ASCII except `"` and `\`.
const QUOTABLE: &[(char, char)] = &[(' ', '!'), ('#', '['), (']', '~')];

/// Grammar of the rest of a function after `function NAME(PARAMETERS) {` and a line break, including its
/// closing brace.
///
/// Statements are declarations, assignments, `if`, counted `for`, `for … of` a list, `break`, `continue`,
/// `return` and calls, separated by a line break or a space. Operators are surrounded by spaces. Names of
/// functions and parameters cannot be redeclared. Every loop is counted.
pub fn javascript_subset(spec: &GrammarSpec) -> Grammar {
    subset(spec, "NAME")
}

/// As [`javascript_subset`], but loop counters cannot be assigned, so every counted loop ends.
pub(super) fn with_fixed_counters(spec: &GrammarSpec) -> Grammar {
    subset(spec, "TARGET")
}

/// The grammar in which the rule `target` names what can be assigned.
fn subset(spec: &GrammarSpec, target: &'static str) -> Grammar {
    let functions: Vec<&Callable> = spec
        .functions
        .iter()
        .filter(|f| f.name != spec.name && is_identifier(&f.name))
        .filter(|f| spec.view.as_ref().is_none_or(|view| view.name != f.name))
        .collect();
    let view = spec.view.as_ref().filter(|view| is_identifier(&view.name));

    let mut grammar = Grammar { definitions: Vec::new() };
    statements(&mut grammar, !functions.is_empty(), target);
    expressions(&mut grammar, !functions.is_empty(), view);
    if !functions.is_empty() {
        grammar.define("call", choice(functions.iter().map(|function| call(function))));
    }
    words(&mut grammar, spec, &functions);
    if target != "NAME" {
        let mut kept = reserved(spec, &functions);
        kept.extend(COUNTERS);
        grammar.define_except(target, identifier(), owned(&kept));
    }
    grammar
}

/// Names of the rules that exist twice, because `break` and `continue` are syntax errors outside a loop.
struct GrammarScope {
    statement: &'static str,
    simple: &'static str,
    branch: &'static str,
    block: &'static str,
    body: &'static str,
    leaves: &'static [&'static str],
}

const OUTSIDE_LOOP: GrammarScope = GrammarScope {
    statement: "statement",
    simple: "simple",
    branch: "branch",
    block: "block",
    body: "body",
    leaves: &["return;"],
};

const INSIDE_LOOP: GrammarScope = GrammarScope {
    statement: "loop_statement",
    simple: "loop_simple",
    branch: "loop_branch",
    block: "loop_block",
    body: "loop_body",
    leaves: &["return;", "break;", "continue;"],
};

fn statements(grammar: &mut Grammar, calls: bool, target: &'static str) {
    let lines = |statement: &'static str, most: u32| {
        seq([name(statement), repeat(seq([name("GAP"), name(statement)]), 0, most - 1)])
    };
    grammar.define(
        "start",
        seq([optional(name("INDENT")), lines(OUTSIDE_LOOP.statement, BODY), name("GAP"), text("}")]),
    );
    for scope in [OUTSIDE_LOOP, INSIDE_LOOP] {
        grammar.define(
            scope.statement,
            choice([name(scope.simple), name(scope.branch), name("loop"), name("declaration")]),
        );
        let mut simple: Vec<Node> = scope.leaves.iter().copied().map(text).collect();
        simple.extend([
            seq([text("return "), name("expression"), text(";")]),
            seq([name(target), name("ASSIGN"), name("expression"), text(";")]),
            seq([name(target), choice([text("++;"), text("--;")])]),
        ]);
        if calls {
            simple.push(seq([name("call"), text(";")]));
        }
        grammar.define(scope.simple, Node::Choice(simple));
        let otherwise = seq([name("GAP"), text("else "), choice([name(scope.branch), name(scope.body)])]);
        grammar.define(
            scope.branch,
            seq([text("if ("), name("expression"), text(") "), name(scope.body), optional(otherwise)]),
        );
        grammar.define(
            scope.block,
            choice([
                text("{}"),
                seq([text("{"), name("GAP"), lines(scope.statement, BLOCK), name("GAP"), text("}")]),
            ]),
        );
        // A declaration needs braces.
        grammar.define(scope.body, choice([name(scope.simple), name(scope.block)]));
    }
    grammar.define(
        "declaration",
        seq([name("DECLARE"), name("NEW"), text(" = "), name("expression"), text(";")]),
    );

    let counted = COUNTERS.map(|counter| {
        let and = seq([text(" && "), name("conjunction")]);
        seq([
            text(format!("for (let {counter} = 0; {counter} < ")),
            choice([name("BOUND"), name("local")]),
            optional(and),
            text(format!("; {counter}++) ")),
        ])
    });
    let listed = seq([text("for (const "), name("NEW"), text(" of "), name("list"), text(") ")]);
    let heads = counted.into_iter().chain([listed]);
    grammar.define("loop", seq([choice(heads), choice([name(INSIDE_LOOP.body), name(INSIDE_LOOP.branch)])]));
}

/// One rule per precedence level, so that every expression has exactly one parse.
fn expressions(grammar: &mut Grammar, calls: bool, view: Option<&View>) {
    let chain = |operand: &'static str, operator: Node, most: u32| {
        seq([name(operand), repeat(seq([operator, name(operand)]), 0, most)])
    };
    let alternative = seq([text(" ? "), name("disjunction"), text(" : "), name("disjunction")]);
    grammar.define("expression", seq([name("disjunction"), optional(alternative)]));
    grammar.define("disjunction", chain("conjunction", text(" || "), 4));
    grammar.define("conjunction", chain("comparison", text(" && "), 4));
    grammar.define("comparison", seq([name("sum"), optional(seq([name("COMPARE"), name("sum")]))]));
    grammar.define("sum", chain("product", name("ADD"), 4));
    grammar.define("product", chain("unary", name("MULTIPLY"), 2));
    grammar.define("unary", seq([optional(choice([text("!"), text("-")])), name("primary")]));

    let pair = seq([name("sum"), text(", "), name("sum"), text(")")]);
    let mut primary = vec![
        name("NUMBER"),
        name("STRING"),
        text("true"),
        text("false"),
        name("local"),
        seq([text("("), name("expression"), text(")")]),
        seq([choice([text("Math.min("), text("Math.max(")]), pair]),
        seq([choice(["Math.floor(", "Math.ceil(", "Math.abs("].map(text)), name("sum"), text(")")]),
    ];
    if calls {
        primary.push(name("call"));
    }
    let properties = view.map(|view| properties(&view.sample)).unwrap_or_default();
    if let Some(view) = view {
        if view.nulls {
            primary.push(text("null"));
        }
        primary.push(name("STATE"));
        let mut state = vec![text(format!("{}()", view.name))];
        state.extend(path(&view.sample, MAX_PATH).map(optional));
        grammar.define("STATE", Node::Seq(state));
    }
    grammar.define("primary", Node::Choice(primary));
    if properties.is_empty() {
        grammar.define("local", name("NAME"));
    } else {
        grammar.define("local", seq([name("NAME"), optional(name("PATH"))]));
        let property = choice(properties.into_iter().map(|property| text(format!(".{property}"))));
        grammar.define("PATH", repeat(property, 1, 2));
    }
    let item = choice([name("STRING"), name("NUMBER")]);
    let items = seq([item.clone(), repeat(seq([text(", "), item]), 0, 11)]);
    grammar.define("list", seq([text("["), items, text("]")]));
}

/// A call with an argument for each parameter. Trailing parameters with defaults are optional.
fn call(function: &Callable) -> Node {
    let mut arguments: Option<Node> = None;
    for (position, parameter) in function.parameters.iter().enumerate().rev() {
        let mut parts = vec![argument(parameter)];
        if position > 0 {
            parts.insert(0, text(", "));
        }
        parts.extend(arguments.take());
        let argument = Node::Seq(parts);
        arguments = Some(if parameter.default.is_some() { optional(argument) } else { argument });
    }
    let mut parts = vec![text(format!("{}(", function.name))];
    parts.extend(arguments);
    parts.push(text(")"));
    Node::Seq(parts)
}

fn argument(parameter: &Parameter) -> Node {
    match &parameter.kind {
        ParameterKind::Integer { .. } => name("sum"),
        ParameterKind::Choice(choices) => {
            let quoted = choices.iter().map(|value| text(Value::from(value.as_str()).to_string()));
            choice(quoted.chain([name("local")]))
        }
        ParameterKind::Text => choice([name("STRING"), name("local")]),
        ParameterKind::Boolean => name("expression"),
        ParameterKind::Schema(_) => choice([name("list"), name("expression")]),
    }
}

fn words(grammar: &mut Grammar, spec: &GrammarSpec, functions: &[&Callable]) {
    let one_of = |texts: &[&str]| choice(texts.iter().copied().map(text));
    grammar.define("INDENT", repeat(Node::Class(&[(' ', ' ')]), 1, 4));
    let line_break = seq([repeat(text("\n"), 1, 2), repeat(Node::Class(&[(' ', ' ')]), 0, 16)]);
    grammar.define("GAP", choice([text(" "), line_break]));
    grammar.define("DECLARE", one_of(&["const ", "let "]));
    grammar.define("ASSIGN", one_of(&[" = ", " += ", " -= "]));
    grammar.define("COMPARE", one_of(&[" < ", " <= ", " > ", " >= ", " === ", " !== "]));
    grammar.define("ADD", one_of(&[" + ", " - "]));
    grammar.define("MULTIPLY", one_of(&[" * ", " / ", " % "]));
    let whole = choice([text("0"), seq([Node::Class(&[('1', '9')]), repeat(Node::Class(DIGIT), 0, 5)])]);
    let fraction = optional(seq([text("."), repeat(Node::Class(DIGIT), 1, 3)]));
    grammar.define("NUMBER", seq([whole, fraction]));
    grammar.define("BOUND", seq([Node::Class(&[('1', '9')]), optional(Node::Class(DIGIT))]));
    grammar.define("STRING", seq([text("\""), repeat(Node::Class(QUOTABLE), 0, 40), text("\"")]));

    let mut reserved = reserved(spec, functions);
    grammar.define_except("NAME", identifier(), owned(&reserved));
    reserved.extend(spec.parameters.iter().map(String::as_str));
    grammar.define_except("NEW", identifier(), owned(&reserved));
}

fn identifier() -> Node {
    seq([Node::Class(LETTERS), repeat(Node::Class(WORD), 0, 23)])
}

/// Names that a program cannot declare.
fn reserved<'a>(spec: &'a GrammarSpec, functions: &[&'a Callable]) -> BTreeSet<&'a str> {
    let mut reserved: BTreeSet<&str> = keywords().collect();
    reserved.extend(["Math", "NaN", "Infinity", spec.name.as_str()]);
    reserved.extend(functions.iter().map(|function| function.name.as_str()));
    reserved.extend(spec.view.as_ref().map(|view| view.name.as_str()));
    reserved
}

fn owned(names: &BTreeSet<&str>) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// All property names in a state, for local variables that hold a part of it.
fn properties(sample: &Value) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut open = vec![(sample, 0)];
    while let Some((value, depth)) = open.pop() {
        for (key, inner) in value.as_object().into_iter().flatten() {
            if depth < MAX_PATH && is_identifier(key) {
                found.insert(key.as_str());
                open.push((inner, depth + 1));
            }
        }
    }
    found
}

/// A property path into the state: `.health`, `.inventory` or `.inventory.wood`. `None` if it has no
/// properties.
fn path(value: &Value, depth: usize) -> Option<Node> {
    let keys = value.as_object().into_iter().flatten().filter(|(key, _)| depth > 0 && is_identifier(key));
    let ways: Vec<Node> = keys
        .map(|(key, inner)| {
            let here = text(format!(".{key}"));
            match path(inner, depth - 1) {
                Some(deeper) => seq([here, optional(deeper)]),
                None => here,
            }
        })
        .collect();
    (!ways.is_empty()).then(|| choice(ways))
}
