//! Reading an agent file. Every error names the file and, where the error has a place in the text, the line and the column.

use super::{AgentFile, assign};
use crate::environments;
use crate::error::{Failure, Kind};
use crate::output;
use anyhow::Result;
use sojourn_core::CORE_RULES;
use sojourn_tools::EnvironmentRegistry;
use std::path::Path;
use toml::Table;

/// `run.uneventful_episodes`, unless the agent file has it.
const UNEVENTFUL_EPISODES: u32 = 5;

impl AgentFile {
    /// Reads an agent file and applies `KEY=VALUE` overrides to it. Where there is no such file and `path` is the name of an
    /// environment, that environment's built-in agent file is used.
    ///
    /// # Errors
    /// When the file cannot be read or says something that it may not say; the error names the place.
    pub fn read(registry: &EnvironmentRegistry, path: &Path, overrides: &[String]) -> Result<Self> {
        let agent = Self::read_quietly(registry, path, overrides)?;
        // What a program writes before there is a run may hold its secrets, and is printed.
        output::hide(agent.redactor());
        Ok(agent)
    }

    /// As [`read`](Self::read), without hiding its secrets in the output of this process: for a process that reads files again and
    /// again, and prints nothing that comes from them.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_quietly(registry: &EnvironmentRegistry, path: &Path, overrides: &[String]) -> Result<Self> {
        let named = path.to_str().and_then(|name| Some((name, registry.get(name)?)));
        if let Some((name, provider)) = named
            && !path.exists()
        {
            let text = provider.agent_file(name);
            let mut agent = Self::parse(&text, "the built-in example", Path::new(""), overrides)?;
            agent.built_in_reflexes = Some(match agent.environment.name() {
                Some(environment) => environments::reflexes(registry, environment),
                None => Vec::new(),
            });
            return Ok(agent);
        }
        let text = std::fs::read_to_string(path).map_err(|error| {
            let names = registry.providers().map(sojourn_tools::EnvironmentProvider::name);
            let nearest = path.to_str().and_then(|name| sojourn_tools::nearest(name, names));
            let meant = nearest.map(|name| format!("did you mean the environment `{name}`? "));
            unreadable(path, &error).hint(format!(
                "{}an agent file to start from is examples/crafter/agent.toml",
                meant.unwrap_or_default()
            ))
        })?;
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&text, &path.display().to_string(), &directory, overrides)
    }

    /// Reads the text of an agent file named `name`, whose paths are relative to `directory`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &str, name: &str, directory: &Path, overrides: &[String]) -> Result<Self> {
        let mut table: Table = toml::from_str(text).map_err(|error| located(&error, text, name))?;
        let mut agent: Self = match toml::from_str(text) {
            Ok(agent) if overrides.is_empty() => agent,
            // An override may provide a key that the file lacks.
            Err(error) if overrides.is_empty() || !error.message().starts_with("missing field") => {
                return Err(located(&error, text, name).into());
            }
            _ => {
                for assignment in overrides {
                    assign(&mut table, assignment)?;
                    // Checked one by one, so that the error names the override it comes from.
                    if let Err(error) = table.clone().try_into::<Self>()
                        && !error.message().starts_with("missing field")
                    {
                        return Err(Failure::new(
                            Kind::Usage,
                            format!("--set {assignment}: {}", plain(error.message())),
                        )
                        .into());
                    }
                }
                table.clone().try_into().map_err(|error| located(&error, text, name))?
            }
        };
        directory.clone_into(&mut agent.directory);
        agent.run.reflexes.get_or_insert_default();
        agent.run.explore.get_or_insert_default();
        agent.run.uneventful_episodes.get_or_insert(UNEVENTFUL_EPISODES);
        agent.run.rules = CORE_RULES;
        agent.apply_chat_defaults(&table);
        agent.apply_teacher_defaults(&table);
        agent.apply_prices();
        agent.apply_limits(name)?;
        agent.apply_policy(name)?;
        agent.check_controller(name)?;
        agent.check_observe(name)?;
        agent
            .notify
            .check()
            .map_err(|error| Failure::new(Kind::Usage, format!("{name}: notify: {error}")))?;
        Ok(agent)
    }
}

/// The error for a file that cannot be read.
pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new(Kind::NotFound, format!("no file `{}`", path.display())),
        _ => Failure::new(Kind::Failure, format!("cannot read `{}`: {error}", path.display())),
    }
}

/// The error for a text that does not parse: `agent.toml:3:7: unknown key …`.
pub(super) fn located(error: &toml::de::Error, text: &str, name: &str) -> Failure {
    let place = match error.span() {
        // The span of a missing key is the whole document.
        Some(span) if !error.message().starts_with("missing field") => {
            let (line, column) = position(text, span.start);
            format!("{name}:{line}:{column}")
        }
        _ => name.to_owned(),
    };
    Failure::new(Kind::Usage, format!("{place}: {}", plain(error.message())))
        .hint("`sojourn run --help` and examples/crafter/agent.toml show what an agent file may say")
}

/// Line and column, both from 1, of the byte `offset`.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The deserialiser's message in this program's words: ``unknown key `modle`; did you mean `model`?``
fn plain(message: &str) -> String {
    let message = message.trim();
    if let Some(rest) = message.strip_prefix("reflex: ") {
        return format!("reflex: {}", plain(rest));
    }
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (what, Some((wrong, known))) =
        (if message.starts_with("unknown field") { "key" } else { "value" }, names.split_first())
    else {
        return message.to_owned();
    };
    if message.starts_with("missing field") {
        return format!("there is no key `{wrong}`");
    }
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return message.replace('\n', "; ");
    }
    if known == ["process", "mcp", "web"] {
        let nearest = sojourn_tools::nearest(wrong, known.iter().copied());
        let meant = nearest.map(|name| format!("; did you mean `{name}`?"));
        return format!(
            "unknown kind of environment `{wrong}`{}",
            meant.unwrap_or_else(|| format!(
                "; kinds are {}; an environment that has a name is written `environment = \"{wrong}\"`",
                list(known)
            ))
        );
    }
    match sojourn_tools::nearest(wrong, known.iter().copied()) {
        Some(nearest) => format!("unknown {what} `{wrong}`; did you mean `{nearest}`?"),
        None => format!("unknown {what} `{wrong}`; known are {}", list(known)),
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
