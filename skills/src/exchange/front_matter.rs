//! The head of a `SKILL.md`, between two lines of `---`.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Fields of the Agent Skills specification, with its limits.
const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 1024;

/// What the head says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontMatter {
    /// The folder's name.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// A licence's name.
    #[serde(default)]
    pub license: Option<String>,
    /// What it needs.
    #[serde(default)]
    pub compatibility: Option<String>,
    /// Tools that it may use; of other runtimes, and ignored.
    #[serde(default, rename = "allowed-tools")]
    pub allowed_tools: Option<String>,
    /// Anything else.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

impl FrontMatter {
    /// Reads the head of a text.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("---").ok_or("it does not start with front matter (`---`)")?;
        let (head, _) = rest.split_once("\n---").ok_or("its front matter is not closed by `---`")?;
        // One line: the parser's picture of the place is for terminals.
        let parsed: Self = serde_saphyr::from_str(head).map_err(|error| {
            let text = error.to_string();
            format!("its front matter is not as it must be: {}", text.lines().next().unwrap_or_default())
        })?;
        parsed.check()?;
        Ok(parsed)
    }

    fn check(&self) -> Result<(), String> {
        let Self { name, description, .. } = self;
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if name.is_empty() || name.chars().count() > MAX_NAME || !plain {
            return Err(format!("the name `{}` is not 1 to {MAX_NAME} of a-z, 0-9 and `-`", shown(name)));
        }
        if name.starts_with('-') || name.ends_with('-') || name.contains("--") {
            return Err(format!("the name `{name}` starts or ends with `-`, or has two in a row"));
        }
        if description.trim().is_empty() || description.chars().count() > MAX_DESCRIPTION {
            return Err(format!("the description is empty or longer than {MAX_DESCRIPTION} characters"));
        }
        Ok(())
    }

    /// The head as text. Every value is quoted, so that none is taken for something else.
    pub fn render(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(flat(text)).to_string();
        let mut head = format!("---\nname: {}\ndescription: {}\n", self.name, quoted(&self.description));
        if let Some(license) = &self.license {
            head += &format!("license: {}\n", quoted(license));
        }
        if !self.metadata.is_empty() {
            head += "metadata:\n";
            for (key, value) in &self.metadata {
                head += &format!("  {key}: {}\n", quoted(value));
            }
        }
        head + "---\n"
    }
}

/// The description as the specification allows it.
pub fn describe(text: &str) -> String {
    flat(text).chars().take(MAX_DESCRIPTION).collect()
}

/// On one line, and without what some readers take for the end of the head.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("---", "–")
}

/// The beginning of something from elsewhere, without what would disturb a terminal.
pub fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}
