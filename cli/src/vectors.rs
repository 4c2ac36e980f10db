//! The index of the memories' vectors: in this process, or on a Qdrant server.

use crate::error::{Failure, Kind};
use anyhow::Result;
use serde::Deserialize;
use sojourn_memory::{Memories, Store};

/// The environment variable that selects the index for commands without an agent file.
pub const VARIABLE: &str = "SOJOURN_VECTORS";
/// The environment variable with the server's key.
#[cfg(feature = "qdrant")]
const KEY: &str = "QDRANT_API_KEY";

/// The index of the memories' vectors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String")]
pub enum Vectors {
    /// The index that the environment variable selects, else the one in this process.
    #[default]
    Default,
    /// An index in this process, stored in the home's directory `index`.
    Embedded,
    /// A Qdrant server, by its address: `qdrant://host:6334`.
    Qdrant(String),
}

impl TryFrom<String> for Vectors {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "embedded" => Ok(Self::Embedded),
            address if address.starts_with("qdrant://") && address.len() > "qdrant://".len() => {
                Ok(Self::Qdrant(text))
            }
            _ => Err(format!(
                "`{text}` is neither \"embedded\" nor an address like \"qdrant://localhost:6334\""
            )),
        }
    }
}

impl Vectors {
    /// Opens the memories of a store with this index.
    ///
    /// # Errors
    /// When this program was built without Qdrant, or the server cannot be reached.
    pub async fn open(&self, store: Store) -> Result<Memories> {
        let chosen = match self {
            Self::Default => match std::env::var(VARIABLE) {
                Ok(text) => Self::try_from(text)
                    .map_err(|what| Failure::new(Kind::Usage, format!("{VARIABLE}: {what}")))?,
                Err(_) => Self::Embedded,
            },
            chosen => chosen.clone(),
        };
        match chosen {
            Self::Qdrant(address) => qdrant(store, &address).await,
            Self::Embedded | Self::Default => Ok(Memories::new(store)),
        }
    }
}

#[cfg(feature = "qdrant")]
async fn qdrant(store: Store, address: &str) -> Result<Memories> {
    let key = std::env::var(KEY).ok();
    let index = sojourn_memory::QdrantVectors::open(&store, address, key.as_deref()).await?;
    Ok(Memories::with_index(store, std::sync::Arc::new(index)))
}

#[cfg(not(feature = "qdrant"))]
#[allow(clippy::unused_async, reason = "the same signature as with the feature")]
async fn qdrant(_store: Store, _address: &str) -> Result<Memories> {
    Err(Failure::new(Kind::Failure, "this program was built without Qdrant")
        .hint("build it with `--features qdrant`, or set `memory.vectors = \"embedded\"`")
        .into())
}
