//! Tests with a real browser.

mod egress;
mod pages;
mod processes;
mod revival;
mod world;
