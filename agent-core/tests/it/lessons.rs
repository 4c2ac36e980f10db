//! A contradicted lesson is closed only when what came of it speaks against it too.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use sojourn_core::{Edit, Noted, Provenance};
use sojourn_memory::{EventSeq, Memories, MemoryId, RunId, Store, Tenant};

struct Lab {
    _home: tempfile::TempDir,
    memories: Memories,
    provenance: Provenance,
    seq: u64,
}

impl Lab {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).await.unwrap();
        let provenance = Provenance {
            tenant: Tenant::new("someone").unwrap(),
            environment: "meadow".into(),
            run: RunId::new(1, 1),
        };
        Self { _home: home, memories: Memories::new(store), provenance, seq: 0 }
    }

    fn noted(&mut self) -> Noted {
        self.seq += 1;
        let at_ms = i64::try_from(self.seq).unwrap() * 1000;
        Noted { seq: EventSeq(self.seq), at_ms, replayed: false, foreign: false }
    }

    async fn consolidate(&mut self, edits: &[Edit]) {
        let noted = self.noted();
        assert!(self.provenance.consolidate(&self.memories, edits, noted).await.unwrap());
        assert!(!self.provenance.consolidate(&self.memories, edits, noted).await.unwrap(), "done twice");
    }

    async fn credit(&mut self, id: MemoryId, helped: bool) {
        let noted = self.noted();
        self.provenance.credit(&self.memories, &[id], helped, noted).await.unwrap();
    }

    /// The ids of the lessons that are still held to be true.
    async fn held(&self) -> Vec<(MemoryId, String)> {
        let page =
            self.memories.export(&self.provenance.tenant, sojourn_memory::Tick(0), 100, true).await.unwrap();
        let true_yet =
            page.into_iter().map(|exported| exported.memory).filter(|memory| memory.valid_to_ms.is_none());
        true_yet.map(|memory| (memory.id, memory.text)).collect()
    }

    async fn id_of(&self, text: &str) -> MemoryId {
        self.held().await.into_iter().find(|(_, held)| held == text).map(|(id, _)| id).unwrap()
    }
}

fn add(text: &str) -> Edit {
    Edit::Add { text: text.into(), importance: 5.0, sources: vec![EventSeq(1)], untrusted: false }
}

#[tokio::test]
async fn a_contradicted_lesson_stays_until_it_did_more_harm_than_good() {
    let mut lab = Lab::new().await;
    lab.consolidate(&[add("cows flee by day")]).await;
    let old = lab.id_of("cows flee by day").await;
    for helped in [true, false] {
        lab.credit(old, helped).await;
    }
    lab.consolidate(&[add("cows stand still"), Edit::Close { older: old, added: 0 }]).await;
    assert_eq!(lab.held().await.len(), 2, "as much good as harm");
    lab.credit(old, false).await;
    lab.consolidate(&[add("cows graze"), Edit::Close { older: old, added: 0 }]).await;
    let held: Vec<String> = lab.held().await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(held, ["cows stand still", "cows graze"]);
    let closed = lab.memories.get(&lab.provenance.tenant, &old).await.unwrap().unwrap();
    assert!(closed.valid_to_ms.is_some(), "it is kept, as what was believed until then");
}
