mod actions;

pub use actions::ActionRuling;

use crate::outside::text::cut;
use crate::outside::url::{destinations, names};
use crate::{Effects, TimeoutAnswer, ToolSpec, Unanswered};
use globset::{Glob, GlobMatcher};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The longest text of a rule in a decision, in characters.
const LONGEST_RULE: usize = 300;
/// Limit on the places where a value that a rule allows leads elsewhere than it begins; with more, nothing is allowed.
const MOST_LED: usize = 64;

/// Decides which tool calls are allowed: the first rule that matches a call applies.
///
/// If no rule matches, a call that only reads is allowed and any other needs approval. An irreversible call
/// after untrusted tool output is allowed only by a rule with `after_untrusted`.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    rules: Vec<CompiledRule>,
    default: Option<PolicyVerdict>,
    trusted: Vec<GlobMatcher>,
}

/// A policy as written in a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Decision for calls that no rule matches. Default: calls that only read are allowed, all others are
    /// asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<PolicyVerdict>,
    /// Patterns of tool names whose output counts as the user's own words. `*` is a wildcard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted: Vec<String>,
    /// What happens to a call that the policy asks about where no person is at a terminal: `"deny"`; `"wait"`, the run waits for
    /// `sojourn approvals allow` or `deny`, for days and through restarts; `"continue"`, the call is not made now, the run goes on
    /// with other things, and is told when it is answered.
    ///
    /// Default: `"deny"`. Example: `unanswered = "wait"`.
    #[serde(default, skip_serializing_if = "Unanswered::is_deny")]
    pub unanswered: Unanswered,
    /// Milliseconds after which such a call is answered by `on_timeout`.
    ///
    /// Default: never. Example: `timeout_ms = 86_400_000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The answer after `timeout_ms`: `"deny"` or `"allow"`. A call that cannot be undone is denied all the same.
    ///
    /// Default: `"deny"`.
    #[serde(default, skip_serializing_if = "TimeoutAnswer::is_deny")]
    pub on_timeout: TimeoutAnswer,
    /// Rules in order of precedence.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// One rule. It matches a call that satisfies all of its conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Pattern of tool names, with `*` as a wildcard: `files_*`. Default: every tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Effect that the tool must have; `"read"` is a tool that only reads, without the network. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<EffectKind>,
    /// Regular expressions by argument name. Each must match the whole value; a value that is not a string is
    /// compared as JSON. An argument that is left out has its default.
    ///
    /// A rule that denies or asks matches whatever it cannot rule out: `.` matches line breaks too, and an argument
    /// that is absent or null matches. In a rule that allows, neither matches.
    ///
    /// Another spelling of a path or an address leads past no rule: a rule that denies or asks also sees what `./a`, `b/../a` or
    /// `HTTPS://HOST/%61` name, and a rule that allows must match what `a/../b` leads to as well.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// Decision for matching calls.
    pub then: PolicyVerdict,
    /// Applies the rule to irreversible calls even after untrusted tool output. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_untrusted: bool,
}

/// Decision about a call.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum PolicyVerdict {
    /// The call is made.
    Allow,
    /// A person is asked to approve the call.
    Ask,
    /// The call is refused.
    Deny,
}

/// Effect categories that rules distinguish. A call may belong to several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EffectKind {
    /// Only reads, without network access.
    Read,
    /// Changes something.
    Write,
    /// Uses the network.
    Network,
    /// Cannot be undone.
    Irreversible,
}

/// A policy's decision about one call, with its origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The decision.
    pub verdict: PolicyVerdict,
    /// What decided: "rule 2", "the default for calls that only read".
    pub by: String,
}

/// A pattern in a policy is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: `{pattern}` is not a valid pattern: {reason}")]
pub struct PolicyError {
    /// Location in the policy: "rule 2".
    pub place: String,
    /// The pattern.
    pub pattern: String,
    /// Why the pattern is refused, as its parser says it.
    pub reason: String,
}

/// Suffix of a decision by a policy that was added after the start.
const ADDED: &str = " (in a policy that was added when the run was resumed or forked)";

/// Several policies that hold at the same time, such as those of a run's log and of a tightened agent file.
#[derive(Debug, Clone, Default)]
pub struct Policies(Vec<(PolicyFile, Policy)>);

impl Policies {
    /// Adds a policy, unless it holds already. Returns whether it was added.
    ///
    /// # Errors
    /// A pattern is invalid.
    pub fn add(&mut self, file: &PolicyFile) -> Result<bool, PolicyError> {
        if self.0.iter().any(|(known, _)| known == file) {
            return Ok(false);
        }
        self.0.push((file.clone(), Policy::new(file.clone())?));
        Ok(true)
    }

    /// Whether every policy trusts output of the tool `name`. Without a policy nothing is trusted.
    pub fn trusts(&self, name: &str) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(_, policy)| policy.trusts(name))
    }

    /// The strictest decision of all policies, and the default one without a policy.
    pub fn decide(&self, spec: &ToolSpec, args: &Map<String, Value>, untrusted: bool) -> Decision {
        let mut strictest: Option<Decision> = None;
        for (place, (_, policy)) in self.0.iter().enumerate() {
            let mut decision = policy.decide(spec, args, untrusted);
            if place > 0 {
                decision.by.push_str(ADDED);
            }
            if strictest.as_ref().is_none_or(|before| decision.verdict > before.verdict) {
                strictest = Some(decision);
            }
        }
        strictest.unwrap_or_else(|| Policy::default().decide(spec, args, untrusted))
    }

    /// Whether a call on which the decision was `whole` may reach the part of it that `part` names: a file below the directory
    /// that the call names. A rule about the arguments that is stricter than `whole` holds for the part too.
    pub fn allow_part(&self, spec: &ToolSpec, part: &Map<String, Value>, whole: PolicyVerdict) -> bool {
        let is_stricter = |rule: &Rule| rule.then > whole && !rule.args.is_empty();
        let first =
            |policy: &Policy| policy.first_match(spec, None, part).is_some_and(|(rule, _)| is_stricter(rule));
        !self.0.iter().any(|(_, policy)| first(policy))
    }
}

#[derive(Debug, Clone)]
struct CompiledRule {
    rule: Rule,
    tool: Option<GlobMatcher>,
    args: Vec<(String, Regex)>,
}

impl Policy {
    /// Compiles a policy.
    ///
    /// # Errors
    /// A pattern is invalid.
    pub fn new(file: PolicyFile) -> Result<Self, PolicyError> {
        let mut rules = Vec::with_capacity(file.rules.len());
        for (place, rule) in file.rules.into_iter().enumerate() {
            let bad = |pattern: &str, reason: String| PolicyError {
                place: format!("rule {}", place + 1),
                pattern: pattern.to_owned(),
                reason,
            };
            let tool = match &rule.tool {
                Some(pattern) => Some(
                    Glob::new(pattern).map_err(|error| bad(pattern, error.to_string()))?.compile_matcher(),
                ),
                None => None,
            };
            let mut args = Vec::with_capacity(rule.args.len());
            for (name, pattern) in &rule.args {
                let regex = whole(pattern, rule.then).map_err(|error| bad(pattern, error.to_string()))?;
                args.push((name.clone(), regex));
            }
            rules.push(CompiledRule { rule, tool, args });
        }
        let mut trusted = Vec::with_capacity(file.trusted.len());
        for pattern in &file.trusted {
            let glob = Glob::new(pattern).map_err(|error| PolicyError {
                place: "trusted".to_owned(),
                pattern: pattern.clone(),
                reason: error.to_string(),
            })?;
            trusted.push(glob.compile_matcher());
        }
        Ok(Self { rules, default: file.default, trusted })
    }

    /// Whether output of the tool `name` counts as trusted.
    pub fn trusts(&self, name: &str) -> bool {
        self.trusted.iter().any(|glob| glob.is_match(name))
    }

    /// Decides about a call of `spec` with `args`. `untrusted` is true if tool output may have influenced the
    /// call.
    pub fn decide(&self, spec: &ToolSpec, args: &Map<String, Value>, untrusted: bool) -> Decision {
        let tainted = untrusted && spec.effects.irreversible;
        if let Some((rule, by)) = self.first_match(spec, None, args) {
            return if tainted && rule.then == PolicyVerdict::Allow && !rule.after_untrusted {
                Decision {
                    verdict: PolicyVerdict::Deny,
                    by: format!(
                        "{by} does not apply after untrusted tool output (it lacks `after_untrusted`)"
                    ),
                }
            } else {
                Decision { verdict: rule.then, by }
            };
        }
        let (verdict, by) = match self.default {
            Some(verdict) => (verdict, "the policy's default"),
            None if spec.effects.reads_only() => {
                (PolicyVerdict::Allow, "the default for calls that only read")
            }
            None => (PolicyVerdict::Ask, "the default for calls that do more than read"),
        };
        if tainted && verdict == PolicyVerdict::Allow {
            let by = "after untrusted tool output, an irreversible call needs a rule with `after_untrusted`";
            return Decision { verdict: PolicyVerdict::Deny, by: by.to_owned() };
        }
        Decision { verdict, by: by.to_owned() }
    }

    /// The first rule that matches a call, and its name: "rule 2". The name of one that denies says what it denies.
    fn first_match(
        &self,
        spec: &ToolSpec,
        own_name: Option<&str>,
        args: &Map<String, Value>,
    ) -> Option<(&Rule, String)> {
        let matches = |(_, rule): &(usize, &CompiledRule)| rule.matches(spec, own_name, args);
        let (place, found) = self.rules.iter().enumerate().find(matches)?;
        let name = format!("rule {}", place + 1);
        Some((
            &found.rule,
            if found.rule.then == PolicyVerdict::Deny { found.rule.told(&name) } else { name },
        ))
    }
}

impl Rule {
    /// The rule as whoever is denied a call reads it: "rule 2, which denies `files_*` where `path` is `/etc/.*`".
    fn told(&self, name: &str) -> String {
        let effect = self.effect.and_then(|effect| serde_json::to_value(effect).ok());
        let effect = effect.as_ref().and_then(Value::as_str);
        let mut told = match (&self.tool, effect) {
            (Some(tool), None) => format!("{name}, which denies `{tool}`"),
            (Some(tool), Some(effect)) => format!("{name}, which denies `{tool}` with the effect `{effect}`"),
            (None, Some(effect)) => format!("{name}, which denies all calls with the effect `{effect}`"),
            (None, None) => format!("{name}, which denies all calls"),
        };
        for (place, (argument, pattern)) in self.args.iter().enumerate() {
            let joint = if place == 0 { "where" } else { "and" };
            let _ = write!(told, " {joint} `{argument}` is `{pattern}`");
        }
        cut(&told, LONGEST_RULE)
    }
}

impl CompiledRule {
    /// Whether it matches calls of the tool, by its name or the world's own name of it, with some arguments at least.
    fn concerns(&self, spec: &ToolSpec, own_name: Option<&str>) -> bool {
        let is_named =
            |glob: &GlobMatcher| glob.is_match(&spec.name) || own_name.is_some_and(|own| glob.is_match(own));
        self.tool.as_ref().is_none_or(is_named) && self.rule.effect.is_none_or(|kind| kind.of(spec.effects))
    }

    fn matches(&self, spec: &ToolSpec, own_name: Option<&str>, args: &Map<String, Value>) -> bool {
        self.concerns(spec, own_name)
            && self.args.iter().all(|(name, regex)| {
                match args.get(name).or(default_of(spec, name).as_ref()) {
                    None | Some(Value::Null) => self.rule.then != PolicyVerdict::Allow,
                    Some(given) if self.rule.then == PolicyVerdict::Allow => {
                        let text = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
                        regex.is_match(&text)
                            && destinations(&text).iter().all(|name| regex.is_match(name))
                            && (given.is_string()
                                || led_elsewhere(given).is_some_and(|all| {
                                    all.iter().all(|value| regex.is_match(&value.to_string()))
                                }))
                    }
                    Some(given) => {
                        spellings(given).iter().flat_map(|text| names(text)).any(|name| regex.is_match(&name))
                    }
                }
            })
    }
}

/// A list or an object once for each text in it, and each name of a field, that leads elsewhere than it begins: with what it leads to in
/// its place. `None` if there are more than [`MOST_LED`].
fn led_elsewhere(value: &Value) -> Option<Vec<Value>> {
    let all = match value {
        Value::String(text) => destinations(text).into_iter().map(Value::String).collect(),
        Value::Array(items) => {
            let mut all = Vec::new();
            for (place, item) in items.iter().enumerate() {
                for led in led_elsewhere(item)? {
                    let mut items = items.clone();
                    items[place] = led;
                    all.push(Value::Array(items));
                }
                if all.len() > MOST_LED {
                    return None;
                }
            }
            all
        }
        Value::Object(fields) => {
            let mut all = Vec::new();
            for (name, field) in fields {
                let with = |new_name: &str, led: &Value| {
                    let replaced = fields.iter().map(|(other, value)| {
                        if other == name {
                            (new_name.to_owned(), led.clone())
                        } else {
                            (other.clone(), value.clone())
                        }
                    });
                    Value::Object(replaced.collect())
                };
                all.extend(led_elsewhere(field)?.iter().map(|led| with(name, led)));
                all.extend(destinations(name).iter().map(|led| with(led, field)));
                if all.len() > MOST_LED {
                    return None;
                }
            }
            all
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    };
    (all.len() <= MOST_LED).then_some(all)
}

/// What a tool may make of a value: a string is itself; of another value, its JSON text, each text and number in it, those of a
/// list as one line, and whole numbers without a fraction or an exponent.
fn spellings(value: &Value) -> Vec<String> {
    if let Value::String(text) = value {
        return vec![text.clone()];
    }
    let mut all = vec![value.to_string()];
    let mut words = Vec::new();
    let mut open = vec![value];
    while let Some(next) = open.pop() {
        match next {
            Value::String(text) => words.push(text.clone()),
            Value::Number(number) => {
                words.push(number.to_string());
                if let Some(number) = number.as_f64().filter(|number| number.fract() == 0.0) {
                    all.push(format!("{number:.0}"));
                }
            }
            Value::Array(items) => open.extend(items.iter().rev()),
            Value::Object(fields) => {
                all.extend(fields.keys().cloned());
                open.extend(fields.values().rev());
            }
            other => words.push(other.to_string()),
        }
    }
    all.push(words.join(" "));
    all.extend(words);
    all
}

/// The pattern for a whole value.
fn whole(pattern: &str, then: PolicyVerdict) -> Result<Regex, regex::Error> {
    // Alone it must be valid too: `a)|(b` would otherwise leave the anchors. An error says where in the pattern it is.
    Regex::new(pattern)?;
    let anchored =
        |text: &str| RegexBuilder::new(text).dot_matches_new_line(then != PolicyVerdict::Allow).build();
    // Under the flag `x` a comment goes on to the end of its line, and that line end means nothing.
    anchored(&format!("^(?:{pattern})$")).or_else(|error| match error {
        regex::Error::Syntax(_) => anchored(&format!("^(?:{pattern}\n)$")),
        other => Err(other),
    })
}

/// The value that a tool takes for an argument that is left out.
fn default_of(spec: &ToolSpec, name: &str) -> Option<Value> {
    let parameter = spec.parameters.iter().find(|parameter| parameter.name == name);
    let declared = || spec.input.as_ref()?.get("properties")?.get(name)?.get("default").cloned();
    parameter.and_then(|parameter| parameter.default.clone()).or_else(declared)
}

impl EffectKind {
    /// Whether a tool with these effects belongs to the category.
    pub fn of(self, effects: Effects) -> bool {
        match self {
            Self::Read => effects.reads_only(),
            Self::Write => effects.write,
            Self::Network => effects.network,
            Self::Irreversible => effects.irreversible,
        }
    }
}

#[cfg(test)]
mod tests;
