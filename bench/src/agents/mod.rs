//! How far agents get in worlds that learning never sees.

mod crafter;
mod miniwob;
mod published;
mod random;
mod statistics;

pub use crafter::crafter;
pub use miniwob::miniwob;
