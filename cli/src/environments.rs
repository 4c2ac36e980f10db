//! The environments that are known by name.

use crate::error::Failure;
use anyhow::Result;
use sojourn_core::ReflexSource;
use sojourn_tools::Environment;

/// What an agent file may name.
const NAMES: [&str; 1] = ["crafter"];

/// A world of that name that has not been reset.
///
/// # Errors
/// When there is none, with the nearest name.
pub fn open(name: &str) -> Result<Box<dyn Environment>> {
    match name {
        "crafter" => Ok(Box::new(sojourn_crafter::CrafterEnvironment::new())),
        _ => Err(Failure::unknown("environment", name, NAMES.into_iter())
            .hint(format!("there is: {}", NAMES.join(", ")))
            .into()),
    }
}

/// The reflexes that come with an environment, the first one first.
pub fn reflexes(name: &str) -> Vec<ReflexSource> {
    let sources: &[(&str, &str)] = match name {
        "crafter" => &[("fight", sojourn_crafter::REFLEX_FIGHT)],
        _ => &[],
    };
    sources
        .iter()
        .map(|&(name, source)| ReflexSource { name: name.to_owned(), source: source.to_owned() })
        .collect()
}
