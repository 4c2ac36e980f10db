//! How far agents get in worlds that learning never sees.

mod crafter;
mod miniwob;
mod published;
mod random;
mod statistics;
mod subject;

pub use crafter::crafter;
pub use miniwob::miniwob;
