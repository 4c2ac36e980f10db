//! The environments that the `sojourn` command and its benchmarks are built with.
//!
//! To add a world by name, add its provider here.

#![forbid(unsafe_code)]

use sojourn_crafter::CrafterProvider;
use sojourn_minecraft::MinecraftProvider;
use sojourn_miniwob::MiniWobProvider;
use sojourn_tools::{EnvironmentRegistry, Gymnasium};

/// Every environment that has a name.
pub fn environments() -> EnvironmentRegistry {
    EnvironmentRegistry::new()
        .with(CrafterProvider)
        .with(MinecraftProvider)
        .with(MiniWobProvider)
        .with(Gymnasium)
}
