use super::survey::Surveyor;
use super::*;
use serde_json::{Map, Value, json};
use sojourn_tools::ToolCall;
use std::collections::BTreeSet;

fn call(name: &str) -> ToolCall {
    ToolCall { name: name.to_owned(), args: Map::new() }
}

/// A room in which walking changes the place, taking gets the key, opening needs it and is rewarded, and a clock ticks.
fn walked() -> Survey {
    let mut surveyor = Surveyor::default();
    for episode in 0..4 {
        let mut state =
            json!({"at": 0, "clock": 0, "held": [], "door": "locked", "hunger": 0, "seen": "start"});
        surveyor.begin(&state);
        for step in 1..=40_u64 {
            let name = ["walk", "back", "take", "open"][((step * 7 + episode) % 4) as usize];
            let before = state.clone();
            state["clock"] = json!(step);
            if step % 20 == 0 {
                state["hunger"] = json!(step / 20);
            }
            match name {
                "walk" => state["at"] = json!(before["at"].as_i64().unwrap() + 1),
                "back" => state["at"] = json!(before["at"].as_i64().unwrap() - 1),
                "take" if step > 10 && before["held"] == json!([]) => state["held"] = json!(["key"]),
                "open" if before["held"] == json!(["key"]) && before["door"] == "locked" => {
                    state["door"] = json!("open");
                }
                _ => {}
            }
            let reward = f64::from(u8::from(state["door"] != before["door"]));
            state["score"] = json!(before["score"].as_f64().unwrap_or(0.0) + reward);
            surveyor.see(&before, &call(name), &state, reward);
        }
    }
    surveyor.conclude()
}

#[test]
fn what_calls_bring_about_becomes_tasks_and_what_always_changes_does_not() {
    let survey = walked();
    let tasks = survey.tasks(&BTreeSet::new(), 8);
    let told: Vec<(String, String)> =
        tasks.iter().map(|task| (task.name.clone(), task.goal.to_string())).collect();
    assert_eq!(
        told,
        [
            ("get_key_into_held".to_owned(), "/held contains \"key\"".to_owned()),
            ("bring_door_to_open".to_owned(), "/door is \"open\"".to_owned()),
        ]
    );
    assert_eq!((survey.episodes, survey.calls), (4, 160));
    let door = survey.changes.iter().find(|change| change.effect.path().as_str() == "/door").unwrap();
    assert_eq!((door.times, door.episodes, door.calls.as_slice()), (4, 4, &[("open()".to_owned(), 4)][..]));
}

#[test]
fn a_location_that_a_task_has_already_gets_no_second_one() {
    let survey = walked();
    let door = "/door".parse().unwrap();
    let names: Vec<String> = survey.tasks(&[&door].into(), 8).into_iter().map(|task| task.name).collect();
    assert_eq!(names, ["get_key_into_held"]);
    assert_eq!(survey.tasks(&BTreeSet::new(), 1).len(), 1);
}

#[test]
fn fields_keep_their_values_within_bounds() {
    let mut surveyor = Surveyor::default();
    for number in 0..100 {
        let map: Vec<i64> = vec![0; 400];
        let mut state = json!({
            "n": number, "word": format!("w{number}"), "told": "one two\nthree", "map": map, "held": [format!("h{number}")],
        });
        for field in 0..number * 10 {
            state[format!("f{field}")] = json!(true);
        }
        surveyor.begin(&state);
    }
    let survey = surveyor.conclude();
    assert!(survey.fields.len() <= 256, "{}", survey.fields.len());
    let kind = |path: &str| {
        survey.fields.iter().find(|field| field.path.as_str() == path).map(|field| field.kind.clone())
    };
    assert_eq!(kind("/n"), Some(FieldKind::Number { min: 0.0, max: 99.0 }));
    assert_eq!(kind("/map"), None, "a picture is no field");
    assert_eq!(kind("/told"), Some(FieldKind::Value { values: Vec::new(), more: true }));
    let Some(FieldKind::Value { values, more: true }) = kind("/word") else { panic!("{:?}", kind("/word")) };
    let Some(FieldKind::List { members, more: true }) = kind("/held") else { panic!("{:?}", kind("/held")) };
    assert_eq!((values.len(), members.len()), (16, 16));
}

#[test]
fn names_of_tasks_are_identifiers() {
    for (words, name) in [
        ("bring door to open", "bring_door_to_open"),
        ("raise 2 × Größe!", "raise_2_gr_e"),
        ("3 wishes", "do_3_wishes"),
        ("鍵を取る", "reach_it"),
        ("return", "return_"),
    ] {
        assert_eq!(identifier(words), name);
    }
    let long = identifier(&"a b".repeat(60));
    assert!(long.len() <= 40 && !long.ends_with('_'), "{long}");
    let _: Value = json!(walked());
}
