//! JavaScript text: literals, property access, and the helper functions that expressions use.
//!
//! The helpers are written here and nowhere else. Programs declare those that they use; the evaluator declares all of them.

use serde_json::Value;
use sojourn_primitives::JsonPointer;

/// A text as a literal.
pub(crate) fn quote(text: &str) -> String {
    // JSON strings are JavaScript strings, line separators included.
    Value::from(text).to_string()
}

/// A property of `object`: `object.name`, or `object["two words"]`.
pub(crate) fn member(object: &str, name: &str) -> String {
    let identifier = !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
    if identifier && !name.is_empty() {
        format!("{object}.{name}")
    } else {
        format!("{object}[{}]", quote(name))
    }
}

/// What a JSON pointer leads to in the state that `observe()` returns.
pub(crate) fn observed(pointer: &JsonPointer) -> String {
    pointer.names().fold("observe()".to_owned(), |object, name| member(&object, &name))
}

/// The helpers by which policies read fields of the state.
///
/// * `at(...names)`: the field there; `undefined` where there is none.
/// * `hasAt(...names)`: whether there is a value there that has no parts; `null` is one.
/// * `numberAt(...names)`: the number there; `NaN` for anything else, so that no comparison with it holds.
/// * `listedAt(text, ...names)`: whether there is a list there that contains the text.
pub(crate) const FIELDS: [&str; 4] = [
    r#"const at = (...names) => names.reduce((value, name) => value !== null && typeof value === "object" && Object.keys(value).includes(name) ? value[name] : undefined, observe());"#,
    r#"const hasAt = (...names) => { const value = at(...names); return value === null || (value !== undefined && typeof value !== "object"); };"#,
    r#"const numberAt = (...names) => { const value = at(...names); return typeof value === "number" ? value : NaN; };"#,
    r"const listedAt = (text, ...names) => { const value = at(...names); return Array.isArray(value) && value.includes(text); };",
];

/// The helper by which policies find what a text names, after those of [`FIELDS`].
///
/// * `mentioned(things, text)`: the name of the entry of an object of whose name most words stand in the text, whatever their case; of
///   several, one with a value, then the one with the fewest other words, then the first. `undefined` where no word does.
pub(crate) const MENTIONED: &str = r#"const mentioned = (things, text) => {
    const words = text => [...new Set(String(text).toLowerCase().match(/[\p{Alphabetic}\p{N}]+/gu) || [])];
    if (things === null || typeof things !== "object" || typeof text !== "string") return undefined;
    const said = words(text);
    let best, rate = [0, 0, 0];
    for (const name of Object.keys(things).sort()) {
      const own = words(name), count = own.filter(word => said.includes(word)).length;
      const rated = [count, things[name] === null ? 0 : 1, -own.length];
      const by = rated.findIndex((one, at) => one !== rate[at]);
      if (count > 0 && (best === undefined || (by >= 0 && rated[by] > rate[by]))) [best, rate] = [name, rated];
    }
    return best;
  };"#;

/// Each helper with the text by which a program that uses it is recognised. All of them read the constant `goal`.
///
/// * `said(text)`: whether the goal contains the text in whatever case; a colon at the end of the text does not count.
/// * `between(before, after)`: the part of the goal between two texts, to its end when `after` is empty.
/// * `words(text)`: the runs of letters and digits.
/// * `places`: the ordinal numbers of the goal, 2 for "the 2nd".
/// * `isNumber(text)`: whether the text is a decimal number.
/// * `calculated(text)`: the result of the calculation with two whole numbers that the text begins with.
pub(crate) const HELPERS: [(&str, &str); 6] = [
    (
        "said",
        r#"const said = text => text !== "" && goal.toLowerCase().includes(text.replace(/:$/, "").toLowerCase());"#,
    ),
    (
        "between(",
        r#"const between = (before, after) => {
    const start = goal.indexOf(before), rest = goal.slice(start + before.length);
    return start < 0 ? undefined : after === "" ? rest : rest.split(after)[0];
  };"#,
    ),
    ("words(", r#"const words = text => (text || "").match(/[\p{Alphabetic}\p{N}]+/gu) || [];"#),
    ("places[", r"const places = (goal.match(/\d+(?=st|nd|rd|th)/g) || []).map(Number);"),
    ("isNumber(", r"const isNumber = text => /^\s*-?[0-9]+(\.[0-9]+)?\s*$/.test(text);"),
    (
        "calculated(",
        r#"const calculated = text => {
    const [, a, sign, b] = (text || "").match(/^\s*(\d+)\s*([-+x*×])\s*(\d+)/) || [];
    return sign && String(sign === "+" ? +a + +b : sign === "-" ? a - b : a * b);
  };"#,
    ),
];

/// The declarations of all helpers.
pub(crate) fn all_helpers() -> String {
    HELPERS.map(|(_, helper)| indented(helper)).concat()
}

/// A line of a function's body.
pub(crate) fn indented(line: &str) -> String {
    format!("  {line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_identifiers_are_quoted() {
        assert_eq!(member("e", "role"), "e.role");
        assert_eq!(member("e", "aria-label"), r#"e["aria-label"]"#);
        assert_eq!(member("e", "2nd"), r#"e["2nd"]"#);
        assert_eq!(member("e", ""), r#"e[""]"#);
        assert_eq!(member("e", r#"a"]; steal(); ["#), r#"e["a\"]; steal(); ["]"#);
        assert_eq!(
            observed(&JsonPointer::of(["desk", "to/do", "things"])),
            r#"observe().desk["to/do"].things"#
        );
        assert_eq!(observed(&JsonPointer::default()), "observe()");
    }
}
