//! Detects skills that are duplicates of each other.

use crate::scan::{Token, tokens};
use crate::{CaseResult, Entry, IllegalEvent, LibraryState, Manifest, Skill};

/// Minimum number of cases in which both skills must have behaved identically.
pub const SAME_CASES: usize = 2;

/// Whether two sources are equal up to function names, comments, white space and quotes.
pub fn same_source(a: &Skill, b: &Skill) -> bool {
    a.manifest.code == b.manifest.code
        && if a.manifest.code.is_script() { normalised(a) == normalised(b) } else { a.wasm == b.wasm }
}

/// Whether a skill that ran in all cases of `entry` behaved as recorded in each of them, and in at least
/// [`SAME_CASES`].
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

/// Checks whether `name` may become an alias of `into` in `environment`, and returns the environment. Without one it is the
/// latest in which both are in use, as older records mean it.
pub(crate) fn judge(
    state: &LibraryState,
    name: &str,
    into: &str,
    evidence: &[CaseResult],
    environment: Option<&str>,
) -> Result<String, IllegalEvent> {
    let different = |reason: &str| IllegalEvent::Different {
        name: name.to_owned(),
        into: into.to_owned(),
        reason: reason.to_owned(),
    };
    let unused = |name: &str| IllegalEvent::Unused { name: name.to_owned() };
    let history = |name: &str| state.history(name).filter(|history| history.active().is_some());
    let (ones, others) =
        (history(name).ok_or_else(|| unused(name))?, history(into).ok_or_else(|| unused(into))?);
    // Of names with versions of several environments, those of the latest environment that has both are compared.
    let environments = environment.map_or_else(|| state.environments_of(name), |named| vec![named]);
    let both = environments
        .iter()
        .find_map(|environment| Some((ones.active_in(environment)?, others.active_in(environment)?)));
    let (one, other) = match both {
        Some(both) => both,
        None if environment.is_some() => return Err(unused(name)),
        None => (ones.active().ok_or_else(|| unused(name))?, others.active().ok_or_else(|| unused(into))?),
    };
    if name == into {
        return Err(different("the names are equal"));
    }
    if let Some(reason) = differs(&one.skill.manifest, &other.skill.manifest) {
        return Err(different(reason));
    }
    if state.reaches(into, name, other.environment()) {
        return Err(different("`into` calls it"));
    }
    if !same_source(&one.skill, &other.skill) && !same_behaviour(other, evidence) {
        return Err(different("their behaviour differs, or was not compared in enough cases"));
    }
    Ok(other.environment().to_owned())
}

/// Two skills must promise the same before their behaviour is compared.
fn differs(one: &Manifest, other: &Manifest) -> Option<&'static str> {
    if one.kind != other.kind {
        Some("one is a reflex and the other is not, or their priorities differ")
    } else if one.environment != other.environment {
        Some("they are for different environments")
    } else if one.parameters != other.parameters {
        Some("they take different parameters")
    } else if one.postcondition != other.postcondition {
        Some("they have different post-conditions")
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
