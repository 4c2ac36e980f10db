//! Tests with a real browser.

mod pages;
mod revival;
mod world;
