//! The models that are known by name, and how they get onto this machine.
//!
//! A [`Catalogue`] says what models there are: how long each file is, its hash, its licence, and where it can be had.
//! [`Models`] keeps them in a cache directory. [`Models::path`] finds one and never goes to the network;
//! [`Models::pull`] fetches one, goes on where it was cut off, and lets nothing appear under a model's name
//! that has not the hash the catalogue demands.
//!
//! ```no_run
//! # async fn pull() -> Result<(), sojourn_controller::models::ModelError> {
//! use sojourn_controller::models::{Models, Progress};
//!
//! let models = Models::open(None)?;
//! let path = models
//!     .pull("all-minilm-l6-v2", |progress| {
//!         if let Progress::Source { name } = progress {
//!             tracing::info!("fetching from {name}");
//!         }
//!     })
//!     .await?;
//! assert_eq!(path, models.path("all-minilm-l6-v2")?);
//! # Ok(())
//! # }
//! ```

mod catalogue;
pub mod convert;
mod disk;
mod error;
mod http;
mod marker;
mod packages;
mod progress;
mod pull;
mod store;
mod target;

pub use catalogue::{
    Asset, Catalogue, Conversion, ConversionFormat, Entry, HubFile, Licence, ModelKind, PackageFile, Source,
};
pub use error::{Attempt, ModelError};
pub use progress::Progress;
pub use store::{ModelStatus, Models};
