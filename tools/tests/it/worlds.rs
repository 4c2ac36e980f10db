//! Remote environments in processes and on servers, with and without faults.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::common::faulty;
use serde_json::{Map, Value, json};
use sojourn_tools::{
    Action, EndingKind, Environment, EnvironmentError, EpisodePrefix, FailureKind, McpEnvironmentSettings,
    Need, PolicedEnvironment, Policies, ProcessEnvironmentSettings, Progress, RemoteEnvironment, ToolCall,
    ToolOutcome,
};
use std::path::Path;

/// The corridor with a fault. If `starts` names a file, it counts the starts, and only the first has the
/// fault.
async fn corridor(fault: &str, starts: Option<&Path>) -> Result<RemoteEnvironment, String> {
    let mut command = faulty("corridor.py", fault);
    command.extend(starts.map(|path| path.to_str().unwrap().to_owned()));
    let world = ProcessEnvironmentSettings {
        command,
        timeout_ms: Some(10_000),
        ..ProcessEnvironmentSettings::default()
    };
    world.open(Path::new("")).await.map_err(|error| error.to_string())
}

fn call(name: &str, args: &Value) -> ToolCall {
    ToolCall { name: name.to_owned(), args: args.as_object().unwrap().clone() }
}

/// Carries out a call as the runtime does. Returns its actions and its outcome.
async fn carry_out(
    world: &mut dyn Environment,
    call: &ToolCall,
) -> Result<(Vec<String>, Option<ToolOutcome>), EnvironmentError> {
    world.begin(call)?;
    let mut actions = Vec::new();
    loop {
        match world.advance()? {
            Progress::Done(outcome) => return Ok((actions, Some(outcome))),
            Progress::Act(action) => {
                let outcome = world.step(&action).await?;
                actions.push(action.0);
                if outcome.ended.is_some() {
                    return Ok((actions, None));
                }
            }
        }
    }
}

#[tokio::test]
async fn actions_become_tools_with_a_repetition_count() {
    let mut world = corridor("none", None).await.unwrap();
    let spec = world.spec().clone();
    let tools: Vec<&str> = spec.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(tools, ["observe", "left", "right", "do_"], "`do` cannot be called in a script");
    assert_eq!(spec.actions, ["left", "right", "do"]);
    assert!(!spec.deterministic, "a replay does not need it");
    assert!(!spec.tools[0].untrusted && spec.tools[1].untrusted, "the program names its actions");
    assert_eq!(
        spec.tools[0].description,
        r#"what is seen now. The world says of its controls: "cell is where you are.""#
    );
    assert!(matches!(world.observe(), Err(EnvironmentError::NotRunning)));

    world.reset(7).await.unwrap();
    assert_eq!(world.observe().unwrap().text, "cell: 0\nseed: 7\n");
    let (actions, outcome) = carry_out(&mut world, &call("right", &json!({"times": 3}))).await.unwrap();
    assert_eq!((actions.len(), outcome.unwrap().message.as_str()), (3, "right x 3"));
    let (_, outcome) = carry_out(&mut world, &call("observe", &json!({}))).await.unwrap();
    assert_eq!(outcome.unwrap().value, Some(json!({"cell": 3, "seed": 7})));
    let (actions, outcome) = carry_out(&mut world, &call("left", &json!({"times": 50}))).await.unwrap();
    let outcome = outcome.unwrap();
    assert_eq!((actions.len(), outcome.ok, outcome.message.as_str()), (4, false, "a wall is there"));
    assert_eq!((outcome.missing.len(), &outcome.missing[0]), (16, &Need::Nearby { kind: "way".to_owned() }));
    let short =
        |need: &Need| matches!(need, Need::Item { item, count: 2, have: 0 } if item.chars().count() <= 201);
    assert!(outcome.missing[1..].iter().all(short), "{:?}", outcome.missing);
    for bad in [json!({"times": 0}), json!({"times": 51}), json!({"times": "3"}), json!({"n": 1})] {
        let (actions, outcome) = carry_out(&mut world, &call("right", &bad)).await.unwrap();
        assert!(actions.is_empty() && !outcome.unwrap().ok, "{bad}");
    }
    let (_, outcome) = carry_out(&mut world, &call("fly", &json!({}))).await.unwrap();
    assert!(!outcome.unwrap().ok);
    let unknown = world.step(&Action("fly".to_owned())).await;
    assert!(matches!(unknown, Err(EnvironmentError::UnknownAction { .. })), "{unknown:?}");

    carry_out(&mut world, &call("right", &json!({"times": 4}))).await.unwrap();
    let last = world.step(&Action("right".to_owned())).await.unwrap();
    assert_eq!((last.reward, last.unlocked), (1.0, vec!["leave".to_owned()]));
    assert_eq!(last.ended.unwrap().kind, EndingKind::Succeeded);
    let over = world.step(&Action("right".to_owned())).await;
    assert!(matches!(over, Err(EnvironmentError::NotRunning)), "{over:?}");
}

#[tokio::test]
async fn actions_take_the_arguments_of_their_schema_and_possible_calls_are_bounded() {
    let mut world = corridor("arguments", None).await.unwrap();
    assert_eq!(world.spec().actions, ["wait"], "a reflex has no arguments");
    assert!(world.spec().play);
    world.reset(1).await.unwrap();
    let right = call("go", &json!({"to": "right", "cells": 2}));
    let (actions, outcome) = carry_out(&mut world, &right).await.unwrap();
    assert!(outcome.unwrap().ok);
    assert_eq!(actions, [r#"go {"to":"right","cells":2}"#]);
    // A call by position passes `null` for what it leaves out.
    carry_out(&mut world, &call("go", &json!({"to": "right", "cells": null}))).await.unwrap();
    assert_eq!(world.observe().unwrap().state["cell"], 3);
    let (actions, outcome) = carry_out(&mut world, &call("go", &json!({"to": "up"}))).await.unwrap();
    let outcome = outcome.unwrap();
    assert!(actions.is_empty() && !outcome.ok && outcome.message.contains("\"up\""), "{outcome:?}");
    let available = world.observe().unwrap().available;
    assert_eq!(available[..2], [call("go", &json!({"to": "right"})), call("wait", &json!({}))]);
    assert!(available.len() <= 256 && available[2].name == "wait", "what is no call is left out");
    let past = EpisodePrefix {
        seed: 1,
        actions: vec![Action(actions_text())],
        state: json!({"cell": 2, "seed": 1}),
    };
    assert!(world.rejoin(&past).await.unwrap(), "a crash repeats actions with their arguments");
}

#[tokio::test]
async fn programs_read_which_calls_are_possible_also_under_a_policy_that_denies_acting() {
    let world: Box<dyn Environment> = Box::new(corridor("offers", None).await.unwrap());
    let spec = world.spec().tools.iter().find(|tool| tool.name == "available").unwrap();
    assert!(spec.effects.changes_nothing());
    let mut denying = Policies::default();
    let all = json!({"rule": [{"tool": "*", "then": "deny"}]});
    denying.add(&serde_json::from_value(all).unwrap()).unwrap();
    let mut world = PolicedEnvironment::wrap(world, std::sync::Arc::new(denying));
    world.reset(1).await.unwrap();
    let (actions, offered) = carry_out(world.as_mut(), &call("available", &json!({}))).await.unwrap();
    assert!(actions.is_empty(), "asking is no step");
    assert_eq!(offered.unwrap().value.unwrap(), json!([{"name": "go", "args": {"to": "right"}}]));
    let (actions, outcome) = carry_out(world.as_mut(), &call("go", &json!({"to": "right"}))).await.unwrap();
    assert_eq!((actions.len(), outcome.unwrap().failure), (0, Some(FailureKind::Denied)));

    let mut free = corridor("offers", None).await.unwrap();
    free.reset(1).await.unwrap();
    carry_out(&mut free, &call("go", &json!({"to": "right"}))).await.unwrap();
    let (_, offered) = carry_out(&mut free, &call("available", &json!({}))).await.unwrap();
    assert_eq!(offered.unwrap().value.unwrap().as_array().unwrap().len(), 2, "after a step there are others");
    // An action of that name would pass the policy as this tool does.
    let refused = corridor("offers-itself", None).await.err().unwrap();
    assert!(refused.contains("no action can have the tool name `available`"), "{refused}");
    let mut silent = corridor("arguments", None).await.unwrap();
    silent.reset(1).await.unwrap();
    let (_, outcome) = carry_out(&mut silent, &call("available", &json!({}))).await.unwrap();
    assert!(!outcome.unwrap().ok, "a world that does not say so has no such tool");
}

#[tokio::test]
async fn a_world_without_tasks_gets_one_and_its_rewards_are_added_up_in_the_state() {
    let program = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/worlds/cellar.py");
    let command = vec!["python3".to_owned(), program.display().to_string()];
    let settings = ProcessEnvironmentSettings { command, ..ProcessEnvironmentSettings::default() };
    let mut world = settings.open(std::path::Path::new(".")).await.unwrap();
    let task = world.spec().tasks[0].clone();
    assert_eq!((task.name.as_str(), world.spec().tasks.len()), ("succeed", 1));
    world.reset(1).await.unwrap();
    let before = world.observe().unwrap().state;
    assert_eq!((&before["return"], &before["success"]), (&json!(0.0), &json!(false)));
    let ways = ["go north", "go east", "take lamp", "go west", "go down", "light lamp", "open chest"];
    let mut last = None;
    for way in ways {
        assert!(!task.goal.holds(&before, &world.observe().unwrap().state, &Map::new()).unwrap(), "{way}");
        let action = Action(format!("command {}", json!({"text": way})));
        last = Some(world.step(&action).await.unwrap());
    }
    let last = last.unwrap();
    assert_eq!((last.unlocked, &last.state["return"]), (vec!["succeed".to_owned()], &json!(1.0)));
    assert!(task.goal.holds(&before, &last.state, &Map::new()).unwrap());
}

fn actions_text() -> String {
    r#"go {"to":"right","cells":2}"#.to_owned()
}

#[tokio::test]
async fn a_reflex_step_does_not_count_towards_the_call() {
    let mut world = corridor("none", None).await.unwrap();
    world.reset(1).await.unwrap();
    world.begin(&call("right", &json!({"times": 2}))).unwrap();
    assert_eq!(world.advance().unwrap(), Progress::Act(Action("right".to_owned())));
    world.step(&Action("left".to_owned())).await.unwrap();
    for _ in 0..2 {
        assert_eq!(world.advance().unwrap(), Progress::Act(Action("right".to_owned())));
        world.step(&Action("right".to_owned())).await.unwrap();
    }
    assert!(matches!(world.advance().unwrap(), Progress::Done(outcome) if outcome.ok));
}

#[tokio::test]
async fn a_failure_loses_the_episode_and_the_next_one_starts() {
    for (fault, part) in [
        ("exit", "a wall came down"),
        ("hang", "did not answer within 10 s"),
        ("unreadable", "is not a valid observation"),
        ("says", "the floor is wet"),
    ] {
        let place = tempfile::tempdir().unwrap();
        let mut world = corridor(fault, Some(&place.path().join("starts"))).await.unwrap();
        world.reset(1).await.unwrap();
        let lost = carry_out(&mut world, &call("right", &json!({"times": 4}))).await.unwrap_err();
        assert!(matches!(&lost, EnvironmentError::Lost { cause } if cause.contains(part)), "{fault}: {lost}");
        let after = world.step(&Action("right".to_owned())).await;
        assert!(matches!(after, Err(EnvironmentError::NotRunning)), "{fault}: {after:?}");
        world.reset(2).await.unwrap();
        assert_eq!(world.observe().unwrap().state["cell"], 0, "{fault}");
        if fault != "says" {
            let (_, outcome) = carry_out(&mut world, &call("right", &json!({"times": 4}))).await.unwrap();
            assert!(outcome.unwrap().ok, "{fault}: the second program has no fault");
        }
    }
}

#[tokio::test]
async fn an_unusable_environment_reports_the_reason() {
    for (fault, part) in [
        ("no-world", "has no `environment`"),
        ("no-actions", "has no actions"),
        ("twice", "two actions would both get the tool name `go_on`"),
        ("nameless", "missing field `name`"),
        ("unknown-key", "unknown field `inputs`, expected one of `name`, `description`, `input`"),
    ] {
        let Err(error) = corridor(fault, None).await else { panic!("{fault} was opened") };
        assert!(error.contains(part), "{fault}: {error}");
    }
    let world = ProcessEnvironmentSettings {
        command: vec!["/no/such/program".into()],
        ..ProcessEnvironmentSettings::default()
    };
    let Err(error) = world.open(Path::new("")).await else { panic!("it was opened") };
    assert!(error.to_string().contains("cannot start `/no/such/program`"), "{error}");
}

#[tokio::test]
async fn only_a_deterministic_environment_is_restored_after_a_crash() {
    let past = |state: Value| {
        let actions = ["right", "right", "left", "do"].map(|action| Action(action.to_owned())).to_vec();
        EpisodePrefix { seed: 7, actions, state }
    };
    let mut world = corridor("none", None).await.unwrap();
    assert!(world.rejoin(&past(json!({"cell": 1, "seed": 7}))).await.unwrap());
    world.step(&Action("right".to_owned())).await.unwrap();
    assert_eq!(world.observe().unwrap().state["cell"], 2);
    assert!(!world.rejoin(&past(json!({"cell": 3, "seed": 7}))).await.unwrap());

    // A false claim of determinism is detected; without the claim no attempt is made.
    for fault in ["drifts", "drifts-silently"] {
        let place = tempfile::tempdir().unwrap();
        let starts = place.path().join("starts");
        let seen = json!({"cell": 1, "seed": 7, "starts": 1});
        let mut first = corridor(fault, Some(&starts)).await.unwrap();
        assert_eq!(first.rejoin(&past(seen.clone())).await.unwrap(), fault == "drifts");
        let mut second = corridor(fault, Some(&starts)).await.unwrap();
        assert!(!second.rejoin(&past(seen)).await.unwrap(), "{fault}");
    }
}

#[tokio::test]
async fn practice_uses_another_process() {
    let place = tempfile::tempdir().unwrap();
    let starts = place.path().join("starts");
    let mut world = corridor("none", Some(&starts)).await.unwrap();
    world.reset(1).await.unwrap();
    let mut practice = world.practice().unwrap();
    assert_eq!(std::fs::read_to_string(&starts).unwrap().len(), 1, "it is started when it is needed");
    practice.reset(2).await.unwrap();
    practice.step(&Action("right".to_owned())).await.unwrap();
    assert_eq!(std::fs::read_to_string(&starts).unwrap().len(), 2);
    assert_eq!(world.observe().unwrap().state["cell"], 0);
    assert_eq!(practice.observe().unwrap().state["cell"], 1);
}

#[tokio::test]
async fn trials_in_a_world_that_is_not_a_process_of_its_own_need_the_users_word() {
    let open = async |more: Value| {
        let mut settings = json!({"command": faulty("corridor.py", "none")});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let settings: ProcessEnvironmentSettings = serde_json::from_value(settings).unwrap();
        settings.open(Path::new("")).await.map_err(|error| error.to_string())
    };
    for (more, practice, play) in [
        (json!({}), true, true),
        (json!({"explore": false}), true, false),
        (json!({"practice": false}), false, false),
    ] {
        let world = open(more.clone()).await.unwrap();
        let spec = world.spec();
        assert_eq!((spec.practice, spec.play), (practice, play), "{more}");
        assert_eq!(world.practice().is_some(), practice, "{more}");
    }
    let Err(error) = open(json!({"practice": false, "explore": true})).await else { panic!("it was opened") };
    assert!(error.contains("`explore` needs `practice = true`"), "{error}");
}

#[tokio::test]
async fn a_denied_action_takes_no_step_in_the_world_or_in_practice() {
    let rule = json!({"rule": [
        {"tool": "right", "args": {"times": "1"}, "then": "allow"},
        {"tool": "right", "then": "deny"},
        {"tool": "do", "then": "deny"},
    ]});
    let mut policies = Policies::default();
    policies.add(&serde_json::from_value(rule).unwrap()).unwrap();
    let world: Box<dyn Environment> = Box::new(corridor("none", None).await.unwrap());
    let world = PolicedEnvironment::wrap(world, std::sync::Arc::new(policies));
    let practice = world.practice().unwrap();
    for mut world in [world, practice] {
        world.reset(1).await.unwrap();
        let (actions, outcome) =
            carry_out(world.as_mut(), &call("right", &json!({"times": 3}))).await.unwrap();
        let outcome = outcome.unwrap();
        assert_eq!((actions.len(), outcome.failure), (0, Some(FailureKind::Denied)), "{}", outcome.message);
        assert!(world.permits(&Action("right".to_owned())), "once, as a reflex does");
        // The world's own name of it is `do`, which is no name in a script.
        let (actions, outcome) = carry_out(world.as_mut(), &call("do_", &json!({}))).await.unwrap();
        assert_eq!((actions.len(), outcome.unwrap().failure), (0, Some(FailureKind::Denied)));
        assert!(!world.permits(&Action("do".to_owned())));
        let (_, seen) = carry_out(world.as_mut(), &call("observe", &json!({}))).await.unwrap();
        assert_eq!(seen.unwrap().value.unwrap()["cell"], 0);
        let (actions, _) = carry_out(world.as_mut(), &call("right", &json!({"times": 1}))).await.unwrap();
        assert_eq!(actions, ["right"]);
        let actions = vec![Action("do".to_owned())];
        let again = EpisodePrefix { seed: 1, actions, state: json!({"cell": 1, "seed": 1}) };
        assert!(!world.rejoin(&again).await.unwrap(), "what is denied now was done again");
    }
}

fn server(more: &Value) -> McpEnvironmentSettings {
    let mut settings = json!({
        "name": "corridor", "command": faulty("corridor_mcp.py", "none"), "reset": "reset-env", "step": "step-env",
        "seed": "seed", "actions": {"left": -1, "right": 1}, "deterministic": true, "timeout_ms": 60_000,
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(settings).unwrap()
}

#[tokio::test]
async fn a_server_with_reset_and_step_tools_is_an_environment() {
    let mut world = server(&json!({})).open(Path::new("")).await.unwrap();
    assert_eq!(world.spec().tasks[0].name, "succeed");
    world.reset(3).await.unwrap();
    let seen = world.observe().unwrap();
    assert_eq!(seen.state["observation"], json!({"cell": 1}));
    let (actions, _) = carry_out(&mut world, &call("right", &json!({"times": 9}))).await.unwrap();
    assert_eq!(actions.len(), 4, "it ended there");
    let seen = world.observe().unwrap().state;
    assert_eq!((&seen["success"], &seen["return"], &seen["steps"]), (&json!(true), &json!(1.0), &json!(4)));

    // The server dies during the episode and is restarted for the next one.
    world.reset(2).await.unwrap();
    carry_out(&mut world, &call("right", &json!({"times": 4}))).await.unwrap();
    let lost = world.step(&Action("left".to_owned())).await.unwrap_err();
    assert!(matches!(lost, EnvironmentError::Lost { .. }), "{lost}");
    world.reset(1).await.unwrap();
    assert_eq!(world.observe().unwrap().state["observation"], json!({"cell": 1}));
    let past = EpisodePrefix {
        seed: 2,
        actions: ["right", "left", "right"].map(|action| Action(action.to_owned())).to_vec(),
        state: json!({"observation": {"cell": 1}, "reward": 0.0, "return": 0.0, "steps": 3, "success": false}),
    };
    assert!(world.rejoin(&past).await.unwrap());
}

#[tokio::test]
async fn a_program_and_a_server_give_pictures_of_their_world() {
    let mut program = corridor("pictures", None).await.unwrap();
    let mut server = server(&json!({"frame": "render"})).open(Path::new("")).await.unwrap();
    for world in [&mut program, &mut server] {
        assert_eq!(world.frame().await, None, "there is no episode yet");
        world.reset(2).await.unwrap();
        let first = world.frame().await.unwrap();
        assert_eq!((&first.bytes[..], first.mime.as_str()), (&b"GIF89a0"[..], "image/gif"));
        world.step(&Action("right".to_owned())).await.unwrap();
        assert_eq!(world.frame().await.unwrap().bytes, b"GIF89a1");
    }
    // A picture that fails ends nothing, and a world that has none is not asked.
    for fault in ["no-picture", "none"] {
        let mut world = corridor(fault, None).await.unwrap();
        world.reset(2).await.unwrap();
        assert_eq!(world.frame().await, None, "{fault}");
        world.step(&Action("right".to_owned())).await.unwrap();
    }
}

#[tokio::test]
async fn dropping_an_environment_ends_its_process() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("pid");
    let mut command = faulty("corridor_mcp.py", "none");
    command.push(file.to_str().unwrap().to_owned());
    let world = server(&json!({"command": command})).open(Path::new("")).await.unwrap();
    let mut practice = world.practice().unwrap();
    practice.reset(1).await.unwrap();
    let practising = std::fs::read_to_string(&file).unwrap();
    let there = || Path::new("/proc").join(&practising).join("fd/0").exists();
    assert!(there());
    drop(practice);
    sojourn_testkit::eventually("its program is gone", async || (!there()).then_some(())).await;
}

#[tokio::test]
async fn a_server_that_lacks_a_tool_is_rejected() {
    let open = async |more: Value| match server(&more).open(Path::new("")).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    };
    let error = open(json!({"step": "step"})).await;
    assert!(error.contains("no tool `step`") && error.contains("step_env"), "{error}");
    let error = open(json!({"command": []})).await;
    assert!(error.contains("either `command` or `url`"), "{error}");
    let error = open(json!({"command": ["/no/such/program"]})).await;
    assert!(error.contains("/no/such/program"), "{error}");
}
