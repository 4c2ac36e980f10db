//! Data from outside: what pages, servers, worlds, tools, imported logs and skills, and the model's own text may do to the
//! rest of the program. Everything of that kind is bounded, escaped for where it is shown, quoted in prompts, and tainting.

pub mod address;
pub mod html;
pub mod json;
pub mod offload;
pub mod quote;
pub mod schema;
pub mod terminal;
pub mod text;
pub mod url;
