//! Rules about a world's own actions.

use super::{ADDED, CompiledRule, Decision, Policies, Policy, PolicyVerdict};
use crate::{ActionRules, ToolSpec};
use serde_json::{Map, Value};

/// A policy's ruling on all calls of a world's own action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionRuling {
    /// Some calls of it are made.
    Free,
    /// This rule, counted from 1, denies every call of it.
    Denied(usize),
    /// This rule, counted from 1, wants a person to be asked about it, which is not possible.
    Asked(usize),
}

impl Policy {
    /// The decision about a call of a world's own action: that of the first rule that matches it. Without one the action is taken,
    /// because the agent is there to act in its world: neither the policy's default nor taint holds for it. A rule may have the
    /// name of its tool or the world's own name of it.
    pub fn decide_action(
        &self,
        spec: &ToolSpec,
        own_name: Option<&str>,
        args: &Map<String, Value>,
    ) -> Option<Decision> {
        let (rule, by) = self.first_match(spec, own_name, args)?;
        Some(Decision { verdict: rule.then, by })
    }

    /// The policy's ruling on all calls of a world's own action.
    pub fn ruling_on_action(&self, spec: &ToolSpec, own_name: Option<&str>) -> ActionRuling {
        let concerns = |(_, rule): &(usize, &CompiledRule)| rule.concerns(spec, own_name);
        let mut some_are_free = false;
        for (place, compiled) in self.rules.iter().enumerate().filter(concerns) {
            match compiled.rule.then {
                PolicyVerdict::Ask => return ActionRuling::Asked(place + 1),
                PolicyVerdict::Deny if compiled.args.is_empty() && !some_are_free => {
                    return ActionRuling::Denied(place + 1);
                }
                PolicyVerdict::Allow => some_are_free = true,
                PolicyVerdict::Deny => {}
            }
            if compiled.args.is_empty() {
                break;
            }
        }
        ActionRuling::Free
    }
}

/// A call is refused where one of the policies has a rule against it.
impl ActionRules for Policies {
    fn refusal(&self, spec: &ToolSpec, own_name: Option<&str>, args: &Map<String, Value>) -> Option<String> {
        self.0.iter().enumerate().find_map(|(place, (_, policy))| {
            let Decision { verdict, by } = policy.decide_action(spec, own_name, args)?;
            let by = if place > 0 { format!("{by}{ADDED}") } else { by };
            match verdict {
                PolicyVerdict::Allow => None,
                PolicyVerdict::Ask => Some(format!("{by}: nobody is asked about a world's own actions")),
                PolicyVerdict::Deny => Some(by),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{rule, tool};
    use super::super::{PolicyFile, Rule};
    use super::*;
    use crate::Effects;
    use serde_json::json;

    #[test]
    fn rules_reach_the_actions_of_a_world_and_the_default_does_not() {
        use ActionRuling::{Asked, Denied, Free};
        use PolicyVerdict::{Allow, Ask, Deny};
        let save = tool("save", Effects { write: true, ..Effects::default() });
        let with = |rules: Vec<Rule>| {
            let default = Some(PolicyVerdict::Deny);
            Policy::new(PolicyFile { default, rules, ..PolicyFile::default() }).unwrap()
        };
        let to = |pattern: &str, then| Rule {
            args: [("to".to_owned(), pattern.to_owned())].into(),
            ..rule("s*", then)
        };
        for (rules, ruling, to_a) in [
            (vec![], Free, None),
            (vec![rule("other", Deny)], Free, None),
            (vec![rule("s*", Deny)], Denied(1), Some(Deny)),
            (vec![rule("save", Allow), rule("*", Deny)], Free, Some(Allow)),
            (vec![to("a", Allow), rule("*", Deny)], Free, Some(Allow)),
            (vec![to("b", Deny), rule("*", Deny)], Denied(2), Some(Deny)),
            (vec![to("b", Deny)], Free, None),
            (vec![to("b", Deny), rule("*", Ask)], Asked(2), Some(Ask)),
        ] {
            let policy = with(rules.clone());
            assert_eq!(policy.ruling_on_action(&save, None), ruling, "{rules:?}");
            let decided = policy.decide_action(&save, None, json!({"to": "a"}).as_object().unwrap());
            assert_eq!(decided.map(|decision| decision.verdict), to_a, "{rules:?}");
        }
        let mut policies = Policies::default();
        policies.add(&PolicyFile { rules: vec![rule("save", Allow)], ..PolicyFile::default() }).unwrap();
        policies.add(&PolicyFile { rules: vec![rule("save", Ask)], ..PolicyFile::default() }).unwrap();
        let refused = policies.refusal(&save, None, &Map::new()).unwrap();
        assert!(refused.contains("nobody is asked"), "{refused}");
    }
}
