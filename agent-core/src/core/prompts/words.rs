//! The world's words in prompts, with neutral defaults for those that it does not supply.

use super::prompt;
use sojourn_tools::{EnvironmentSpec, Example};

/// See [`sojourn_tools::Wording`] for what each word is.
#[derive(Debug, Clone)]
pub(in crate::core) struct Words {
    pub agent: String,
    /// `agent` at the beginning of a sentence.
    pub subject: String,
    pub choice_advice: String,
    pub nearby: String,
    pub facing: String,
    pub seen: String,
    pub search: String,
    pub first_observation: String,
    pub other_observation: String,
    pub reflex_example: Example,
}

impl Words {
    pub fn of(spec: &EnvironmentSpec) -> Self {
        let own = spec.wording.clone();
        let agent = own.agent.unwrap_or_else(|| prompt!("wording", "agent"));
        let subject = capitalised(&agent);
        let neutral_example = || Example {
            task: prompt!("wording", "reflex_request", subject = subject),
            source: prompt!("wording", "reflex_source"),
            untrusted: false,
        };
        Self {
            choice_advice: own
                .choice_advice
                .unwrap_or_else(|| prompt!("wording", "choice_advice", agent = agent)),
            nearby: own.nearby.unwrap_or_else(|| prompt!("wording", "nearby")),
            facing: own.facing.unwrap_or_else(|| prompt!("wording", "facing")),
            seen: own.seen.unwrap_or_else(|| prompt!("wording", "seen")),
            search: own.search.unwrap_or_else(|| prompt!("wording", "search")),
            first_observation: own
                .first_observation
                .unwrap_or_else(|| prompt!("wording", "first_observation")),
            other_observation: own
                .other_observation
                .unwrap_or_else(|| prompt!("wording", "other_observation")),
            reflex_example: own.reflex_example.unwrap_or_else(neutral_example),
            agent,
            subject,
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
