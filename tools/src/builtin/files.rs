use super::truncate;
use crate::schema::identifier;
use crate::{CallContext, Content, Effects, FixedSource, Tool, ToolError, ToolOutcome, ToolSpec};
use async_trait::async_trait;
use cap_std::fs::Dir;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Limit on the text that one `read` returns, in characters.
const READ: usize = 20_000;
/// Limit on the size of a file that is opened, in bytes.
const LARGEST: u64 = 10 << 20;
/// Limit on the entries of one listing and on the matches of one search.
const LISTED: usize = 500;

/// `[tools.NAME]` with `kind = "files"`: a directory to read, and to write if `write` is set. Neither `..`
/// nor a symbolic link reaches a file outside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesSettings {
    /// The directory. A relative path starts at the agent file's folder.
    pub root: PathBuf,
    /// Adds the tool `NAME_write`. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub write: bool,
}

#[derive(Clone, Copy)]
enum Operation {
    List,
    Read,
    Search,
    Write,
}

struct FileTool {
    spec: ToolSpec,
    operation: Operation,
    root: Arc<Dir>,
}

impl FilesSettings {
    /// Opens the directory and builds the tools `NAME_list`, `NAME_read`, `NAME_search` and, if granted,
    /// `NAME_write`.
    ///
    /// # Errors
    /// The directory cannot be opened.
    pub fn open(self, name: &str, directory: &Path) -> Result<FixedSource, String> {
        let path = directory.join(&self.root);
        let root = Dir::open_ambient_dir(&path, cap_std::ambient_authority())
            .map_err(|error| format!("the directory `{}` cannot be opened: {error}", path.display()))?;
        let root = Arc::new(root);
        let text = json!({"type": "string"});
        let path = json!({"type": "string", "default": "."});
        let object = |properties: Value, required: &[&str]| json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
        let reads = Effects { idempotent: true, ..Effects::default() };
        let writes = Effects { write: true, idempotent: true, ..Effects::default() };
        let tool = |operation, called, about: &str, effects, input| -> Arc<dyn Tool> {
            let spec =
                ToolSpec { effects, ..ToolSpec::new(identifier(name, called), about).with_input(input) };
            Arc::new(FileTool { spec, operation, root: Arc::clone(&root) })
        };
        let mut tools = vec![
            tool(Operation::List, "list", "lists a directory", reads, object(json!({"path": path}), &[])),
            tool(
                Operation::Read,
                "read",
                "reads a text file",
                reads,
                object(json!({"path": text}), &["path"]),
            ),
            tool(
                Operation::Search,
                "search",
                "finds the lines that hold a text, in all files below a directory",
                reads,
                object(json!({"text": {"type": "string", "minLength": 1}, "path": path}), &["text"]),
            ),
        ];
        if self.write {
            let input = object(json!({"path": text, "text": text}), &["path", "text"]);
            tools.push(tool(
                Operation::Write,
                "write",
                "writes a text file, over the one that is there",
                writes,
                input,
            ));
        }
        Ok(FixedSource::new(name, tools))
    }
}

#[async_trait]
impl Tool for FileTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(
        &self,
        args: &Map<String, Value>,
        _context: &CallContext,
    ) -> Result<ToolOutcome, ToolError> {
        let text = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (root, operation, path, words) =
            (Arc::clone(&self.root), self.operation, text("path"), text("text"));
        let done = tokio::task::spawn_blocking(move || match operation {
            Operation::List => list(&root, &path),
            Operation::Read => read(&root, &path).map(|text| truncate(&text, READ)),
            Operation::Search => search(&root, &path, &words),
            Operation::Write => write(&root, &path, &words),
        });
        Ok(match done.await {
            Ok(Ok(text)) => ToolOutcome { content: vec![Content::text(text)], ..ToolOutcome::done("") },
            Ok(Err(error)) => ToolOutcome::failed(error.to_string()),
            Err(error) => {
                return Err(ToolError::Failed { name: self.spec.name.clone(), reason: error.to_string() });
            }
        })
    }
}

fn read(root: &Dir, path: &str) -> io::Result<String> {
    let about = root.metadata(path)?;
    regular(&about)?;
    let size = about.len();
    if size > LARGEST {
        return Err(io::Error::other(format!("the file has {size} bytes; the limit is {LARGEST}")));
    }
    let bytes = root.read(path)?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("this is not a text file"))
}

/// Refuses pipes and devices: opening one may block forever or have side effects.
fn regular(about: &cap_std::fs::Metadata) -> io::Result<()> {
    if about.is_file() { Ok(()) } else { Err(io::Error::other("this is not a regular file")) }
}

fn list(root: &Dir, path: &str) -> io::Result<String> {
    let mut names = Vec::new();
    let mut left_out = 0;
    for entry in root.read_dir(path)? {
        let entry = entry?;
        if names.len() == LISTED {
            left_out += 1;
            continue;
        }
        let end = if entry.file_type()?.is_dir() { "/" } else { "" };
        names.push(format!("{}{end}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    if left_out > 0 {
        names.push(format!("[{left_out} more are not shown]"));
    }
    Ok(names.join("\n"))
}

fn search(root: &Dir, path: &str, text: &str) -> io::Result<String> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(path)];
    while let Some(directory) = open.pop() {
        let entries = match root.read_dir(&directory) {
            Ok(entries) => entries,
            // An unreadable subdirectory does not end the search of the others.
            Err(_) if directory != Path::new(path) => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let path = directory.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file()
                && let Some(name) = path.to_str()
                // Binary and oversized files are skipped.
                && let Ok(content) = read(root, name)
            {
                let lines = content.lines().enumerate().filter(|(_, line)| line.contains(text));
                found.extend(lines.map(|(number, line)| format!("{name}:{}: {}", number + 1, line.trim())));
                if found.len() >= LISTED {
                    found.truncate(LISTED);
                    found.push(format!("[only the first {LISTED} are shown]"));
                    return Ok(found.join("\n"));
                }
            }
        }
    }
    Ok(if found.is_empty() { "nothing found".to_owned() } else { found.join("\n") })
}

fn write(root: &Dir, path: &str, text: &str) -> io::Result<String> {
    if let Some(parent) = Path::new(path).parent() {
        root.create_dir_all(parent)?;
    }
    if let Ok(about) = root.metadata(path) {
        regular(&about)?;
    }
    root.write(path, text)?;
    Ok(format!("{} bytes written", text.len()))
}
