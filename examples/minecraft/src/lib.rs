//! Minecraft as an environment: a player of `mineflayer` in a small world with rules of survival, or on a server of the user's.
//!
//! The world itself is a program in JavaScript, in `world/`, that speaks the process protocol (`tools/PROCESS.md`). This crate
//! installs its packages, finds a Node.js to run it with, and registers it under the name [`minecraft`](MinecraftProvider).

mod node;
mod options;
mod provider;
mod world_files;

pub use provider::MinecraftProvider;
