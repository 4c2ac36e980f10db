//! Snapshots: a label, a checksum, and the encoded state.

use crate::environment::Episode;
use crate::game::{Game, StoredGame};
use crate::routine::Call;
use crate::sight::Sight;
use serde::{Deserialize, Serialize};
use sojourn_tools::{Ending, EndingKind, EnvironmentError, Snapshot};

/// Must change with the layout, so that an older snapshot is rejected.
const LABEL: &[u8; 8] = b"crafter1";
const HEADER: usize = LABEL.len() + 8;

#[derive(Serialize, Deserialize)]
struct Stored {
    game: StoredGame,
    sight: Sight,
    call: Option<Call>,
    ended: Option<(EndingKind, String)>,
}

pub(crate) fn store(episode: &Episode) -> Option<Snapshot> {
    let stored = Stored {
        game: (&episode.game).into(),
        sight: episode.sight.clone(),
        call: episode.call.clone(),
        ended: episode.ended.as_ref().map(|ending| (ending.kind, ending.cause.clone())),
    };
    let body = postcard::to_allocvec(&stored).ok()?;
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(LABEL);
    bytes.extend_from_slice(&checksum(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    Some(Snapshot(bytes))
}

pub(crate) fn load(snapshot: &Snapshot) -> Result<Episode, EnvironmentError> {
    let bad = |reason: &str| EnvironmentError::BadSnapshot { reason: reason.to_owned() };
    let body = snapshot
        .0
        .strip_prefix(LABEL)
        .and_then(|rest| rest.split_first_chunk::<8>())
        .ok_or_else(|| bad("it was not taken by this version of crafter"))?;
    let (sum, body) = body;
    if u64::from_le_bytes(*sum) != checksum(body) {
        return Err(bad("it is damaged: the checksum does not match"));
    }
    let stored: Stored = postcard::from_bytes(body).map_err(|_| bad("it is damaged: the layout is wrong"))?;
    if !stored.sight.is_sound() {
        return Err(bad("what has been seen does not fit the map"));
    }
    Ok(Episode {
        game: Game::try_from(stored.game).map_err(bad)?,
        sight: stored.sight,
        call: stored.call,
        ended: stored.ended.map(|(kind, cause)| Ending { kind, cause }),
    })
}

/// FNV-1a, sufficient against accidental damage.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
