//! The grammars, checked with llguidance.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::ApproximateTokEnv;
use llguidance::{Matcher, ParserFactory};
use serde_json::json;
use sojourn_skills::Callable;
use sojourn_skills::grammar::{Grammar, GrammarSpec, Language, View, javascript_subset};
use sojourn_tools::{Parameter, ParameterKind};

fn parameter(name: &str, kind: ParameterKind, default: Option<serde_json::Value>) -> Parameter {
    Parameter { name: name.into(), kind, default }
}

fn callable(name: &str, parameters: Vec<Parameter>) -> Callable {
    Callable { name: name.into(), parameters }
}

/// A survival game's primitives and a few skills.
fn spec(name: &str, parameters: &[&str]) -> GrammarSpec {
    let choice = |values: &[&str]| ParameterKind::Choice(values.iter().map(ToString::to_string).collect());
    let count = || ParameterKind::Integer { min: 1, max: 50 };
    let kinds = ["tree", "stone", "water", "grass", "cow", "table"];
    let mut functions = vec![
        callable("go_to", vec![parameter("kind", choice(&kinds), None)]),
        callable("explore", vec![parameter("n", count(), Some(json!(12)))]),
        callable("place", vec![parameter("x", choice(&["table", "stone"]), None)]),
        callable("make", vec![parameter("x", choice(&["wood_pickaxe", "stone_sword"]), None)]),
        callable("interact", vec![]),
        callable("sleep", vec![]),
        callable("noop", vec![parameter("n", count(), None)]),
        callable("observe", vec![]),
    ];
    functions.extend(
        ["collect_wood", "collect_stone"]
            .map(|name| callable(name, vec![parameter("n", count(), Some(json!(1)))])),
    );
    functions.extend(["place_table", "collect_sapling"].map(|name| callable(name, vec![])));
    let sample = json!({
        "health": 9, "energy": 9, "daylight": 0.5, "sleeping": false, "facing": "tree",
        "inventory": {"wood": 0, "stone": 0, "sapling": 0, "wood_pickaxe": 0, "not a name": 1},
    });
    GrammarSpec {
        name: name.into(),
        parameters: parameters.iter().map(ToString::to_string).collect(),
        functions,
        view: Some(View { name: "observe".into(), sample, nulls: false }),
    }
}

/// A grammar compiled by llguidance for a vocabulary of single bytes.
struct Checker(Matcher);

impl Checker {
    fn new(grammar: &Grammar) -> Self {
        let mut factory = ParserFactory::new_simple(&ApproximateTokEnv::single_byte_env()).unwrap();
        factory.quiet();
        let mut matcher = Matcher::new(factory.create_parser(TopLevelGrammar::from_lark(grammar.to_lark())));
        assert_eq!(matcher.get_error(), None, "{}", grammar.to_lark());
        assert_eq!(matcher.grammar_warnings(), [""; 0]);
        Self(matcher)
    }

    /// The prefix of `text` that the grammar accepts, and whether the function may end there.
    fn reach<'a>(&mut self, text: &'a str) -> (&'a str, bool) {
        self.0.reset().unwrap();
        let bytes: Vec<u32> = text.bytes().map(u32::from).collect();
        let taken = self.0.try_consume_tokens(&bytes).unwrap();
        (&text[..taken], taken == bytes.len() && self.0.is_accepting().unwrap())
    }
}

#[test]
fn typical_skills_are_accepted() {
    for (name, parameters, body) in [
        (
            "collect_coal",
            vec!["n"],
            "  const target = observe().inventory.wood + n;\n  for (let i = 0; i < 40 && observe().inventory.wood \
             < target; i++) {\n    if (go_to(\"stone\")) interact();\n    else explore(12);\n  }\n}",
        ),
        (
            "make_stone_sword",
            vec![],
            "  const inv = observe().inventory;\n  if (inv.wood < 3) collect_wood(3 - inv.wood);\n  \
             if (inv.stone < 1) collect_stone();\n  place_table();\n  make(\"stone_sword\");\n}",
        ),
        (
            "gather",
            vec![],
            "  for (let i = 0; i < 90; i++) {\n    if (go_to(\"grass\")) interact();\n    else explore();\n    \
             if (observe().inventory.sapling > 0) break;\n  }\n}",
        ),
        (
            "eat_cow",
            vec![],
            "  let hits = 0;\n  for (let i = 0; i < 60 && hits < 40; i++) {\n    if (go_to(\"cow\")) {\n      interact();\n      hits++;\n    \
             } else {\n      explore(12);\n    }\n  }\n}",
        ),
        (
            "wake_up",
            vec![],
            "  const start = observe().energy;\n  for (let i = 0; i < 9 && start === observe().energy; i++) noop(20);\n  \
             for (let i = 0; i < 9 && !sleep(); i++) {}\n  return true;\n}",
        ),
        (
            "nested",
            vec!["n"],
            "  for (let i = 0; i < n; i++) {\n    for (let j = 0; j < 40; j++) {\n      \
             if (go_to(\"tree\") && interact()) {\n        continue;\n      } else if (!place_table()) {\n        \
             return;\n      } else {\n        break;\n      }\n    }\n    if (collect_wood(i + 1)) break;\n  }\n}",
        ),
        (
            "arithmetic",
            vec![],
            "  let left = Math.max(0, 3 - (observe().health + 2) * 4);\n  left -= Math.floor(left / 2);\n\n  \
             const near = observe().facing === \"tree\" ? -1 : 0.5;\n  return near > left || observe().sleeping;\n}",
        ),
        (
            "visit",
            vec!["kind"],
            "  for (const kind_ of [\"tree\", \"water\"]) {\n    go_to(kind_);\n  }\n  go_to(kind);\n}",
        ),
        ("one_line", vec![], "if (sleep()) { return; } else { noop(1); } }"),
    ] {
        let mut checker = Checker::new(&javascript_subset(&spec(name, &parameters)));
        let (taken, ends) = checker.reach(body);
        assert!(ends, "{name}: stops after\n{taken}");
    }
}

#[test]
fn names_that_are_not_offered_are_rejected() {
    let mut checker = Checker::new(&javascript_subset(&spec("collect_wood", &["n"])));
    for (body, stops_after) in [
        ("  craft(\"table\");\n}", "  craft"),
        ("  collect_wood(1);\n}", "  collect_wood"),
        ("  go_to(\"dragon\");\n}", "  go_to(\""),
        ("  interact(1);\n}", "  interact("),
        ("  noop();\n}", "  noop("),
        ("  const x = observe().gold;\n}", "  const x = observe()."),
        ("  const x = observe().inventory.gold;\n}", "  const x = observe().inventory."),
        ("  const go_to = 1;\n}", "  const go_to"),
        ("  let n = 1;\n}", "  let n"),
        ("  break;\n}", "  break"),
        ("  if (sleep()) let x = 1;\n}", "  if (sleep()) let"),
        ("  let a = 1 +2;\n}", "  let a = 1 +"),
        ("  let a = 1--1;\n}", "  let a = 1"),
        ("  for (let i = 0; i < 9; j++) noop(1);\n}", "  for (let i = 0; i < 9; "),
        ("  fetch(\"http://example.org\");\n}", "  fetch"),
        ("  eval(\"1\");\n}", "  eval"),
        ("  sleep();\n\n\n}", "  sleep();\n\n"),
        ("}", ""),
    ] {
        let (taken, ends) = checker.reach(body);
        assert!(!ends, "admitted: {body}");
        assert_eq!(taken, stops_after, "{body}");
    }
}

#[test]
fn random_sentences_are_accepted() {
    let grammar = javascript_subset(&spec("wander", &["n"]));
    let mut checker = Checker::new(&grammar);
    for seed in 0..200 {
        let body = grammar.sample(seed, 14);
        let (taken, ends) = checker.reach(&body);
        assert!(ends, "seed {seed}: stops after\n{taken}\nof\n{body}");
    }
}

#[test]
fn a_grammar_without_functions_or_view_compiles() {
    let grammar = javascript_subset(&GrammarSpec { name: "nothing".into(), ..GrammarSpec::default() });
    let mut checker = Checker::new(&grammar);
    assert!(checker.reach("  return 1;\n}").1);
    assert!(!checker.reach("  observe();\n}").1);
}

#[test]
fn an_empty_state_has_no_properties() {
    let view = Some(View { name: "look".into(), sample: json!({}), nulls: false });
    let grammar = javascript_subset(&GrammarSpec { name: "nothing".into(), view, ..GrammarSpec::default() });
    let mut checker = Checker::new(&grammar);
    assert!(checker.reach("  return look();\n}").1);
    assert!(!checker.reach("  return look().x;\n}").1);
}

#[test]
fn null_is_a_value_where_the_state_has_one() {
    let comparing = "  if (observe().facing === null) return false;\n  return observe().health !== null;\n}";
    for nulls in [true, false] {
        let mut spec = spec("wander", &["n"]);
        spec.view.as_mut().unwrap().nulls = nulls;
        let mut checker = Checker::new(&Language::Subset.grammar(&spec));
        assert_eq!(checker.reach(comparing).1, nulls);
    }
}

#[test]
fn a_loop_counter_cannot_be_assigned() {
    let mut checker = Checker::new(&Language::Subset.grammar(&spec("wander", &["n"])));
    let inside = |statement: &str| format!("  for (let i = 0; i < 9; i++) {{\n    {statement}\n  }}\n}}");
    assert!(checker.reach(&inside("n += i;")).1);
    for statement in ["i = 0;", "i -= 1;", "i--;", "k++;"] {
        assert!(!checker.reach(&inside(statement)).1, "admitted: {statement}");
    }
}

#[test]
fn free_javascript_is_limited_to_one_function() {
    let grammar = Language::JavaScript.grammar(&spec("wander", &["n"]));
    let mut checker = Checker::new(&grammar);
    for body in [
        "  const seen = [];\n  while (seen.length < n) {\n    seen.push(go_to(\"tree\") ?? `none`);\n  }\n\n  return seen;\n}",
        "return 1; }",
        "\n\tif (n) {\r\n\t\treturn {a: {b: []}};\n}\n}",
        "  // don't stop at } — go on\n  /* nor } here: \"`' ** */ /** } **/ noop(1);\n}",
        "  const a = \"}\\\"}\", b = '}\"', c = `}\n${n}\\``;\n}",
        "  return n / 2 / 1 > 3 && /^[a-z]+$/.test(\"é}\");\n}",
        "}",
    ] {
        let (taken, ends) = checker.reach(body);
        assert!(ends, "stops after\n{taken}\nof\n{body}");
    }
    assert_eq!(checker.reach("  return 1;\n}\nfunction more() {}").0, "  return 1;\n}");
    assert!(!checker.reach("  if (n) {\n  return 1;\n}").1, "a block is open");
    for seed in 0..20 {
        let text = grammar.sample(seed, 9);
        assert!(checker.reach(&text).1, "{text}");
    }
}
