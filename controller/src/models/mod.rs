//! The model catalogue, and the cache of downloaded models.
//!
//! A [`Catalogue`] lists models with length, hash, licence and download sources. [`Models`] manages the cache
//! directory: [`Models::path`] finds a model without network access, and [`Models::pull`] downloads one and
//! resumes partial downloads. A file gets its final name only if its hash matches the catalogue.
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
