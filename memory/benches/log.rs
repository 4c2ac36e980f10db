//! What the log and recall cost.
#![allow(missing_docs)]
fn main() {}
