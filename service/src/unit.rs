//! The systemd user unit of the daemon.

use std::fmt::Write as _;
use std::path::Path;

/// What the unit starts.
#[derive(Debug, Clone)]
pub struct Unit<'a> {
    /// This program.
    pub program: &'a Path,
    /// The home that it serves, absolute.
    pub home: &'a Path,
    /// Further arguments of `sojourn up`.
    pub arguments: &'a [String],
    /// Seconds that runs have to finish their step.
    pub stop_seconds: u64,
}

impl Unit<'_> {
    /// The text of the unit's file.
    pub fn text(&self) -> String {
        let mut line = format!("{} --home {} up", quoted(self.program), quoted(self.home));
        for argument in self.arguments {
            let _ = write!(line, " {}", word(argument));
        }
        format!(
            "[Unit]\n\
             Description=Sojourn: agents that nobody watches\n\
             \n\
             [Service]\n\
             ExecStart={line}\n\
             ExecReload=/bin/kill -HUP $MAINPID\n\
             # Keys and tokens of agents, as NAME=value; readable by you alone.\n\
             EnvironmentFile=-%h/.config/sojourn/environment\n\
             Restart=on-failure\n\
             RestartSec=5\n\
             # The daemon stops its runs itself, and each finishes its step.\n\
             KillMode=mixed\n\
             TimeoutStopSec={}\n\
             \n\
             [Install]\n\
             WantedBy=default.target\n",
            self.stop_seconds.saturating_add(15)
        )
    }
}

fn quoted(path: &Path) -> String {
    word(&path.display().to_string())
}

/// A word of a command line of systemd. A percent sign and a dollar sign would be replaced, and quotes and backslashes read.
fn word(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    // A line break would begin another setting.
    let escaped = escaped.replace('\n', "\\n").replace('\r', "\\r");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=%$".contains(c);
    if !escaped.is_empty() && escaped.chars().all(is_plain) { escaped } else { format!("\"{escaped}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_in_a_path_begins_no_setting() {
        let home = Path::new("/home/ada\nExecStartPost=/bin/evil\r");
        let unit = Unit { program: Path::new("/sojourn"), home, arguments: &[], stop_seconds: 1 };
        let start = "ExecStart=/sojourn --home \"/home/ada\\nExecStartPost=/bin/evil\\r\" up\n";
        assert!(unit.text().contains(start), "{}", unit.text());
    }

    #[test]
    fn words_reach_the_program_as_they_are() {
        let unit = Unit {
            program: Path::new("/opt/my tools/sojourn"),
            home: Path::new("/home/ada/100%$HOME"),
            arguments: &["--runs".to_owned(), "2".to_owned()],
            stop_seconds: 45,
        };
        let text = unit.text();
        let start = "ExecStart=\"/opt/my tools/sojourn\" --home /home/ada/100%%$$HOME up --runs 2\n";
        assert!(text.contains(start) && text.contains("TimeoutStopSec=60\n"), "{text}");
    }
}
