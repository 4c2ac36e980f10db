//! Grammars that constrain a model while it writes a skill or a reflex.
//!
//! [`javascript_subset`] builds a [`Grammar`] for the body of one function. Callable functions, known strings
//! and state properties are part of it, so a model cannot invent any. The same value can be written as a Lark
//! grammar for llguidance ([`Grammar::to_lark`]) and can generate random sentences ([`Grammar::sample`]),
//! which tests use to show that every sentence is valid JavaScript.
//!
//! [`Language`] selects the subset, or free JavaScript for larger models.
//!
//! A context-free grammar cannot express some rules: a local variable is declared once and before use, a
//! `const` is not assigned, a loop ends. The compiler, [`static_check`](crate::static_check) and the trial
//! check them.

mod javascript;
mod language;
mod lark;
mod node;
mod reflex;
mod sample;

pub use javascript::{GrammarSpec, View, javascript_subset};
pub use language::Language;
pub use node::Grammar;
pub use reflex::{ReflexSpec, reflex_subset};
