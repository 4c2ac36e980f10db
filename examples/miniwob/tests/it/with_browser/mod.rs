//! Tests with a real browser.

mod tasks;
