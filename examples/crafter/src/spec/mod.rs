//! The environment's specification: tools, tasks, recipes and worked examples.

mod recipes;
mod tasks;
mod tools;
mod wording;

pub(crate) use tools::{EXPLORE_STEPS, WAIT_STEPS, WALK_STEPS, makeable, placeable, tool_names};

use crate::game::Move;
use sojourn_primitives::JsonPointer;
use sojourn_tools::{EnvironmentSpec, Example};

const COLLECT_EXAMPLE: &str = r#"function collect_berry(n = 1) {
  const target = observe().inventory.berry + n;
  for (let i = 0; i < 40 && observe().inventory.berry < target; i++) {
    if (go_to("bush")) interact();
    else explore(12);
  }
}"#;

const EVENT_EXAMPLE: &str = r#"function shear_sheep() {
  const before = observe().achievements.shear_sheep;
  for (let i = 0; i < 40 && observe().achievements.shear_sheep === before; i++) {
    if (go_to("sheep")) interact();
    else explore(12);
  }
}"#;

const MAKE_EXAMPLE: &str = r#"function make_rope() {
  if (observe().inventory.reed < 4) collect_reed(4 - observe().inventory.reed);
  if (observe().inventory.berry < 1) collect_berry(1 - observe().inventory.berry);
  place_loom();
  make("rope");
}"#;

/// The complete specification.
pub(crate) fn spec() -> EnvironmentSpec {
    EnvironmentSpec {
        name: "crafter".to_owned(),
        // The game's, and how it is described here.
        version: "1.8.3/2".to_owned(),
        deterministic: true,
        about: "Crafter is a survival game on a map of 64 by 64 cells with grassland, forests, lakes, mountains and \
                caves. The skills control the player, who gathers, crafts, fights, eats, drinks and sleeps."
            .to_owned(),
        tools: tools::tools(),
        actions: Move::ALL.iter().map(|action| action.name().to_owned()).collect(),
        controls: "A move turns the player that way and goes one cell if nothing stands there. `do` uses what the \
                   player faces, which `state.facing` names: it gathers material, drinks, eats, and hits a creature. \
                   dx counts cells to the right of the player, dy cells down; a creature with distance 1 touches it."
            .to_owned(),
        tasks: tasks::tasks(),
        recipes: recipes::recipes(),
        examples: examples(),
        vitals: vec![JsonPointer::of(["health"])],
        question: None,
        exploration: None,
        play: false,
        practice: true,
        episode_steps: None,
        wording: wording::wording(),
        untrusted: false,
    }
}

/// Examples with imaginary things: they show the pattern and solve no task.
fn examples() -> Vec<Example> {
    let example = |task: &str, source: &str| Example {
        task: task.to_owned(),
        source: source.to_owned(),
        untrusted: false,
    };
    vec![
        example(
            "collect n more berries.\nRequirements: interact() needs a bush in front of you. It gives 1 berry.\n\
             Plan: repeat (find a bush and then interact(); look further when there is none) until you have n more \
             berry.\nSkills you can call: none.",
            COLLECT_EXAMPLE,
        ),
        example(
            "shear a sheep.\nRequirements: interact() needs a sheep in front of you. a sheep moves and needs several \
             tries.\nPlan: repeat (find a sheep and then interact(); look further when there is none) until \
             observe().achievements.shear_sheep has grown.\nSkills you can call: none.",
            EVENT_EXAMPLE,
        ),
        example(
            "make a rope.\nRequirements: 1 berry and 2 reed in the inventory and a loom next to you (placing a loom \
             uses 2 reed).\nPlan: collect until you have 4 reed (2 for the loom, 2 to make it) and 1 berry; then \
             place_loom(); make(\"rope\").\nSkills you can call: collect_reed(n), collect_berry(n), place_loom().",
            MAKE_EXAMPLE,
        ),
    ]
}
