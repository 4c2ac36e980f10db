//! The strictest effects that were declared under each name of a tool. A peer may describe its tools anew at any time, and must
//! not get past a policy by claiming that a tool does less than it said before.

use crate::Effects;
use std::collections::BTreeMap;

/// Limit on the names that are remembered. A tool of a further name counts as doing the worst.
const MAX_NAMES: usize = 20_000;

/// The strictest effects by name.
#[derive(Debug, Default)]
pub(crate) struct DeclaredEffects(BTreeMap<String, Effects>);

impl DeclaredEffects {
    /// Takes a declaration, and returns the effects that hold.
    pub fn declare(&mut self, name: &str, effects: Effects) -> Effects {
        if let Some(known) = self.0.get_mut(name) {
            *known = known.stricter(effects);
            return *known;
        }
        if self.0.len() >= MAX_NAMES {
            return Effects::WORST;
        }
        self.0.insert(name.to_owned(), effects);
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_only_makes_effects_stricter() {
        let mut declared = DeclaredEffects::default();
        let writes = Effects { write: true, ..Effects::default() };
        assert_eq!(declared.declare("a", writes), writes);
        assert_eq!(declared.declare("a", Effects::default()), writes);
        assert_eq!(declared.declare("a", Effects::WORST), Effects::WORST);
        for number in 0..MAX_NAMES {
            declared.declare(&number.to_string(), Effects::default());
        }
        assert_eq!(declared.declare("one more", Effects::default()), Effects::WORST);
    }
}
