//! Tests with a real browser.

mod egress;
mod pages;
mod processes;
mod reading;
mod recording;
mod reference;
mod revival;
mod tls;
mod world;
