//! A restored world continues like the original, and invalid snapshots are rejected.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

use proptest::prelude::*;
use sojourn_crafter::CrafterEnvironment;
use sojourn_crafter::game::{Item, Move};
use sojourn_tools::{Action, Environment, EnvironmentError, Snapshot, ToolCall};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn call(name: &str, args: &serde_json::Value) -> ToolCall {
    ToolCall { name: name.into(), args: args.as_object().cloned().unwrap_or_default() }
}

fn is_refused(result: &Result<(), EnvironmentError>) -> bool {
    matches!(result, Err(EnvironmentError::BadSnapshot { .. }))
}

/// Plays to the end of the episode and records everything observable.
async fn play(crafter: &mut CrafterEnvironment, actions: &[Move]) -> Vec<String> {
    let mut told = Vec::new();
    for action in actions {
        match crafter.step(&Action(action.name().into())).await {
            Ok(outcome) => told.push(serde_json::to_string(&outcome).unwrap()),
            Err(error) => told.push(error.to_string()),
        }
        told.push(format!("{:?}", crafter.advance()));
        told.push(crafter.observe().unwrap().text);
    }
    told
}

async fn played(seed: u64, actions: &[Move]) -> CrafterEnvironment {
    let mut crafter = CrafterEnvironment::new();
    crafter.reset(seed).await.unwrap();
    for item in [Item::Wood, Item::Stone, Item::Sapling, Item::WoodPickaxe] {
        crafter.give(item, 5).unwrap();
    }
    for action in actions {
        let _ = crafter.step(&Action(action.name().into())).await;
    }
    // The current call is part of the state.
    let _ = crafter.begin(&call("explore", &serde_json::json!({"n": 30})));
    let _ = crafter.advance();
    crafter
}

fn actions(length: usize) -> impl Strategy<Value = Vec<Move>> {
    prop::collection::vec(prop::sample::select(Move::ALL), 0..length)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_restored_world_continues_identically(seed: u64, before in actions(300), after in actions(200)) {
        run(async {
            let mut crafter = played(seed, &before).await;
            let snapshot = crafter.snapshot().unwrap();
            prop_assert!(snapshot.0.len() < 40_000, "{} bytes", snapshot.0.len());
            let mut restored = CrafterEnvironment::new();
            restored.restore(&snapshot).unwrap();
            prop_assert_eq!(restored.snapshot().unwrap(), snapshot.clone());
            let expected = play(&mut crafter, &after).await;
            prop_assert_eq!(play(&mut restored, &after).await, expected.clone());
            crafter.restore(&snapshot).unwrap();
            prop_assert_eq!(play(&mut crafter, &after).await, expected);
            Ok(())
        })?;
    }

    #[test]
    fn random_bytes_are_rejected(bytes: Vec<u8>) {
        let refused = CrafterEnvironment::new().restore(&Snapshot(bytes));
        prop_assert!(is_refused(&refused));
    }

    #[test]
    fn a_damaged_snapshot_is_rejected(at: prop::sample::Index, flip in 1_u8.., cut: prop::sample::Index) {
        let Snapshot(bytes) = run(played(3, &[])).snapshot().unwrap();
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= flip;
        for damaged in [flipped, bytes[..cut.index(bytes.len())].to_vec()] {
            let refused = CrafterEnvironment::new().restore(&Snapshot(damaged));
            prop_assert!(is_refused(&refused));
        }
    }

    /// Forged bytes with a valid checksum are rejected or give a playable world.
    #[test]
    fn a_forged_snapshot_never_panics(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let Snapshot(mut bytes) = run(played(3, &[Move::Left; 20])).snapshot().unwrap();
        for (at, byte) in flips {
            let at = 16 + at.index(bytes.len() - 16);
            bytes[at] = byte;
        }
        let sum = bytes[16..].iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        bytes[8..16].copy_from_slice(&sum.to_le_bytes());
        let mut crafter = CrafterEnvironment::new();
        if crafter.restore(&Snapshot(bytes)).is_ok() {
            run(play(&mut crafter, &[Move::Do, Move::Up, Move::Left, Move::Noop]));
        }
    }
}
