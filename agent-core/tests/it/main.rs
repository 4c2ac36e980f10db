//! The integration tests of `sojourn-core`, in one program so that it is linked once.

mod core_laws;
mod lessons;
mod plans;
mod record_samples;
mod records;
mod tools;
mod upkeep;
mod witness;
