//! What a run does for those who do not watch it: it tells people, it reports how far it is, and it takes up what they ask of it.

pub mod asked;
mod heartbeat;
mod person;
pub mod told;

pub use heartbeat::Heart;
pub use person::{AgentChannels, AgentKey};
