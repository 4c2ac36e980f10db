//! What a run does for those who do not watch it: it tells people, and it reports how far it is.

mod heartbeat;
mod person;
pub mod told;

pub use heartbeat::Heart;
pub use person::{AgentChannels, AgentKey};
