//! `sojourn bench`: how far agents get in worlds that learning never sees, and how fast log and controller are.

#[cfg(feature = "llama")]
mod controller;
mod crafter;
mod miniwob;
mod published;
mod random;
mod statistics;
mod subject;

#[cfg(feature = "llama")]
pub use controller::controller;
pub use crafter::crafter;
pub use miniwob::miniwob;

/// Without llama.cpp there is nothing to measure.
#[cfg(not(feature = "llama"))]
#[allow(clippy::unused_async, reason = "the same signature as with the feature")]
pub async fn controller(_args: crate::args::ControllerSpeed) -> anyhow::Result<()> {
    Err(crate::models::without_llama("measure your server with its own tools"))
}
