//! The game's words in the prompts for the controller.

use sojourn_tools::{Example, Wording};

/// The worked example of a reflex is about a boat, so that it solves nothing in the game.
const REFLEX_REQUEST: &str = "The player died: the boat sank. `shoo` drives off what is ahead, which `state.ahead` names; a turn turns the boat. The \
last moments, each with the action that was taken in it:
{\"hull\":4,\"ahead\":\"gull\",\"gulls\":[{\"kind\":\"gull\",\"dx\":1,\"dy\":0}]} -> \"row\", hull fell by 2
{\"hull\":2,\"ahead\":\"sea\",\"gulls\":[{\"kind\":\"gull\",\"dx\":0,\"dy\":-1}]} -> \"row\", then the end
Write the reflex `keep_afloat`.";

const REFLEX_SOURCE: &str = "function keep_afloat(state) {
  if (state.ahead === \"gull\") return \"shoo\";
  for (const one of state.gulls) {
    if (one.kind === \"gull\" && Math.abs(one.dx) + Math.abs(one.dy) === 1) return Math.abs(one.dx) > Math.abs(one.dy) \
? (one.dx > 0 ? \"turn_right\" : \"turn_left\") : (one.dy > 0 ? \"turn_down\" : \"turn_up\");
  }
  return null;
}";

pub(super) fn wording() -> Wording {
    let word = |word: &str| Some(word.to_owned());
    Wording {
        agent: word("the player"),
        choice_advice: word("Prefer what keeps the player alive, then what is near and quick."),
        nearby: word("next to"),
        facing: word("in front of"),
        seen: word("seen"),
        search: word("look further"),
        reflex_example: Some(Example {
            task: REFLEX_REQUEST.to_owned(),
            source: REFLEX_SOURCE.to_owned(),
            untrusted: false,
        }),
        ..Wording::default()
    }
}
