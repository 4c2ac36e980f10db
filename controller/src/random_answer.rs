//! What a constraint admits, drawn by chance: answers without a model.

use crate::{Constraint, ControllerError};
use llguidance::toktrie::TokenId;

/// What ends a string, a list or an object, and the beginnings of values that are short.
const CLOSERS: &[u8] = b"\"}]ntf0";

impl Constraint {
    /// A whole answer, drawn by chance from all that can be sampled; `None` where it came to no end within `bytes`.
    ///
    /// The longer it gets the likelier is what ends it, so short answers are likelier than long ones.
    ///
    /// # Errors
    /// When there is nothing to draw from, or the grammar outgrows its limits on the way.
    pub fn random_answer(&self, seed: u64, bytes: usize) -> Result<Option<String>, ControllerError> {
        let bad =
            |error: &dyn std::fmt::Display| ControllerError::BadConstraint { reason: error.to_string() };
        let mut matcher = self.compile()?;
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut text = Vec::new();
        while text.len() < bytes {
            if matcher.is_stopped() {
                return Ok(String::from_utf8(text).ok());
            }
            let ends = matcher.is_accepting().map_err(|error| bad(&error))?;
            let mask = matcher.compute_mask_or_eos().map_err(|error| bad(&error))?;
            let mut allowed: Vec<u8> =
                (0..=u8::MAX).filter(|byte| mask.is_allowed(TokenId::from(*byte))).collect();
            if allowed.is_empty() || (ends && chance.bool()) {
                return Ok(if ends { String::from_utf8(text).ok() } else { None });
            }
            // No exponents: most of those drawn are of numbers that no machine has.
            if text.last().is_some_and(u8::is_ascii_digit) && allowed.len() > 2 {
                allowed.retain(|byte| !byte.eq_ignore_ascii_case(&b'e'));
            }
            let closing: Vec<u8> = allowed.iter().copied().filter(|byte| CLOSERS.contains(byte)).collect();
            let hurried = chance.usize(..bytes) < 8 * text.len() + bytes / 8;
            let from = if hurried && !closing.is_empty() { &closing } else { &allowed };
            let Some(byte) = chance.choice(from).copied() else { return Ok(None) };
            matcher.consume_token(TokenId::from(byte)).map_err(|error| bad(&error))?;
            text.push(byte);
        }
        Ok(None)
    }
}
