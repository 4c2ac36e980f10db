//! What can be found out about a world that documents nothing: the fields of its state, what calls change, and tasks made of that.
//!
//! A survey plays some episodes without a goal, each towards what was never tried ([`StateExplorer`](crate::StateExplorer)'s way
//! of playing), and notes every change of the state. A change that some calls bring about and most do not is an effect; an effect
//! that no episode begins with can be a task: raise a number, bring a field to a value, get something into a list. What changes
//! all the time (positions, clocks) and what changes whatever is done (hunger, daylight) is left out.

mod fields;
mod survey;
mod tasks;
#[cfg(test)]
mod tests;

pub use fields::{FieldKind, StateField};
pub(crate) use survey::Surveyor;
pub use survey::{Change, Effect, Survey};
pub use tasks::identifier;
