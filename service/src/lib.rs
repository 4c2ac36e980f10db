//! Unattended agents.
//!
//! - [`timing`] computes when a schedule is due, and [`dues`] which due times are recorded: pure functions of the clock.
//! - [`Daemon`] records due times, starts their runs as processes, keeps them alive through deaths and restarts, and stops them in
//!   order. One daemon serves a home ([`DaemonLock`]).
//! - [`Scheduler`] does the same for a store that several machines share, where workers carry the runs out. Any number of them may.
//! - [`Worker`] carries out runs of a queue that several machines share.
//! - [`notify`] tells people: a message is kept before it is delivered, and delivered at least once.
//! - [`live`] and [`metrics`] show the runs under way.
//!
//! All state is in the home's store ([`sojourn_memory`]); the run itself is carried out by the program that the daemon starts,
//! which this crate does not know.

#![forbid(unsafe_code)]

mod children;
mod daemon;
mod disk;
pub mod dues;
pub mod live;
mod lock;
pub mod metrics;
pub mod notify;
mod recorder;
mod scheduler;
pub mod timing;
mod unit;
mod worker;

pub use daemon::{Daemon, Host, Settings, WAITING, now_ms};
pub use disk::free as disk_free;
pub use lock::{DaemonLock, LockError};
pub use scheduler::Scheduler;
pub use unit::Unit;
pub use worker::{Worker, WorkerSettings};
