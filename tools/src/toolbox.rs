use crate::declared_effects::DeclaredEffects;
use crate::media::{MAX_MEDIA_OF_A_RESULT, MediaError, MediaStore};
use crate::outside::json;
use crate::outside::schema::{keep_patterns, validator};
use crate::schema::identifier;
use crate::spec::with_defaults;
use crate::{CallContext, Content, Tool, ToolCall, ToolError, ToolOutcome, ToolSource, ToolSpec};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a cancelled tool may take to stop before its task is aborted.
const GRACE: Duration = Duration::from_millis(500);
/// The longest time limit that a tool may have, whatever its source declares.
const MAX_TIMEOUT: Duration = Duration::from_hours(1);

/// Limit on the name of a tool, in bytes: it stands in every prompt that offers it.
const MAX_NAME: usize = 200;
/// Characters of a longer one that a notice shows.
const SHOWN: usize = 60;
/// Limit on the patterns in the schemas of one source.
const SOURCE_PATTERNS: usize = 256;

/// Limits on every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Time limit for tools that declare none.
    pub timeout: Duration,
    /// Limit on the size of a result, in bytes. Kept media does not count; elsewhere images and audio count in base64.
    pub result_bytes: usize,
}

impl CallLimits {
    /// Default limit on the size of a result, in bytes. Messages from peers may have four times as many,
    /// independently of a toolbox's limits.
    pub const RESULT_BYTES: usize = 4 << 20;
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_mins(1), result_bytes: Self::RESULT_BYTES }
    }
}

/// All tools of one agent. Every call is validated and bounded here.
///
/// A tool that hangs, panics or returns too much fails its own call and nothing else.
#[derive(Default)]
pub struct Toolbox {
    sources: Vec<Arc<dyn ToolSource>>,
    limits: CallLimits,
    registry: Mutex<ToolRegistry>,
}

/// The tools found by the last refresh.
#[derive(Default)]
struct ToolRegistry {
    entries: BTreeMap<String, Entry>,
    /// Rejected tools, by source and name: duplicate names, names of other sources and invalid schemas. Each is reported once.
    rejected: BTreeMap<String, String>,
    /// Notices of the first refresh, kept for the first caller of `refresh`.
    pending_notices: Vec<String>,
    /// The strictest effects that the tool of a name has declared.
    strictest: DeclaredEffects,
}

#[derive(Clone)]
struct Entry {
    tool: Arc<dyn Tool>,
    /// The tool's description. Its effects are the strictest that were declared under its name.
    spec: ToolSpec,
    validator: Arc<jsonschema::Validator>,
}

/// Changes since the last refresh.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolChanges {
    /// Tools that are new or whose spec has changed.
    pub appeared: Vec<ToolSpec>,
    /// Names of removed tools.
    pub vanished: Vec<String>,
    /// Other events reported by the sources.
    pub notices: Vec<String>,
}

impl ToolChanges {
    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.appeared.is_empty() && self.vanished.is_empty() && self.notices.is_empty()
    }
}

/// Why a call is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No tool has this name.
    #[error("no tool named `{name}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// The requested name.
        name: String,
        /// The most similar existing name.
        nearest: Option<String>,
    },
    /// The arguments do not satisfy the schema.
    #[error("bad arguments for `{name}`: {reason}")]
    BadArguments {
        /// Name of the tool.
        name: String,
        /// The first violation.
        reason: String,
    },
}

/// A call of an existing tool with valid arguments.
pub struct ValidatedCall {
    tool: Arc<dyn Tool>,
    spec: ToolSpec,
    args: Map<String, Value>,
    limits: CallLimits,
}

impl Toolbox {
    /// A toolbox with these sources. A name that begins with the name of a source belongs to that source alone, with the
    /// longest if several fit. If two sources offer the same name otherwise, the first one wins.
    pub fn new(sources: Vec<Arc<dyn ToolSource>>, limits: CallLimits) -> Self {
        let toolbox = Self { sources, limits, registry: Mutex::default() };
        let first = toolbox.refresh();
        toolbox.registry.lock().unwrap_or_else(PoisonError::into_inner).pending_notices = first.notices;
        toolbox
    }

    /// Lists the tools of all sources again and returns the differences.
    pub fn refresh(&self) -> ToolChanges {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changes =
            ToolChanges { notices: std::mem::take(&mut registry.pending_notices), ..ToolChanges::default() };
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        let mut rejected = BTreeMap::new();
        let mut strictest = std::mem::take(&mut registry.strictest);
        let prefixes: Vec<String> = self.sources.iter().map(|source| identifier("", source.name())).collect();
        for (at, (source, prefix)) in self.sources.iter().zip(&prefixes).enumerate() {
            changes.notices.extend(source.notices());
            if let Some(rival) = prefixes[..at].iter().position(|other| other == prefix) {
                let rival = self.sources[rival].name();
                let text = format!(
                    "the source `{0}` is skipped: its tools would have the names of those of `{rival}`; rename it",
                    source.name()
                );
                rejected.insert(format!("{at}/{}", source.name()), text);
                continue;
            }
            let mut patterns = SOURCE_PATTERNS;
            for tool in source.tools() {
                let name = tool.spec().name.clone();
                if name.len() > MAX_NAME {
                    let shown: String = name.chars().take(SHOWN).collect();
                    let text = format!(
                        "`{shown}…` of `{}` is skipped: its name has more than {MAX_NAME} bytes",
                        source.name()
                    );
                    rejected.insert(format!("{}/{shown}", source.name()), text);
                    continue;
                }
                if let Some(owner) = owner_of(&name, &prefixes).filter(|owner| *owner != prefix) {
                    rejected.insert(
                        format!("{}/{name}", source.name()),
                        format!(
                            "`{name}` of `{}` is skipped: names that begin like this belong to the source `{owner}`",
                            source.name()
                        ),
                    );
                    continue;
                }
                if entries.contains_key(&name) {
                    rejected.insert(
                        format!("{}/{name}", source.name()),
                        format!(
                            "`{name}` of `{}` is skipped: another source has a tool of this name",
                            source.name()
                        ),
                    );
                    continue;
                }
                let declared = tool.spec().effects;
                let effects = strictest.declare(&name, source.declared_effects(tool.spec()));
                if effects != declared {
                    let text =
                        format!("`{name}` says now that it does less than before; the stricter effects hold");
                    rejected.insert(format!("{}/{name} effects", source.name()), text);
                }
                let spec = ToolSpec { effects, ..tool.spec().clone() };
                // What the program does not check, the tool's server checks itself.
                let mut schema = spec.input_schema();
                keep_patterns(&mut schema, &mut patterns);
                match registry.entries.get(&name).filter(|entry| entry.spec == spec) {
                    Some(known) => {
                        entries.insert(name, Entry { tool, spec, validator: Arc::clone(&known.validator) });
                    }
                    None => match validator(&schema) {
                        Ok(validator) => {
                            changes.appeared.push(spec.clone());
                            entries.insert(name, Entry { tool, spec, validator: Arc::new(validator) });
                        }
                        Err(error) => {
                            rejected.insert(
                                format!("{}/{name}", source.name()),
                                format!(
                                    "`{name}` of `{}` is skipped: its JSON Schema is not valid: {error}",
                                    source.name()
                                ),
                            );
                        }
                    },
                }
            }
        }
        changes.vanished =
            registry.entries.keys().filter(|name| !entries.contains_key(*name)).cloned().collect();
        let new = rejected.iter().filter(|(key, text)| registry.rejected.get(*key) != Some(text));
        changes.notices.extend(new.map(|(_, text)| text.clone()));
        *registry = ToolRegistry { entries, rejected, pending_notices: Vec::new(), strictest };
        changes
    }

    /// Takes over the effects that tools declared earlier in a run: a tool of the same name never counts as doing less.
    pub fn hold_effects<'a>(&self, known: impl IntoIterator<Item = &'a ToolSpec>) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        for spec in known {
            registry.strictest.declare(&spec.name, spec.effects);
        }
    }

    /// Specs of the tools found by the last refresh, sorted by name.
    pub fn specs(&self) -> Vec<ToolSpec> {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.entries.values().map(|entry| entry.spec.clone()).collect()
    }

    /// Finds the tool, fills in defaults and validates the arguments.
    ///
    /// # Errors
    /// No tool has this name, or the arguments do not satisfy its schema.
    pub fn validate(&self, call: &ToolCall) -> Result<ValidatedCall, Refusal> {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = registry.entries.get(&call.name) else {
            let nearest = nearest(&call.name, registry.entries.keys().map(String::as_str));
            return Err(Refusal::Unknown { name: call.name.clone(), nearest });
        };
        let spec = &entry.spec;
        let value = arguments(spec, &call.args, &entry.validator);
        if let Err(error) = entry.validator.validate(&value) {
            let at = error.instance_path().to_string();
            let place = if at.is_empty() { String::new() } else { format!("`{at}`: ") };
            return Err(Refusal::BadArguments { name: call.name.clone(), reason: format!("{place}{error}") });
        }
        let Value::Object(args) = value else { unreachable!("built as an object above") };
        Ok(ValidatedCall { tool: Arc::clone(&entry.tool), spec: spec.clone(), args, limits: self.limits })
    }

    /// Stops everything that the sources started.
    pub async fn close(&self) {
        for source in &self.sources {
            source.close().await;
        }
    }
}

/// The source whose prefix the name has, the longest if there are several. A server chooses the names of its tools, and must
/// not take those that rules of the policy mean for another source.
fn owner_of<'a>(name: &str, prefixes: &'a [String]) -> Option<&'a String> {
    let owns = |prefix: &&String| {
        name.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    prefixes.iter().filter(owns).max_by_key(|prefix| prefix.len())
}

/// Limit on the violations that are looked at to find the arguments that should be left out.
const MAX_VIOLATIONS: usize = 100;

/// The arguments of a call with the defaults of those that were left out.
///
/// An explicit `null` is passed on where the schema allows it. Elsewhere a `null` for an optional argument means that it was
/// left out, and a default that the schema refuses is not used.
fn arguments(spec: &ToolSpec, given: &Map<String, Value>, validator: &jsonschema::Validator) -> Value {
    let may_be_left_out = |name: &str| {
        spec.parameters
            .iter()
            .any(|parameter| parameter.name == name && parameter.default == Some(Value::Null))
    };
    let mut args = with_defaults(&spec.parameters, given.clone());
    args.retain(|name, value| given.contains_key(name) || !value.is_null() || !may_be_left_out(name));
    let value = Value::Object(args);
    let violations =
        validator.iter_errors(&value).take(MAX_VIOLATIONS).map(|error| error.instance_path().to_string());
    let violations: Vec<String> = violations.collect();
    if violations.is_empty() {
        return value;
    }
    let refused = |name: &str| {
        let name = name.replace('~', "~0").replace('/', "~1");
        violations.iter().any(|path| path.split('/').nth(1) == Some(name.as_str()))
    };
    let is_null = |name: &str, value: &Value| value.is_null() && may_be_left_out(name);
    let Value::Object(mut args) = value else { return value };
    args.retain(|name, value| !refused(name) || (given.contains_key(name) && !is_null(name, value)));
    let value = Value::Object(args);
    if validator.is_valid(&value) {
        return value;
    }
    // A violation of the whole names no argument.
    let Value::Object(mut args) = value.clone() else { return value };
    args.retain(|name, value| !is_null(name, value));
    let without = Value::Object(args);
    if validator.is_valid(&without) { without } else { value }
}

impl ValidatedCall {
    /// Spec of the called tool.
    pub fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    /// Arguments, with defaults filled in.
    pub fn args(&self) -> &Map<String, Value> {
        &self.args
    }

    /// Carries out the call. There is always an outcome, whatever the tool does.
    pub async fn run(self, context: CallContext) -> ToolOutcome {
        self.try_run(context).await.unwrap_or_else(|error| ToolOutcome::failed(error.to_string()))
    }

    /// As [`run`](Self::run), but keeps the error of a tool that could not carry out the call at all.
    ///
    /// # Errors
    /// The tool failed, exceeded its time limit, or the call was cancelled.
    pub async fn try_run(self, context: CallContext) -> Result<ToolOutcome, ToolError> {
        let Self { tool, spec, args, limits } = self;
        let name = spec.name;
        let timeout = spec.timeout_ms.map_or(limits.timeout, Duration::from_millis).min(MAX_TIMEOUT);
        let cancel = context.cancel.clone();
        let media = context.media.clone();
        // A separate task contains panics.
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
        let outcome = match (result?, media) {
            (outcome, Some(media)) if outcome.has_media() => {
                // Long texts are decoded and hashed.
                let kept = tokio::task::spawn_blocking({
                    let name = name.clone();
                    move || outcome.with_media_kept(&*media, &name)
                });
                kept.await.map_err(|_| ToolError::Failed {
                    name,
                    reason: "its pictures could not be kept".to_owned(),
                })?
            }
            (outcome, _) => outcome,
        };
        Ok(outcome.bounded(limits.result_bytes))
    }
}

impl ToolOutcome {
    fn has_media(&self) -> bool {
        let is_media = |part: &Content| {
            matches!(part, Content::Media(_) | Content::Image { .. } | Content::Audio { .. })
        };
        !self.about.is_empty() || self.content.iter().any(is_media)
    }

    /// The outcome with the pictures and sounds of its content in `store`. Handles that a tool made up are taken out.
    fn with_media_kept(mut self, store: &dyn MediaStore, tool: &str) -> Self {
        let known = |media: &crate::Media| store.find(&format!("media:{}", media.blob));
        self.about =
            self.about.iter().take(MAX_MEDIA_OF_A_RESULT).filter_map(|media| known(media).ok()).collect();
        let mut left = MAX_MEDIA_OF_A_RESULT;
        let mut keep = |data: &str, mime: &str| {
            left =
                left.checked_sub(1).ok_or_else(|| format!("a result has at most {MAX_MEDIA_OF_A_RESULT}"))?;
            let bytes = STANDARD.decode(data).map_err(|error| format!("its base64 is damaged: {error}"))?;
            store.put(bytes, mime, tool).map_err(|error: MediaError| error.to_string())
        };
        let parts = self.content.into_iter().map(|part| {
            let (what, kept) = match &part {
                Content::Image { data, mime } => ("picture", keep(data, mime)),
                Content::Audio { data, mime } => ("sound", keep(data, mime)),
                Content::Media(media) => ("picture", known(media).map_err(|error| error.to_string())),
                _ => return part,
            };
            match kept {
                Ok(media) => Content::Media(media),
                Err(reason) => Content::text(format!("[a {what} was left out: {reason}]")),
            }
        });
        self.content = parts.collect();
        self
    }

    /// The outcome itself if it has at most `bytes` bytes; otherwise a failure with the beginning of its
    /// text. A value that nests too deep for the log is cut there. `null` is no value: the log could not tell the two apart.
    #[must_use]
    pub fn bounded(mut self, bytes: usize) -> Self {
        self.value = self.value.filter(|value| !value.is_null());
        if let Some(value) = &mut self.value {
            json::limit_depth(value, json::MAX_DEPTH);
        }
        let value = self.value.as_ref().map_or(0, |value| value.to_string().len());
        let shown: usize = self.content.iter().map(Content::bytes).sum();
        let total = self.message.len() + value + shown;
        if total <= bytes {
            return self;
        }
        let kept: String = self.to_text().chars().take(2000).collect();
        Self {
            content: vec![Content::text(kept)],
            ..Self::failed(format!(
                "the result has {total} bytes; the limit is {bytes}; this is its beginning"
            ))
        }
    }

    /// The outcome as text: its message, then its content, and its value if the content has no text.
    pub fn to_text(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        if !self.message.is_empty() {
            lines.push(self.message.clone());
        }
        lines.extend(self.content.iter().map(Content::to_text));
        let is_text =
            |content: &Content| matches!(content, Content::Text { text } if !text.trim().is_empty());
        if !self.content.iter().any(is_text) {
            lines.extend(self.value.as_ref().map(ToString::to_string));
        }
        lines.join("\n")
    }
}

/// The most similar name, if it is similar enough for a typing error.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    names
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}
