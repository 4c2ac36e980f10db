//! Pictures of a world: as many as asked for, each once, and never taken by a replay.

use super::tools_lab::{LIGHT, Lab, cut, new_run};
use sojourn_core::{ControlRecord, FrameRate, LogRecord, Outcome, RecordKind};
use sojourn_memory::{BlobId, Record, RecordQuery, Store};
use sojourn_tools::PolicyFile;

fn lab(frames: FrameRate) -> Lab {
    let mut lab = Lab::new(PolicyFile::default(), &[LIGHT]);
    lab.started.config.frames = frames;
    lab
}

/// The bytes of the pictures in the log, in order.
async fn pictures(store: &Store, records: &[Record]) -> Vec<char> {
    let mut seen = Vec::new();
    for record in records {
        let Some(LogRecord::ControlRecord(control)) = LogRecord::read(store, record).await.unwrap() else {
            continue;
        };
        let ControlRecord::FrameTaken { frame } = *control else { continue };
        let id: BlobId = frame.blob.parse().unwrap();
        assert!(record.blobs.contains(&id));
        assert_eq!((frame.source.as_str(), frame.mime.as_str(), frame.width), ("lamp", "image/gif", Some(3)));
        seen.push(char::from(*store.blob(&id).await.unwrap().last().unwrap()));
    }
    seen
}

#[tokio::test]
async fn pictures_are_taken_as_often_as_asked_and_a_replay_takes_none() {
    for (rate, expected) in [
        (FrameRate::Off, vec![]),
        (FrameRate::Episode, vec!['0', '1']),
        (FrameRate::Step, vec!['0', '1', '0', '1']),
    ] {
        let lab = lab(rate);
        let (_home, store, records) = lab.first().await;
        assert_eq!(pictures(&store, &records).await, expected, "{rate:?}");
        let before_the_end = records.iter().rposition(|record| RecordKind::Finish.is(record)).unwrap();
        assert!(records[before_the_end..].iter().all(|record| !RecordKind::FrameTaken.is(record)));
        assert!(store.verify(&new_run().id, |_, _| ()).await.unwrap().is_intact());
        assert!(matches!(lab.drive(&store, records, None, lab.nobody()).await, Outcome::Finished(_)));
    }
}

#[tokio::test]
async fn a_run_that_was_killed_anywhere_goes_on_with_its_pictures() {
    let lab = lab(FrameRate::Step);
    let (_home, store, records) = lab.first().await;
    for at in 2..records.len() {
        let before = &records[..at];
        let (_scratch, copy, writer) = cut(&store, before).await;
        let asked = before.iter().filter(|record| RecordKind::ControllerAnswered.is(record)).count() as u64;
        lab.drive(&copy, before.to_vec(), Some(writer), lab.controller(asked)).await;
        let all = copy.records(&new_run().id, &RecordQuery::all()).await.unwrap();
        let steps = all.iter().filter(|record| RecordKind::Stepped.is(record)).count();
        // The picture after the last record before the death may be missing, no other.
        let taken = pictures(&copy, &all).await.len();
        assert!(steps == 3 && (3..=4).contains(&taken), "{taken} pictures, cut after record {at}");
        assert!(matches!(lab.drive(&copy, all, None, lab.nobody()).await, Outcome::Finished(_)));
    }
}

#[tokio::test]
async fn no_more_pictures_are_taken_than_the_budget_holds_and_the_run_goes_on() {
    let mut lab = lab(FrameRate::Step);
    lab.started.config.budgets.frame_bytes = Some(20);
    let (_home, store, records) = lab.first().await;
    // The second picture is over the budget; the one after it is equal to the first and costs nothing.
    assert_eq!(pictures(&store, &records).await, ['0']);
    assert_eq!(records.iter().filter(|record| RecordKind::Stepped.is(record)).count(), 3);
}
