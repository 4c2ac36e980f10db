//! The options in a name: `minecraft?server=localhost:25565&version=1.16.5`.

use crate::provider::NAME;
use sojourn_tools::{EnvironmentUnavailable, nearest};

/// The names of the options.
const KNOWN: [&str; 3] = ["server", "version", "documented"];

/// How the world is to be run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Host and port of a server, instead of the small world.
    pub server: Option<String>,
    /// The server's version, where it does not say.
    pub version: Option<String>,
    /// Whether tasks and recipes are left out.
    pub undocumented: bool,
}

/// The options of a name that selects this environment; `None` for any other name.
pub(crate) fn query(name: &str) -> Option<&str> {
    let rest = name.strip_prefix(NAME)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('?') }
}

impl Options {
    /// Reads the part after the question mark.
    ///
    /// # Errors
    /// An option is unknown, or its value is not valid.
    pub fn parse(query: &str) -> Result<Self, EnvironmentUnavailable> {
        let mut options = Self::default();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match (name, value) {
                ("server", value) if is_address(value) => options.server = Some(value.to_owned()),
                ("server", value) => {
                    return Err(invalid(format!("`{value}` is no server of the form HOST:PORT")));
                }
                ("version", value) if is_version(value) => options.version = Some(value.to_owned()),
                ("version", value) => {
                    return Err(invalid(format!("`{value}` is no version of Minecraft such as `1.16.5`")));
                }
                ("documented", "true") => options.undocumented = false,
                ("documented", "false") => options.undocumented = true,
                ("documented", value) => {
                    return Err(invalid(format!("`documented` is true or false, not `{value}`")));
                }
                _ => return Err(invalid(unknown(name))),
            }
        }
        Ok(options)
    }

    /// The arguments of the program.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        for (name, value) in [("--server", &self.server), ("--version", &self.version)] {
            arguments.extend(value.iter().flat_map(|value| [name.to_owned(), value.clone()]));
        }
        if self.undocumented {
            arguments.push("--undocumented".to_owned());
        }
        arguments
    }
}

fn is_address(value: &str) -> bool {
    let Some((host, port)) = value.rsplit_once(':') else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    !host.is_empty()
        && !host.starts_with('-')
        && host.chars().all(plain)
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_version(value: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_digit())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
}

fn unknown(name: &str) -> String {
    let meant =
        nearest(name, KNOWN.into_iter()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("`{NAME}` has no option `{name}`{meant}")
}

fn invalid(reason: String) -> EnvironmentUnavailable {
    EnvironmentUnavailable::Invalid {
        reason,
        remedy: format!(
            "for example `{NAME}?server=localhost:25565&version=1.16.5` or `{NAME}?documented=false`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_arguments_of_the_program() {
        let options = Options::parse("server=localhost:25565&version=1.16.5&documented=false").unwrap();
        assert_eq!(
            options.arguments(),
            ["--server", "localhost:25565", "--version", "1.16.5", "--undocumented"]
        );
        assert_eq!(Options::parse("").unwrap(), Options::default());
        assert_eq!(query("minecraft"), Some(""));
        assert_eq!(query("minecraft?documented=false"), Some("documented=false"));
        assert_eq!((query("minecrafty"), query("mine")), (None, None));
    }

    #[test]
    fn an_option_that_is_not_valid_is_refused_by_name() {
        for (query, part) in [
            ("servr=a:1", "no option `servr`; did you mean `server`?"),
            ("server=localhost", "`localhost` is no server of the form HOST:PORT"),
            ("server=--version:1", "is no server"),
            ("server=a:70000", "is no server"),
            ("version=new", "no version of Minecraft"),
            ("documented=no", "true or false, not `no`"),
        ] {
            let error = Options::parse(query).unwrap_err().to_string();
            assert!(error.contains(part), "{query}: {error}");
        }
    }
}
