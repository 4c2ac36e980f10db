//! The integration tests of `sojourn-browser`, in one program so that it is linked once.

mod pages;
mod revival;
mod support;
mod world;
