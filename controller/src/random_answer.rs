//! Random answers that satisfy a constraint, for testing without a model.

use crate::{Constraint, ControllerError};
use llguidance::toktrie::TokenId;

/// Bytes that close a string, list or object, or that start a short value.
const CLOSERS: &[u8] = b"\"}]ntf0";

impl Constraint {
    /// Generates a random complete answer of at most `bytes` bytes; `None` if the answer did not end in time.
    ///
    /// Closing bytes become more likely with length, so short answers are more frequent than long ones.
    ///
    /// # Errors
    /// [`ControllerError::BadConstraint`] if the constraint cannot be compiled or exceeds the grammar's
    /// limits.
    pub fn random_answer(&self, seed: u64, bytes: usize) -> Result<Option<String>, ControllerError> {
        let bad =
            |error: &dyn std::fmt::Display| ControllerError::BadConstraint { reason: error.to_string() };
        let mut matcher = self.compile()?;
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut text = Vec::new();
        while text.len() < bytes {
            if matcher.is_stopped() {
                return Ok(String::from_utf8(text).ok());
            }
            let ends = matcher.is_accepting().map_err(|error| bad(&error))?;
            let mask = matcher.compute_mask_or_eos().map_err(|error| bad(&error))?;
            let mut allowed: Vec<u8> =
                (0..=u8::MAX).filter(|byte| mask.is_allowed(TokenId::from(*byte))).collect();
            if allowed.is_empty() || (ends && rng.bool()) {
                return Ok(if ends { String::from_utf8(text).ok() } else { None });
            }
            // Exponents are excluded, because most of them overflow a floating-point number.
            if text.last().is_some_and(u8::is_ascii_digit) && allowed.len() > 2 {
                allowed.retain(|byte| !byte.eq_ignore_ascii_case(&b'e'));
            }
            let closing: Vec<u8> = allowed.iter().copied().filter(|byte| CLOSERS.contains(byte)).collect();
            let close_now = rng.usize(..bytes) < 8 * text.len() + bytes / 8;
            let from = if close_now && !closing.is_empty() { &closing } else { &allowed };
            let Some(byte) = rng.choice(from).copied() else { return Ok(None) };
            matcher.consume_token(TokenId::from(byte)).map_err(|error| bad(&error))?;
            text.push(byte);
        }
        Ok(None)
    }
}
