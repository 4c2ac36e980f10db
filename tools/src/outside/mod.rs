//! Data from outside: what pages, servers, worlds, tools, imported logs and skills, and the model's own text may do to the
//! rest of the program. Everything of that kind is bounded, escaped for where it is shown, quoted in prompts, and tainting.

pub mod json;
pub mod quote;
pub mod terminal;
