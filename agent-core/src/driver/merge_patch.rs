//! The difference between two states as a JSON merge patch (RFC 7386). A recorded step costs only a few bytes so.

use serde_json::{Map, Value};

/// The merge patch that turns `from` into `to`; `None` where they are equal.
///
/// States must not contain `null`, which a merge patch cannot express.
pub fn diff(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (from, to) else { return Some(to.clone()) };
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            None => {
                patch.insert(key.clone(), value.clone());
            }
            Some(before) => {
                if let Some(change) = diff(before, value) {
                    patch.insert(key.clone(), change);
                }
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Some(Value::Object(patch))
}

/// Applies a merge patch (RFC 7386, section 2).
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// States: objects without `null` and without empty objects standing where something else stood.
    fn state() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(|n| json!(n)),
            "[a-c]{0,2}".prop_map(|s| json!(s)),
            any::<bool>().prop_map(|b| json!(b))
        ];
        let value = leaf.prop_recursive(3, 12, 4, |inner| {
            prop::collection::btree_map("[a-d]", inner, 1..4).prop_map(|m| json!(m))
        });
        prop::collection::btree_map("[a-d]", value, 0..4).prop_map(|m| json!(m))
    }

    proptest! {
        #[test]
        fn a_patch_leads_from_one_state_to_the_other(from in state(), to in state()) {
            let mut patched = from.clone();
            if let Some(patch) = diff(&from, &to) {
                merge(&mut patched, &patch);
            }
            prop_assert_eq!(patched, to);
        }
    }
}
