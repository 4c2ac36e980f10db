//! When two skills are one.

use crate::scan::{Token, tokens};
use crate::{CaseResult, Entry, Illegal, LibraryState, Manifest, Skill};

/// Cases of the one in which the other must have behaved the same.
pub const SAME_CASES: usize = 2;

/// Whether two sources are the same but for the names of their functions, comments, blanks and quotes.
pub fn same_source(a: &Skill, b: &Skill) -> bool {
    a.manifest.code == b.manifest.code
        && match a.manifest.code.is_script() {
            true => normalised(a) == normalised(b),
            false => a.wasm == b.wasm,
        }
}

/// Whether a skill that was run in all the `cases` of another did in each what that one had done, and that in
/// [`SAME_CASES`] of them at least.
pub fn same_behaviour(entry: &Entry, evidence: &[CaseResult]) -> bool {
    let cases = entry.cases();
    let same = cases.iter().filter(|case| {
        let id = case.id();
        let seen = evidence.iter().find(|result| result.case == id && result.passed);
        case.behaviour.is_some() && seen.is_some_and(|result| result.behaviour == case.behaviour)
    });
    let started = evidence.iter().filter(|result| result.reached).count();
    let same = same.count();
    same >= SAME_CASES && same == started
}

/// Whether `name` may become an alias of `into`.
pub(crate) fn judge(
    state: &LibraryState,
    name: &str,
    into: &str,
    evidence: &[CaseResult],
) -> Result<(), Illegal> {
    let different = |reason: &str| Illegal::Different {
        name: name.to_owned(),
        into: into.to_owned(),
        reason: reason.to_owned(),
    };
    let own = |name: &str| state.history(name).and_then(|history| history.active());
    let unused = |name: &str| Illegal::Unused { name: name.to_owned() };
    let one = own(name).ok_or_else(|| unused(name))?;
    let other = own(into).ok_or_else(|| unused(into))?;
    if name == into {
        return Err(different("it is the same name"));
    }
    if let Some(reason) = differs(&one.skill.manifest, &other.skill.manifest) {
        return Err(different(reason));
    }
    if state.reaches(into, name) {
        return Err(different("it is called by it"));
    }
    if !same_source(&one.skill, &other.skill) && !same_behaviour(other, evidence) {
        return Err(different("it was not seen to do the same in the same cases"));
    }
    Ok(())
}

/// What two skills promise must be the same before it is asked what they do.
fn differs(one: &Manifest, other: &Manifest) -> Option<&'static str> {
    if one.kind != other.kind {
        Some("they are set off in different ways")
    } else if one.environment != other.environment {
        Some("they are for different environments")
    } else if one.parameters != other.parameters {
        Some("they take different parameters")
    } else if one.postcondition != other.postcondition {
        Some("they promise different things")
    } else {
        None
    }
}

fn normalised(skill: &Skill) -> Vec<String> {
    let own = skill.manifest.name.as_str();
    let tokens = tokens(&skill.source);
    let texts = tokens.iter().map(|located| match located.token {
        Token::Word(word) if word == own => "\0".to_owned(),
        Token::Word(text) => text.to_owned(),
        Token::Value(text) => match text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
            Some(inside) if !inside.contains(['"', '\\']) => format!("\"{inside}\""),
            _ => text.to_owned(),
        },
        Token::Punct(character) => character.to_string(),
    });
    texts.collect()
}
