//! The integration tests of `sojourn-core`, in one program so that it is linked once.

mod core_laws;
mod layers;
mod lessons;
mod plans;
mod record_samples;
mod records;
mod replaying_environment;
mod tools;
mod upkeep;
mod world_words;
