use crate::{Effects, ToolSpec};
use globset::{Glob, GlobMatcher};
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What may be called: the first rule that fits a call decides.
///
/// Where none does, what only reads is allowed and everything else asked about. Whatever the rules say, an irreversible call
/// after content that came from a tool is allowed only by a rule that says `after_untrusted`.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    rules: Vec<CompiledRule>,
    default: Option<Verdict>,
    trusted: Vec<GlobMatcher>,
}

/// A policy as a file says it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// What becomes of a call that no rule fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Verdict>,
    /// Names of tools whose answers count as the user's own words, with `*` for any letters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted: Vec<String>,
    /// The rules, the first that fits decides.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// One rule. It fits a call that has all that it names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Names of tools, with `*` for any letters: `files_*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// What the call may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<EffectKind>,
    /// Regular expressions that arguments must match in whole, by name; an argument that is no string is compared as JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// What becomes of the call.
    pub then: Verdict,
    /// That it holds for an irreversible call even after content that came from a tool.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_untrusted: bool,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is carried out.
    Allow,
    /// A person is asked.
    Ask,
    /// It is not.
    Deny,
}

/// What a rule tells calls apart by. A call may be of several kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EffectKind {
    /// It only looks, on this machine.
    Read,
    /// It changes something.
    Write,
    /// It talks to a network.
    Network,
    /// It cannot be undone.
    Irreversible,
}

/// What a policy says of one call, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What becomes of the call.
    pub verdict: Verdict,
    /// Who says so: "rule 2", "the default for what only reads".
    pub by: String,
}

/// Why a policy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: `{pattern}` is not a pattern: {reason}")]
pub struct PolicyError {
    /// Where it stands: "rule 2".
    pub place: String,
    /// What was written.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Debug, Clone)]
struct CompiledRule {
    rule: Rule,
    tool: Option<GlobMatcher>,
    args: Vec<(String, Regex)>,
}

impl Policy {
    /// The policy that a file describes.
    ///
    /// # Errors
    /// When a pattern is none.
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
                let whole = format!("^(?:{pattern})$");
                let regex = Regex::new(&whole).map_err(|error| bad(pattern, error.to_string()))?;
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

    /// Whether what the tool `name` says counts as the user's own words.
    pub fn trusts(&self, name: &str) -> bool {
        self.trusted.iter().any(|glob| glob.is_match(name))
    }

    /// What becomes of a call of `spec` with `args`; `untrusted` where content that came from a tool may have led to it.
    pub fn decide(&self, spec: &ToolSpec, args: &Map<String, Value>, untrusted: bool) -> Decision {
        let tainted = untrusted && spec.effects.irreversible;
        for (place, compiled) in self.rules.iter().enumerate() {
            if !compiled.fits(spec, args) {
                continue;
            }
            let by = format!("rule {}", place + 1);
            return if tainted && compiled.rule.then == Verdict::Allow && !compiled.rule.after_untrusted {
                Decision {
                    verdict: Verdict::Deny,
                    by: format!("{by} does not hold after what a tool showed (`after_untrusted`)"),
                }
            } else {
                Decision { verdict: compiled.rule.then, by }
            };
        }
        let (verdict, by) = match self.default {
            Some(verdict) => (verdict, "the policy's default"),
            None if spec.effects.reads_only() => (Verdict::Allow, "the default for what only reads"),
            None => (Verdict::Ask, "the default for what does more than read"),
        };
        if tainted && verdict == Verdict::Allow {
            let by =
                "what cannot be undone needs a rule with `after_untrusted` once a tool has shown something";
            return Decision { verdict: Verdict::Deny, by: by.to_owned() };
        }
        Decision { verdict, by: by.to_owned() }
    }
}

impl CompiledRule {
    fn fits(&self, spec: &ToolSpec, args: &Map<String, Value>) -> bool {
        let named = self.tool.as_ref().is_none_or(|glob| glob.is_match(&spec.name));
        let kind = self.rule.effect.is_none_or(|kind| kind.of(spec.effects));
        named
            && kind
            && self.args.iter().all(|(name, regex)| match args.get(name) {
                Some(Value::String(text)) => regex.is_match(text),
                Some(other) => regex.is_match(&other.to_string()),
                None => false,
            })
    }
}

impl EffectKind {
    /// Whether something with these effects is of this kind.
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
mod tests {
    use super::*;
    use serde_json::json;

    fn tool(name: &str, effects: Effects) -> ToolSpec {
        ToolSpec { effects, ..ToolSpec::new(name, "") }
    }

    fn rule(tool: &str, then: Verdict) -> Rule {
        Rule { tool: Some(tool.into()), effect: None, args: BTreeMap::new(), then, after_untrusted: false }
    }

    fn verdict(policy: &Policy, spec: &ToolSpec, args: &Value, untrusted: bool) -> Verdict {
        policy.decide(spec, args.as_object().unwrap(), untrusted).verdict
    }

    #[test]
    fn reading_is_allowed_and_the_rest_is_asked_about() {
        let policy = Policy::default();
        let write = Effects { write: true, ..Effects::default() };
        let network = Effects { network: true, ..Effects::default() };
        assert_eq!(verdict(&policy, &tool("look", Effects::default()), &json!({}), true), Verdict::Allow);
        assert_eq!(verdict(&policy, &tool("save", write), &json!({}), false), Verdict::Ask);
        assert_eq!(verdict(&policy, &tool("fetch", network), &json!({}), false), Verdict::Ask);
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let under_tmp =
            Rule { args: [("path".into(), "/tmp/[^.]*".into())].into(), ..rule("files_*", Verdict::Allow) };
        let rules = vec![under_tmp, rule("files_*", Verdict::Deny)];
        let policy = Policy::new(PolicyFile { rules, ..PolicyFile::default() }).unwrap();
        let write = tool("files_write", Effects { write: true, ..Effects::default() });
        assert_eq!(verdict(&policy, &write, &json!({"path": "/tmp/a"}), false), Verdict::Allow);
        for path in ["/tmp/../etc/passwd", "x/tmp/a", "/etc/passwd"] {
            assert_eq!(verdict(&policy, &write, &json!({"path": path}), false), Verdict::Deny, "{path}");
        }
        assert_eq!(verdict(&policy, &write, &json!({}), false), Verdict::Deny);
    }

    #[test]
    fn what_cannot_be_undone_needs_a_grant_that_says_so_after_untrusted_content() {
        let pay = tool("pay", Effects { write: true, irreversible: true, ..Effects::default() });
        let plain =
            Policy::new(PolicyFile { rules: vec![rule("pay", Verdict::Allow)], ..PolicyFile::default() })
                .unwrap();
        assert_eq!(verdict(&plain, &pay, &json!({}), false), Verdict::Allow);
        assert_eq!(verdict(&plain, &pay, &json!({}), true), Verdict::Deny);
        let open =
            Policy::new(PolicyFile { default: Some(Verdict::Allow), ..PolicyFile::default() }).unwrap();
        assert_eq!(verdict(&open, &pay, &json!({}), true), Verdict::Deny);
        let said = Rule { after_untrusted: true, ..rule("pay", Verdict::Allow) };
        let said = Policy::new(PolicyFile { rules: vec![said], ..PolicyFile::default() }).unwrap();
        assert_eq!(verdict(&said, &pay, &json!({}), true), Verdict::Allow);
    }

    #[test]
    fn a_pattern_that_is_none_is_named() {
        let error =
            Policy::new(PolicyFile { rules: vec![rule("a[", Verdict::Allow)], ..PolicyFile::default() })
                .unwrap_err();
        assert!(error.to_string().starts_with("rule 1: `a[` is not a pattern"), "{error}");
    }
}
