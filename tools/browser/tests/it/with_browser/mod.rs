//! Tests with a real browser.

mod pages;
mod reading;
mod reference;
mod revival;
mod world;
