//! The difference between two states, so that a recorded step costs only a few bytes.
//!
//! It is a JSON merge patch (RFC 7386) and a list of members that became `null`, which a merge patch cannot express because
//! there `null` removes a member.

use serde_json::{Map, Value};
use sojourn_primitives::JsonPointer;

/// How a state became another one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateChange {
    /// The merge patch; `None` where it changes nothing.
    pub patch: Option<Value>,
    /// JSON pointers (RFC 6901) of the values that become `null` after the patch, sorted. The empty pointer is the whole state.
    pub nulls: Vec<String>,
}

impl StateChange {
    /// The change that turns `from` into `to`. It holds for any two values.
    pub fn between(from: &Value, to: &Value) -> Self {
        let mut nulls = Vec::new();
        let patch = change(from, to, &JsonPointer::default(), &mut nulls);
        // A world may give its members in any order; a replay must derive the same record.
        nulls.sort_unstable();
        Self { patch, nulls }
    }

    /// Applies the change. A change from a log that was tampered with is applied as far as it goes.
    pub fn apply(patch: Option<&Value>, nulls: &[String], state: &mut Value) {
        if let Some(patch) = patch {
            merge(state, patch);
        }
        for pointer in nulls {
            set_null(state, pointer);
        }
    }
}

/// The merge patch that turns `from` into `to`, as far as a merge patch can, for people to read; `None` where they are equal.
pub fn diff(from: &Value, to: &Value) -> Option<Value> {
    StateChange::between(from, to).patch
}

/// The merge patch from `from` to `to`; `None` where it changes nothing. `path` is the pointer of both; pointers of members
/// that become `null` are added to `nulls`.
fn change(from: &Value, to: &Value, path: &JsonPointer, nulls: &mut Vec<String>) -> Option<Value> {
    if is_same(from, to) {
        return None;
    }
    let new = match to {
        Value::Null => {
            nulls.push(path.to_string());
            return None;
        }
        Value::Object(new) => new,
        other => return Some(other.clone()),
    };
    let empty = Map::new();
    let was_object = from.is_object();
    let old = from.as_object().unwrap_or(&empty);
    let mut patch = Map::new();
    for (key, value) in new {
        let path = path.join(key);
        // A member that was not there is built from nothing; `null` differs from that too.
        let change = match old.get(key) {
            Some(before) => change(before, value, &path, nulls),
            None if value.is_null() => {
                nulls.push(path.to_string());
                None
            }
            None => change(&Value::Null, value, &path, nulls),
        };
        if let Some(change) = change {
            patch.insert(key.clone(), change);
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    // An empty patch makes an object of what was none.
    (!patch.is_empty() || !was_object).then_some(Value::Object(patch))
}

/// Applies a merge patch (RFC 7386, section 2).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    // In one pass: removing members one by one moves all later ones each time.
    if patch.values().any(Value::is_null) {
        fields.retain(|key, _| !patch.get(key).is_some_and(Value::is_null));
    }
    for (key, value) in patch.iter().filter(|(_, value)| !value.is_null()) {
        merge(fields.entry(key.clone()).or_insert(Value::Null), value);
    }
}

/// Sets the member at `pointer` to `null`; nothing where the object that would hold it is missing.
fn set_null(state: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        *state = Value::Null;
        return;
    };
    if let Some(Value::Object(fields)) = state.pointer_mut(parent) {
        fields.insert(name.replace("~1", "/").replace("~0", "~"), Value::Null);
    }
}

/// Whether the values are the same, the sign of zero included. The order of members does not count.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b && a.to_string() == b.to_string(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_same(a, b)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Any JSON, with few names so that members of two states meet.
    fn state() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            3 => Just(Value::Null),
            1 => any::<bool>().prop_map(Value::from),
            1 => prop_oneof![Just(json!(0.0)), Just(json!(-0.0)), Just(json!(1)), Just(json!(1.0))],
            1 => any::<f64>().prop_map(Value::from),
            1 => any::<u64>().prop_map(Value::from),
            1 => "[a-c]{0,2}".prop_map(Value::from),
        ];
        let name = prop_oneof![4 => "[a-c/~]{0,2}", 1 => Just("~01".to_owned()), 1 => any::<String>()];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                4 => prop::collection::vec((name.clone(), inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn changed(from: &Value, to: &Value) -> Value {
        let StateChange { patch, nulls } = StateChange::between(from, to);
        // What a record keeps: `null` as an optional field would be read as an absent one.
        assert_ne!(patch, Some(Value::Null));
        let stored = serde_json::to_string(&(patch, nulls)).unwrap();
        let (patch, nulls): (Option<Value>, Vec<String>) = serde_json::from_str(&stored).unwrap();
        let mut state = from.clone();
        StateChange::apply(patch.as_ref(), &nulls, &mut state);
        state
    }

    proptest! {
        /// A member that became `null` was removed instead, and the run could not be resumed.
        #[test]
        fn a_change_leads_from_any_state_to_any_other(from in state(), to in state()) {
            let state = changed(&from, &to);
            prop_assert!(is_same(&state, &to), "{} instead of {}", state, to);
        }

        #[test]
        fn a_change_from_elsewhere_never_panics(state in state(), patch in state(), nulls in prop::collection::vec("[a-c/~0-9]{0,4}", 0..3)) {
            let mut state = state;
            StateChange::apply(Some(&patch), &nulls, &mut state);
        }
    }

    #[test]
    fn states_with_null_survive() {
        for (from, to) in [
            (json!({"target": {"x": 1}}), json!({"target": null})),
            (json!({}), json!({"target": null})),
            (json!({"target": null}), json!({})),
            (json!({"a": 1}), json!({"a": {"b": null, "c": {}}})),
            (json!({"a": {"b": 1}}), Value::Null),
            (Value::Null, json!({})),
            (json!([{"a": 1}]), json!([{"a": null}])),
            (json!({"x": 0.0}), json!({"x": -0.0})),
            (json!({"": {"a/b~": 1}}), json!({"": {"a/b~": null}})),
        ] {
            let state = changed(&from, &to);
            assert!(is_same(&state, &to), "{from} → {to}: {state}");
        }
    }

    #[test]
    fn the_order_of_members_does_not_change_a_change() {
        let from = json!({"a": 1, "b": 1});
        let to: [Value; 2] = [r#"{"b": null, "a": null}"#, r#"{"a": null, "b": null}"#]
            .map(|text| serde_json::from_str(text).unwrap());
        assert_eq!(StateChange::between(&from, &to[0]), StateChange::between(&from, &to[1]));
    }

    /// Removing them one by one would take hours.
    #[test]
    fn a_state_whose_members_all_change_their_names_takes_linear_time() {
        let state = |prefix: &str| -> Value {
            (0..200_000)
                .map(|number| (format!("{prefix}{number}"), Value::from(number)))
                .collect::<Map<_, _>>()
                .into()
        };
        let (before, after) = (state("a"), state("b"));
        let change = StateChange::between(&before, &after);
        let mut now = before;
        StateChange::apply(change.patch.as_ref(), &change.nulls, &mut now);
        assert_eq!(now, after);
    }

    #[test]
    fn a_change_without_null_is_a_merge_patch() {
        let (from, to) =
            (json!({"a": 1, "b": {"c": 2, "d": 3}}), json!({"b": {"c": 4, "d": 3}, "e": [null]}));
        let change = StateChange::between(&from, &to);
        assert_eq!(change.patch, Some(json!({"b": {"c": 4}, "e": [null], "a": null})));
        assert_eq!(change.nulls, Vec::<String>::new());
        assert_eq!(StateChange::between(&from, &from), StateChange::default());
    }
}
