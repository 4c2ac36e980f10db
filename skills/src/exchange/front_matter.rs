//! The front matter of a `SKILL.md`, between two lines of `---`.

use super::yaml::{self, Node};
use std::collections::BTreeMap;

/// Length limits of the Agent Skills specification, in characters.
const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 1024;

/// Fields of the front matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontMatter {
    /// Name of the folder.
    pub name: String,
    /// What the skill does and when to use it.
    pub description: String,
    /// Name of the licence.
    pub license: Option<String>,
    /// Further fields.
    pub metadata: BTreeMap<String, String>,
}

impl FrontMatter {
    /// Parses the front matter of `text`.
    ///
    /// # Errors
    /// The defect, as a clause about the file: "its front matter is not closed by `---`".
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("---").ok_or("it does not start with front matter (`---`)")?;
        let (head, _) = rest.split_once("\n---").ok_or("its front matter is not closed by `---`")?;
        let bad = |reason: String| format!("its front matter is not valid: {reason}");
        let mut fields = yaml::parse(head).map_err(bad)?;
        let metadata = match fields.remove("metadata") {
            Some(Node::Map(map)) => map,
            Some(Node::Text(_)) => return Err(bad("`metadata` is not a mapping".to_owned())),
            None => BTreeMap::new(),
        };
        let mut text = |name: &str| match fields.remove(name) {
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(Node::Map(_)) => Err(bad(format!("`{name}` is a mapping"))),
            None => Ok(None),
        };
        let required =
            |name: &str, value: Option<String>| value.ok_or_else(|| bad(format!("`{name}` is missing")));
        let parsed = Self {
            name: required("name", text("name")?)?,
            description: required("description", text("description")?)?,
            license: text("license")?,
            metadata,
        };
        // Fields for other runtimes; ignored.
        for field in ["allowed-tools", "compatibility"] {
            text(field)?;
        }
        if let Some(unknown) = fields.keys().next() {
            return Err(bad(format!("unknown field `{}`", shown(unknown))));
        }
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

    /// The front matter as text. Every value is quoted, so YAML cannot misread it.
    pub fn render(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(flat(text)).to_string();
        let mut head = format!("---\nname: {}\ndescription: {}\n", self.name, quoted(&self.description));
        if let Some(license) = &self.license {
            head.extend(["license: ", &quoted(license), "\n"]);
        }
        if !self.metadata.is_empty() {
            head += "metadata:\n";
            for (key, value) in &self.metadata {
                head.extend(["  ", key, ": ", &quoted(value), "\n"]);
            }
        }
        head + "---\n"
    }
}

/// The description, within the specification's limits.
pub fn describe(text: &str) -> String {
    flat(text).chars().take(MAX_DESCRIPTION).collect()
}

/// Text on one line, without `---`, which some readers take for the end of the front matter.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("---", "–")
}

/// The beginning of untrusted text, without control characters.
pub fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}
