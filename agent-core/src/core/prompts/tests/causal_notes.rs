//! Notes for a retry: why the last program failed.

use super::*;

#[test]
fn causal_notes() {
    let needs = || {
        let item = |item: &str| Need::Item { item: item.into(), count: 2, have: 0 };
        let kind = |kind: &str| kind.to_owned();
        vec![
            item("wood"),
            item("bench"),
            item("gold"),
            Need::Nearby { kind: kind("table") },
            Need::Nearby { kind: kind("river") },
            Need::Seen { kind: kind("river") },
            Need::Facing { kind: String::new() },
            Need::Facing { kind: kind("river") },
            Need::Later { until: kind("it is day") },
        ]
    };
    for (name, spec, task) in [("game", game(), "collect_wood"), ("bare", bare(), "paint")] {
        let planner = Planner::new(&spec);
        let spec_task = planner.task(task).unwrap().clone();
        let note = |trial: CandidateTrial| notes::causal_note(&planner, &spec_task, &trial, None);
        let mut lines: Vec<String> = needs()
            .into_iter()
            .map(|need| note(failed(Some(failure(vec![trace(false, vec![need])])))))
            .collect();
        let mut counted = spec_task.clone();
        counted.goal = Condition::Increased {
            path: JsonPointer::of(["counters", "paint"]),
            by: Amount::Param("n".into()),
            cap: None,
        };
        lines.extend([
            note(CandidateTrial { compile_error: Some("unexpected end".into()), ..failed(None) }),
            note(failed(None)),
            note(failed(Some(failure(Vec::new())))),
            note(failed(Some(Failure { died: true, ..failure(vec![trace(true, Vec::new())]) }))),
            notes::causal_note(
                &planner,
                &counted,
                &failed(Some(failure(vec![trace(true, Vec::new())]))),
                None,
            ),
            notes::cannot_run("`fly` is not a function"),
            notes::too_long_or_repeated(),
            notes::regressed(task, 1, 3),
            notes::given_up(&Demotion::Stale { name: "helper".into() }),
        ]);
        insta::assert_snapshot!(format!("notes_{name}"), lines.join("\n"));
    }
    let spec = questions();
    let planner = Planner::new(&spec);
    let task = planner.task("send_form").unwrap();
    let note = |failure| notes::causal_note(&planner, task, &failed(Some(failure)), spec.question.as_ref());
    let lines = [
        note(failure(vec![trace(true, Vec::new()), trace(false, Vec::new())])),
        note(Failure { died: true, ..failure(vec![trace(true, Vec::new())]) }),
        note(Failure { before: json!({}), ..failure(Vec::new()) }),
    ];
    insta::assert_snapshot!("notes_questions", lines.join("\n"));
}

#[test]
fn a_note_says_why_the_last_call_failed_where_the_world_does_not_say_what_it_lacked() {
    let spec = bare();
    let note = |rules: u32, calls: Vec<CallTrace>| {
        let planner = Planner::by_rules(&spec, rules);
        let task = planner.task("paint").unwrap();
        notes::causal_note(&planner, task, &failed(Some(failure(calls))), None)
    };
    let refused = || trace(false, Vec::new());
    assert_eq!(note(8, vec![refused()]), "use() failed: it did not work");
    // A failure on the way was no cause, and by earlier rules there was no such note.
    let grown = note(7, vec![refused()]);
    assert!(grown.starts_with("It ended too early"), "{grown}");
    assert_eq!(note(8, vec![refused(), trace(true, Vec::new())]), grown);
}
