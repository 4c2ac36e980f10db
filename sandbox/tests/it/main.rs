//! The integration tests of `sojourn-sandbox`, in one program so that it is linked once.

mod arbitrary;
mod bindings;
mod cache;
mod common;
mod hostile;
mod isolation;
mod limits;
mod live_view;
mod messages;
mod modules;
mod prebuilt;
mod reflex;
mod reflex_warm;
