//! Crafter as a named environment of agent files.

use crate::undocumented::UndocumentedCrafter;
use crate::{CrafterEnvironment, REFLEX_FIGHT};
use async_trait::async_trait;
use sojourn_tools::{BuiltInReflex, Environment, EnvironmentProvider, EnvironmentUnavailable, nearest};

const NAME: &str = "crafter";
/// The only option.
const OPTION: &str = "documented";
/// The name of the world without its documentation.
pub const UNDOCUMENTED: &str = "crafter?documented=false";

/// Provides `crafter` and `crafter?documented=false`, each with its built-in agent file.
#[derive(Debug, Clone, Copy)]
pub struct CrafterProvider;

#[async_trait]
impl EnvironmentProvider for CrafterProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn description(&self) -> &'static str {
        "the survival game Crafter, in Rust"
    }

    fn provides(&self, name: &str) -> bool {
        query(name).is_some()
    }

    fn agent_file(&self, name: &str) -> String {
        if is_documented(name).unwrap_or(true) {
            include_str!("../agent.toml").to_owned()
        } else {
            include_str!("../undocumented.toml").to_owned()
        }
    }

    fn reflexes(&self, name: &str) -> &'static [BuiltInReflex] {
        // The reflex documents what is dangerous, and the remedy.
        if is_documented(name).unwrap_or(true) { &[("fight", REFLEX_FIGHT)] } else { &[] }
    }

    fn in_process(&self, name: &str) -> Option<Box<dyn Environment>> {
        environment(name).ok()
    }

    async fn open(&self, name: &str) -> Result<Box<dyn Environment>, EnvironmentUnavailable> {
        environment(name)
    }
}

fn environment(name: &str) -> Result<Box<dyn Environment>, EnvironmentUnavailable> {
    Ok(if is_documented(name)? {
        Box::new(CrafterEnvironment::new())
    } else {
        Box::new(UndocumentedCrafter::new())
    })
}

/// The options of a name that selects this environment; `None` for any other name.
fn query(name: &str) -> Option<&str> {
    let rest = name.strip_prefix(NAME)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('?') }
}

/// Whether the name asks for all that is written down about the game.
fn is_documented(name: &str) -> Result<bool, EnvironmentUnavailable> {
    let mut documented = true;
    for part in query(name).unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        let (option, value) = part.split_once('=').unwrap_or((part, ""));
        documented = match (option, value) {
            (OPTION, "true") => true,
            (OPTION, "false") => false,
            (OPTION, value) => {
                return Err(invalid(format!("`{OPTION}` is true or false, not `{value}`")));
            }
            _ => {
                let meant = nearest(option, std::iter::once(OPTION));
                let meant = meant.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                return Err(invalid(format!("`{NAME}` has no option `{option}`{meant}")));
            }
        };
    }
    Ok(documented)
}

fn invalid(reason: String) -> EnvironmentUnavailable {
    EnvironmentUnavailable::Invalid { reason, remedy: format!("for example `{UNDOCUMENTED}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_selects_the_world_its_agent_file_and_its_reflexes() {
        let provider = CrafterProvider;
        for (name, tasks, reflexes) in
            [(NAME, 22, 1), ("crafter?documented=true", 22, 1), (UNDOCUMENTED, 0, 0)]
        {
            assert!(provider.provides(name));
            let world = provider.in_process(name).unwrap();
            assert_eq!(
                (world.spec().tasks.len(), provider.reflexes(name).len()),
                (tasks, reflexes),
                "{name}"
            );
        }
        assert!(provider.agent_file(UNDOCUMENTED).contains(UNDOCUMENTED));
        assert!(!provider.provides("crafters") && !provider.provides("craft"));
    }

    #[test]
    fn an_option_that_is_not_valid_is_refused_by_name() {
        for (name, part) in [
            ("crafter?document=false", "no option `document`; did you mean `documented`?"),
            ("crafter?documented=no", "true or false, not `no`"),
        ] {
            let error = environment(name).err().unwrap().to_string();
            assert!(error.contains(part), "{name}: {error}");
        }
    }
}
