//! Habits act between the calls of a skill, and the skill goes on after them; a replay and a resume do the same.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::replaying_environment::{Lab, Pile, Table, WRITES, count, cut};
use serde_json::json;
use sojourn_memory::{Record, RecordQuery};
use sojourn_sandbox::{Sandbox, SandboxConfig, engine_sha256};
use sojourn_skills::{
    Arm, Compiled, Draft, Kind, LibraryEvent, LibraryState, Origin, PairedEpisode, ReflexRule, ReflexTrial,
};

/// Draws a card whenever the number of drawn ones can be divided by four.
const EVERY_FOURTH: &str = "function every_fourth() {
  if (observe().drawn % 4 !== 0) return false;
  draw();
}";

/// Calls something that takes no step.
const RESTLESS: &str = "function restless() {
  peek();
}";

/// Adds a habit that has shown its worth.
async fn admit(library: &mut LibraryState, name: &str, source: &str) {
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    let draft = Draft {
        name: name.into(),
        description: name.into(),
        parameters: Vec::new(),
        precondition: None,
        postcondition: None,
        origin: Origin::Human,
        kind: Kind::Reflex { priority: 9, cooldown: 0 },
        environment: "cards".into(),
        created_ms: 1,
        source: source.into(),
    };
    let wasm = sandbox.compile(name, source).await.unwrap();
    let compiled = Compiled { engine: engine_sha256().into(), wasm };
    let skill = library.prepare(draft, compiled, ["peek", "draw", "observe"]);
    let id = skill.manifest.id.clone();
    let arm = |steps| Arm { steps, died: false, achievements: 1 };
    let pair = |seed| PairedEpisode { seed, with: arm(20), without: arm(10) };
    let trial = ReflexTrial { episodes: (0..6).map(pair).collect() };
    for event in [
        LibraryEvent::Drafted { skill: Box::new(skill) },
        LibraryEvent::TrialStarted { id: id.clone() },
        LibraryEvent::ReflexAdmitted { id, trial, rule: ReflexRule::default() },
    ] {
        library.apply(&event).unwrap();
    }
}

async fn lab(habits: &[(&str, &str)]) -> Lab {
    let mut lab = Lab::new(WRITES).await;
    for (name, source) in habits {
        admit(&mut lab.started.library, name, source).await;
    }
    lab
}

fn calls_of(records: &[Record], name: &str) -> usize {
    let named = |record: &&Record| record.kind == "called" && record.payload["call"]["name"] == name;
    records.iter().filter(named).count()
}

#[tokio::test]
async fn a_habit_acts_before_a_call_and_the_skill_goes_on() {
    let lab = lab(&[("every_fourth", EVERY_FOURTH)]).await;
    let (_home, store, records) = lab.first(&Pile::default()).await;
    assert_eq!(count(&records, "stepped"), 12);
    // Before the first draw, the fifth and the ninth; after the twelfth no step is left for what it calls.
    let called = calls_of(&records, "every_fourth");
    assert!((3..=4).contains(&called), "{called} times");
    let first = records.iter().position(|record| record.kind == "called").unwrap();
    assert_eq!(records[first].payload["call"], json!({"name": "every_fourth", "args": {}}));
    assert_eq!(
        (&records[first].payload["depth"], &records[first + 1].payload["depth"]),
        (&json!(0), &json!(1))
    );
    let acted: Vec<_> = records.iter().filter(|record| record.kind == "acted").collect();
    let report = |record: &Record| record.payload["report"].clone();
    let by_habits: u64 = acted.iter().filter_map(|record| report(record)["reflex_steps"].as_u64()).sum();
    assert_eq!(by_habits, 3);
    // The skill answers for its own steps only.
    let own: u64 = acted.iter().filter_map(|record| report(record)["skills"][0]["steps"].as_u64()).sum();
    assert_eq!(own, 9);
    lab.verify(&store).await;
}

#[tokio::test]
async fn a_run_with_habits_resumes_after_any_record() {
    let lab = lab(&[("every_fourth", EVERY_FOURTH)]).await;
    let (_home, store, records) = lab.first(&Pile::default()).await;
    for end in (2..records.len()).step_by(3) {
        let (_home, copy, writer) = cut(&store, &records[..end]).await;
        let drawn = count(&records[..end], "stepped");
        let pile = Pile::standing(1000, drawn);
        lab.run(Table::new(pile.clone(), true, WRITES), &copy, records[..end].to_vec(), Some(writer)).await;
        lab.verify(&copy).await;
        let all = copy.records(&records[0].run, &RecordQuery::all()).await.unwrap();
        assert!(count(&all, "stepped") <= 12, "after {end}: a card was drawn twice");
    }
}

#[tokio::test]
async fn a_habit_that_takes_no_step_pauses() {
    let lab = lab(&[("restless", RESTLESS)]).await;
    let (_home, _store, records) = lab.first(&Pile::default()).await;
    let episodes = count(&records, "episode_started") as usize;
    assert_eq!(calls_of(&records, "restless"), episodes, "once in an episode of a dozen steps");
}
