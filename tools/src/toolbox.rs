use crate::spec::with_defaults;
use crate::{CallContext, Content, Tool, ToolCall, ToolError, ToolOutcome, ToolSource, ToolSpec};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a tool that was told to stop may take to do so.
const GRACE: Duration = Duration::from_millis(500);

/// What every call is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// How long a call may take, where its tool does not say.
    pub timeout: Duration,
    /// Bytes that a result may have, pictures and sounds in base64 included.
    pub result_bytes: usize,
}

impl CallLimits {
    /// Bytes that a result may have where nobody says otherwise. Peers are held to messages of four times as many, whatever
    /// the limits of a toolbox are.
    pub const RESULT_BYTES: usize = 4 << 20;
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_mins(1), result_bytes: Self::RESULT_BYTES }
    }
}

/// The tools of one agent, from all its sources. Every call passes through it and is checked here.
///
/// A tool that hangs, panics or answers with too much costs its call and nothing else.
#[derive(Default)]
pub struct Toolbox {
    sources: Vec<Arc<dyn ToolSource>>,
    limits: CallLimits,
    shelf: Mutex<Shelf>,
}

/// What the sources offered when they were last asked.
#[derive(Default)]
struct Shelf {
    entries: BTreeMap<String, Entry>,
    /// Names offered twice, or with a schema that is none: said once.
    complaints: BTreeMap<String, String>,
    /// What the first look found out, before there was anybody to tell.
    untold: Vec<String>,
}

#[derive(Clone)]
struct Entry {
    tool: Arc<dyn Tool>,
    validator: Arc<jsonschema::Validator>,
}

/// What has changed since the toolbox was last looked into.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Tools that are new, or differ from what they were.
    pub appeared: Vec<ToolSpec>,
    /// Names of those that are gone.
    pub vanished: Vec<String>,
    /// What else happened to the sources.
    pub notices: Vec<String>,
}

impl Changes {
    /// Whether nothing has.
    pub fn is_empty(&self) -> bool {
        self.appeared.is_empty() && self.vanished.is_empty() && self.notices.is_empty()
    }
}

/// Why a call was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such tool; the nearest name is offered.
    #[error("no tool named `{name}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// The name that was called.
        name: String,
        /// The most similar name there is.
        nearest: Option<String>,
    },
    /// The arguments do not fit the schema.
    #[error("bad arguments for `{name}`: {reason}")]
    BadArguments {
        /// The tool.
        name: String,
        /// The first thing that does not fit.
        reason: String,
    },
}

/// A call whose tool is there and whose arguments fit.
pub struct ReadyCall {
    tool: Arc<dyn Tool>,
    args: Map<String, Value>,
    limits: CallLimits,
}

impl Toolbox {
    /// A toolbox with these sources; names that two of them offer belong to the first.
    pub fn new(sources: Vec<Arc<dyn ToolSource>>, limits: CallLimits) -> Self {
        let toolbox = Self { sources, limits, shelf: Mutex::default() };
        let first = toolbox.look();
        toolbox.shelf.lock().unwrap_or_else(PoisonError::into_inner).untold = first.notices;
        toolbox
    }

    /// Asks the sources again and says what is different.
    pub fn look(&self) -> Changes {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changes = Changes { notices: std::mem::take(&mut shelf.untold), ..Changes::default() };
        let mut entries = BTreeMap::new();
        let mut complaints = BTreeMap::new();
        for source in &self.sources {
            changes.notices.extend(source.notices());
            for tool in source.tools() {
                let name = tool.spec().name.clone();
                if entries.contains_key(&name) {
                    complaints.insert(
                        format!("{}/{name}", source.name()),
                        format!("`{name}` of `{}` is left out: the name is taken", source.name()),
                    );
                    continue;
                }
                match shelf.entries.get(&name).filter(|entry| entry.tool.spec() == tool.spec()) {
                    Some(known) => {
                        entries.insert(name, Entry { tool, validator: Arc::clone(&known.validator) });
                    }
                    None => match jsonschema::validator_for(&tool.spec().input_schema()) {
                        Ok(validator) => {
                            changes.appeared.push(tool.spec().clone());
                            entries.insert(name, Entry { tool, validator: Arc::new(validator) });
                        }
                        Err(error) => {
                            complaints.insert(
                                format!("{}/{name}", source.name()),
                                format!(
                                    "`{name}` of `{}` is left out: its schema is not one: {error}",
                                    source.name()
                                ),
                            );
                        }
                    },
                }
            }
        }
        changes.vanished =
            shelf.entries.keys().filter(|name| !entries.contains_key(*name)).cloned().collect();
        let new = complaints.iter().filter(|(key, text)| shelf.complaints.get(*key) != Some(text));
        changes.notices.extend(new.map(|(_, text)| text.clone()));
        *shelf = Shelf { entries, complaints, untold: Vec::new() };
        changes
    }

    /// The tools that were there at the last look, by name.
    pub fn specs(&self) -> Vec<ToolSpec> {
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.entries.values().map(|entry| entry.tool.spec().clone()).collect()
    }

    /// Finds the tool, fills in defaults and validates.
    ///
    /// # Errors
    /// When there is no such tool, or the arguments do not fit its schema.
    pub fn ready(&self, call: &ToolCall) -> Result<ReadyCall, Refusal> {
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = shelf.entries.get(&call.name) else {
            let nearest = nearest(&call.name, shelf.entries.keys().map(String::as_str));
            return Err(Refusal::Unknown { name: call.name.clone(), nearest });
        };
        let spec = entry.tool.spec();
        let mut args = with_defaults(&spec.parameters, call.args.clone());
        // A parameter that may be left out has no value rather than none.
        args.retain(|name, value| {
            !value.is_null()
                || !spec.parameters.iter().any(|p| p.name == *name && p.default == Some(Value::Null))
        });
        let value = Value::Object(args);
        if let Err(error) = entry.validator.validate(&value) {
            let at = error.instance_path().to_string();
            let place = if at.is_empty() { String::new() } else { format!("`{at}`: ") };
            return Err(Refusal::BadArguments { name: call.name.clone(), reason: format!("{place}{error}") });
        }
        let Value::Object(args) = value else { unreachable!("built as an object above") };
        Ok(ReadyCall { tool: Arc::clone(&entry.tool), args, limits: self.limits })
    }

    /// Ends what the sources started.
    pub async fn close(&self) {
        for source in &self.sources {
            source.close().await;
        }
    }
}

impl ReadyCall {
    /// The tool as it describes itself.
    pub fn spec(&self) -> &ToolSpec {
        self.tool.spec()
    }

    /// Its arguments, defaults filled in.
    pub fn args(&self) -> &Map<String, Value> {
        &self.args
    }

    /// Carries it out. Whatever the tool does, there is an outcome.
    pub async fn run(self, context: CallContext) -> ToolOutcome {
        let Self { tool, args, limits } = self;
        let name = tool.spec().name.clone();
        let timeout = tool.spec().timeout_ms.map_or(limits.timeout, Duration::from_millis);
        let cancel = context.cancel.clone();
        // A task of its own: a panic ends there.
        let mut task = tokio::spawn(async move { tool.call(&args, &context).await });
        let stop = async {
            tokio::select! {
                () = tokio::time::sleep(timeout) => ToolError::Timeout { name: name.clone(), seconds: timeout.as_secs_f64() },
                () = cancel.cancelled() => ToolError::Cancelled { name: name.clone() },
            }
        };
        let result = tokio::select! {
            done = &mut task => done.unwrap_or_else(|_| {
                Err(ToolError::Failed { name: name.clone(), reason: "it panicked".to_owned() })
            }),
            error = stop => {
                cancel.cancel();
                if tokio::time::timeout(GRACE, &mut task).await.is_err() {
                    task.abort();
                }
                Err(error)
            }
        };
        match result {
            Ok(outcome) => outcome.within(limits.result_bytes),
            Err(error) => ToolOutcome::failed(error.to_string()),
        }
    }
}

impl ToolOutcome {
    /// It, unless it is larger than so many bytes: then what is wrong, and the beginning of what it says.
    #[must_use]
    pub fn within(self, bytes: usize) -> Self {
        let value = self.value.as_ref().map_or(0, |value| value.to_string().len());
        let shown: usize = self.content.iter().map(Content::bytes).sum();
        let total = self.message.len() + value + shown;
        if total <= bytes {
            return self;
        }
        let kept: String = self.words().chars().take(2000).collect();
        Self {
            content: vec![Content::text(kept)],
            ..Self::failed(format!("the result has {total} bytes, of at most {bytes}; this is its beginning"))
        }
    }

    /// What it says in words: its message, then its content, or else its value.
    pub fn words(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        if !self.message.is_empty() {
            lines.push(self.message.clone());
        }
        lines.extend(self.content.iter().map(Content::as_words));
        if self.content.is_empty() {
            lines.extend(self.value.as_ref().map(ToString::to_string));
        }
        lines.join("\n")
    }
}

/// The name among `names` most like `name`, if any is close enough to be a slip of the pen.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    names
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}
