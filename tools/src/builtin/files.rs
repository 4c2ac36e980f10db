use super::file_search::{Limits, search};
use super::truncate;
use crate::media::{MAX_MEDIA_BYTES, recognised};
use crate::schema::identifier;
use crate::{CallContext, Content, Effects, FixedSource, FunctionTool, Tool, ToolSpec};
use cap_std::fs::Dir;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Limit on the text that one `read` returns, in characters.
const READ: usize = 20_000;
/// Limit on the size of a text file that is opened, in bytes.
const LARGEST: u64 = 10 << 20;
/// The beginning of a file that shows what it is, in bytes.
const HEAD: u64 = 64;
/// Limit on the entries of one listing and on the matches of one search.
pub(super) const LISTED: usize = 500;

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
        let tool = |operation: Operation, called, about: &str, effects, input| -> Arc<dyn Tool> {
            let spec =
                ToolSpec { effects, ..ToolSpec::new(identifier(name, called), about).with_input(input) };
            let root = Arc::clone(&root);
            let name = spec.name.clone();
            Arc::new(FunctionTool::with_spec(spec, move |args, context| {
                operation.run(Arc::clone(&root), args, context, name.clone())
            }))
        };
        let mut tools = vec![
            tool(Operation::List, "list", "lists a directory", reads, object(json!({"path": path}), &[])),
            tool(
                Operation::Read,
                "read",
                "reads a text file; of a picture or a sound it gives the handle",
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

impl Operation {
    async fn run(
        self,
        root: Arc<Dir>,
        args: Map<String, Value>,
        context: CallContext,
        tool: String,
    ) -> Result<Content, String> {
        let text = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (path, words) = (text("path"), text("text"));
        // Dropping this future drops `alive`, and the search then stops.
        let alive = Arc::new(());
        let wanted = Arc::downgrade(&alive);
        let done = tokio::task::spawn_blocking(move || match self {
            Self::List => list(&root, &path).map(Content::text),
            Self::Read => match read_any(&root, &path)? {
                File::Text(text) => Ok(Content::text(truncate(&text, READ))),
                File::Media(bytes, mime) => context.keep(bytes, mime, &tool).map_err(io::Error::other),
            },
            Self::Search => {
                let may_read = |file: &str| {
                    let mut part = args.clone();
                    part.insert("path".to_owned(), file.into());
                    context.allows_part.as_ref().is_none_or(|allows| allows(&part))
                };
                let limits = Limits { wanted: &|| wanted.strong_count() > 0, may_read: &may_read };
                search(&root, &path, &words, &limits).map(Content::text)
            }
            Self::Write => write(&root, &path, &words).map(Content::text),
        });
        let done = done.await;
        drop(alive);
        done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

/// What a file holds.
enum File {
    Text(String),
    /// The bytes of a picture or a sound, and their type.
    Media(Vec<u8>, &'static str),
}

pub(super) fn read(root: &Dir, path: &str) -> io::Result<String> {
    match read_any(root, path)? {
        File::Text(text) => Ok(text),
        File::Media(..) => Err(io::Error::other("this is not a text file")),
    }
}

fn read_any(root: &Dir, path: &str) -> io::Result<File> {
    let about = root.metadata(path)?;
    regular(&about)?;
    let mut file = root.open(path)?;
    let mut bytes = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut bytes)?;
    let mime = recognised(&bytes);
    let limit = if mime.is_some() { MAX_MEDIA_BYTES as u64 } else { LARGEST };
    let size = about.len();
    if size > limit {
        return Err(io::Error::other(format!("the file has {size} bytes; the limit is {limit}")));
    }
    // The file may grow meanwhile.
    file.take(limit - bytes.len() as u64).read_to_end(&mut bytes)?;
    // A text may begin like a picture: "GIF89a is a format".
    let is_text = !bytes.contains(&0) && std::str::from_utf8(&bytes).is_ok();
    match mime {
        Some(mime) if !is_text => Ok(File::Media(bytes, mime)),
        _ => String::from_utf8(bytes).map(File::Text).map_err(|_| {
            io::Error::other("this is neither a text file nor a known kind of picture or sound")
        }),
    }
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
