//! Helpers that the HTTP clients of this crate share.

use crate::ControllerError;
use std::error::Error;

/// Reads an API key from the environment variable `variable`, without surrounding white space. `None` if no
/// variable is named.
///
/// # Errors
/// [`ControllerError::NoKey`] if the variable is not set or blank.
pub(crate) fn api_key(variable: Option<&str>) -> Result<Option<String>, ControllerError> {
    let Some(variable) = variable else { return Ok(None) };
    match std::env::var(variable) {
        Ok(key) if !key.trim().is_empty() => Ok(Some(key.trim().to_owned())),
        _ => Err(ControllerError::NoKey { variable: variable.to_owned() }),
    }
}

/// The message of the innermost error, which has the cause. The outer ones only say that sending or reading failed.
pub(crate) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
