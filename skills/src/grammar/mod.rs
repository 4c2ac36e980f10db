//! The clean JavaScript subset that a small model is constrained to while it writes a skill.
//!
//! [`javascript_subset`] builds a [`Grammar`] for the body of one function: what may be called, with which
//! strings, and which properties the state has are all part of it, so that a model cannot invent any. The same
//! value is written as a Lark grammar for llguidance ([`Grammar::to_lark`]) and draws random sentences
//! ([`Grammar::sample`]), which is how the claim that all of it is JavaScript is tested.
//!
//! What a context-free grammar cannot say is left to the compiler, to [`static_check`](crate::static_check) and to
//! the trial: a local is declared once and before it is used, a `const` is not assigned, a loop ends.

mod javascript;
mod lark;
mod node;
mod reflex;
mod sample;

pub use javascript::{GrammarSpec, View, javascript_subset};
pub use node::Grammar;
pub use reflex::{ReflexSpec, reflex_subset};
