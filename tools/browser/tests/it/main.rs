//! The integration tests of `sojourn-browser`, in one program so that it is linked once.

mod support;
mod with_browser;
