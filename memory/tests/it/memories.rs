//! Guarantees of recall and search.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::common::{home, open_store, run_id, runtime};
use proptest::prelude::*;
use sojourn_memory::{
    Credit, EmbeddedVectors, Embedding, Error, EventSeq, ExactVectors, Hit, Memories, MemoryKind, NewMemory,
    Query, Tenant, Tick, conformance, estimated_tokens,
};

const MODEL: &str = "toy";

fn tenant(name: &str) -> Tenant {
    Tenant::new(name).unwrap()
}

async fn open(home: &tempfile::TempDir) -> Memories {
    Memories::new(open_store(home.path()).await)
}

/// The `n`-th memory of the test run.
fn lesson(owner: &Tenant, n: u64, text: &str) -> NewMemory {
    NewMemory {
        run: Some(run_id()),
        seq: EventSeq(n),
        ..NewMemory::new(owner.clone(), MemoryKind::Reflection, text)
    }
}

/// Embeds a text by its letters, so that texts with common letters are similar.
fn embed(text: &str) -> Embedding {
    let mut vector = vec![0.1; 27];
    for byte in text.bytes().filter(u8::is_ascii_alphabetic) {
        vector[(byte.to_ascii_lowercase() - b'a') as usize] += 1.0;
    }
    Embedding { model: MODEL.to_owned(), vector }
}

async fn remember(memories: &Memories, owner: &Tenant, texts: &[impl AsRef<str>]) {
    for (n, text) in texts.iter().map(AsRef::as_ref).enumerate() {
        memories.remember(&lesson(owner, n as u64, text), &[embed(text)]).await.unwrap();
    }
}

fn texts(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.memory.text.as_str()).collect()
}

#[tokio::test]
async fn exact_and_embedded_indexes_conform() {
    conformance::check(&ExactVectors::new(), 1.0).await.unwrap();
    conformance::check(&EmbeddedVectors::in_memory(16_384), 1.0).await.unwrap();
}

#[tokio::test]
async fn hnsw_graph_conforms() {
    let home = home();
    conformance::check(&EmbeddedVectors::in_memory(100), 0.95).await.unwrap();
    conformance::check(&EmbeddedVectors::open(home.path(), [7; 16]), 0.95).await.unwrap();
}

const LESSONS: [&str; 6] = [
    "Zombies come at night: sleep only behind stones.",
    "A wooden pickaxe needs a table nearby and one wood.",
    "Place a table before making any tool; it costs wood.",
    "Water is left of the start.",
    "Cows are food: hit one six times.",
    "Iron is found in caves, next to coal.",
];

#[tokio::test]
async fn keyword_and_vector_search_both_find() {
    let home = home();
    let memories = open(&home).await;
    let owner = tenant("a");
    remember(&memories, &owner, &LESSONS).await;
    let by_words = memories.recall(&Query::new(&owner, "which pickaxe, and what wood?")).await.unwrap();
    assert_eq!(by_words[0].memory.text, LESSONS[1]);
    assert!(by_words[0].why.bm25 > 0.0 && by_words[0].why.cosine.is_none());
    let vector = embed(LESSONS[4]).vector;
    let query = Query { vectors: vec![(MODEL, &vector)], ..Query::new(&owner, "") };
    let by_meaning = memories.recall(&query).await.unwrap();
    assert_eq!(by_meaning[0].memory.text, LESSONS[4]);
    assert!(by_meaning[0].why.cosine.unwrap() > 0.999);
    let sources = &by_meaning[0].memory.sources;
    assert_eq!((sources[0].run.clone(), sources[0].seq), (run_id(), EventSeq(4)));
}

#[tokio::test]
async fn filters_restrict_recall() {
    let home = home();
    let memories = open(&home).await;
    let owner = tenant("a");
    let base = |n, text| lesson(&owner, n, text);
    let all = [
        NewMemory { kind: MemoryKind::Fact, ..base(0, "wood fact") },
        NewMemory { environment: Some("crafter".into()), ..base(1, "wood crafter") },
        NewMemory { environment: Some("web".into()), ..base(2, "wood web") },
        NewMemory { run: None, ..base(3, "wood elsewhere") },
        NewMemory { expires_at_ms: Some(100), ..base(4, "wood expired") },
        NewMemory { expires_at_ms: Some(100), pinned: true, ..base(5, "wood pinned") },
    ];
    for new in &all {
        memories.remember(new, &[]).await.unwrap();
    }
    let base = Query { k: 10, now_ms: 100, ..Query::new(&owner, "wood") };
    let found = async |query: Query<'_>| {
        let hits = memories.recall(&query).await.unwrap();
        let mut last: Vec<_> =
            texts(&hits).iter().map(|text| text.rsplit(' ').next().unwrap().to_owned()).collect();
        last.sort();
        last.join(" ")
    };
    assert_eq!(found(base.clone()).await, "crafter elsewhere fact pinned web");
    assert_eq!(
        found(Query { now_ms: 99, ..base.clone() }).await,
        "crafter elsewhere expired fact pinned web"
    );
    assert_eq!(found(Query { kinds: &[MemoryKind::Fact], ..base.clone() }).await, "fact");
    assert_eq!(found(Query { environment: Some("web"), ..base.clone() }).await, "elsewhere fact pinned web");
    assert_eq!(found(Query { run: Some(&run_id()), ..base.clone() }).await, "crafter fact pinned web");
    assert_eq!(found(Query { k: 0, ..base.clone() }).await, "");
    assert_eq!(found(Query { token_budget: 0, ..base }).await, "");
}

#[tokio::test]
async fn neighbours_recency_and_importance_affect_the_score() {
    let home = home();
    let memories = open(&home).await;
    let owner = tenant("a");
    let hour = 3_600_000;
    for (n, text, importance, event_time_ms) in [
        (0, "the diamond lies beyond the lava", 5.0, 0),
        (1, "bring stones to cross", 5.0, 0),
        (20, "apples grow", 5.0, 100 * hour),
        (40, "pears grow", 9.0, 100 * hour),
    ] {
        let run = if n < 10 { Some(run_id()) } else { None };
        let new = NewMemory { importance, event_time_ms, run, ..lesson(&owner, n, text) };
        memories.remember(&new, &[]).await.unwrap();
    }
    let query = Query { now_ms: 100 * hour, ..Query::new(&owner, "diamond") };
    let hits = memories.recall(&query).await.unwrap();
    assert_eq!(texts(&hits)[..2], ["the diamond lies beyond the lava", "bring stones to cross"]);
    assert!(hits[1].why.neighbours > 0.0 && hits[1].why.bm25 == 0.0);
    let hits = memories.recall(&Query { text: "", ..query }).await.unwrap();
    assert_eq!(texts(&hits)[..2], ["pears grow", "apples grow"]);
    assert!((hits[2].why.recency - 0.995_f64.powi(100)).abs() < 1e-12);
}

#[tokio::test]
async fn recall_as_of_a_tick_is_repeatable() {
    let home = home();
    let memories = open(&home).await;
    let (owner, other) = (tenant("a"), tenant("b"));
    remember(&memories, &owner, &LESSONS[..4]).await;
    let vector = embed("wood").vector;
    let query = Query { vectors: vec![(MODEL, &vector)], k: 10, ..Query::new(&owner, "wood at night") };
    let then = memories.now().await.unwrap();
    let before = memories.recall(&query).await.unwrap();
    assert_eq!(before.len(), 4);

    remember(&memories, &other, &LESSONS).await;
    memories.remember(&lesson(&owner, 9, "wood wood wood at night"), &[embed("wood")]).await.unwrap();
    assert!(memories.invalidate(&owner, &before[0].memory.id, 0).await.unwrap());
    let after = memories.recall(&query).await.unwrap();
    assert!(after.iter().all(|hit| hit.memory.id != before[0].memory.id));
    assert_eq!(after[0].memory.text, "wood wood wood at night");

    let repeated = Query { as_of: Some(then), ..query.clone() };
    let ranked =
        |hits: &[Hit]| hits.iter().map(|hit| (hit.memory.id, hit.score.to_bits())).collect::<Vec<_>>();
    assert_eq!(ranked(&memories.recall(&repeated).await.unwrap()), ranked(&before));
    // A new process ranks from the tables alone.
    let fresh = Memories::new(open_store(home.path()).await);
    assert_eq!(ranked(&fresh.recall(&repeated).await.unwrap()), ranked(&before));
    assert_eq!(ranked(&fresh.recall(&query).await.unwrap()), ranked(&after));
    assert!(memories.recall(&Query { as_of: Some(Tick(0)), ..query }).await.unwrap().is_empty());
}

#[tokio::test]
async fn remember_is_idempotent_and_rejects_invalid_memories() {
    let home = home();
    let memories = open(&home).await;
    let owner = tenant("a");
    let new = lesson(&owner, 1, "wood");
    let first = memories.remember(&new, &[embed("wood")]).await.unwrap();
    assert_eq!(memories.remember(&new, &[embed("wood")]).await.unwrap(), first);
    let changed = memories.remember(&NewMemory { text: "stone".into(), ..new.clone() }, &[]).await;
    assert!(matches!(changed, Err(Error::MemoryExists { .. })));
    let next = NewMemory { ordinal: 1, ..new.clone() };
    let short = Embedding { model: MODEL.into(), vector: vec![1.0; 3] };
    let refused = memories.remember(&next, &[short]).await;
    assert!(matches!(refused, Err(Error::Dimension { expected: 27, found: 3, .. })), "{refused:?}");
    assert_eq!(memories.get(&owner, &next.id()).await.unwrap(), None);
    for bad in [
        NewMemory { text: " \n".into(), ..next.clone() },
        NewMemory { text: "x".repeat(1 << 20), ..next.clone() },
        NewMemory { importance: f32::NAN, ..next.clone() },
        NewMemory { importance: 11.0, ..next.clone() },
    ] {
        assert!(matches!(memories.remember(&bad, &[]).await, Err(Error::BadMemory { .. })));
    }
    let zero = [0.0; 27];
    let query = Query { vectors: vec![(MODEL, &zero)], ..Query::new(&owner, "wood") };
    assert!(matches!(memories.recall(&query).await, Err(Error::BadVector { .. })));
    assert!(Tenant::new("").is_err());
    assert_eq!(memories.stats(&owner).await.unwrap().kinds[&MemoryKind::Reflection], 1);
}

#[tokio::test]
async fn equal_texts_are_recalled_once() {
    let home = home();
    let memories = open(&home).await;
    let owner = tenant("a");
    remember(&memories, &owner, &["Collect wood.", "collect  WOOD.", "collect stone."]).await;
    let hits = memories.recall(&Query::new(&owner, "collect wood.")).await.unwrap();
    assert_eq!(hits.len(), 2);
    assert!(hits[0].why.exact && !hits[1].why.exact);
}

#[tokio::test]
async fn search_get_and_credit_work() {
    let home = home();
    let memories = open(&home).await;
    let (owner, other) = (tenant("a"), tenant("b"));
    remember(&memories, &owner, &LESSONS).await;
    let found = memories.search(&owner, "WOOD table", 10).await.unwrap();
    assert_eq!(found.len(), 2);
    assert!(found[0].snippet.contains("[table]"), "{}", found[0].snippet);
    assert!(memories.search(&other, "wood table", 10).await.unwrap().is_empty());
    let id = found[0].memory.id;
    assert!(memories.credit(&owner, &id, Credit::Helpful).await.unwrap());
    assert!(memories.credit(&owner, &id, Credit::Harmful).await.unwrap());
    assert!(!memories.credit(&other, &id, Credit::Harmful).await.unwrap());
    let shown = memories.get(&owner, &id).await.unwrap().unwrap();
    assert_eq!((shown.helpful, shown.harmful), (1, 1));
    assert_eq!(memories.get(&other, &id).await.unwrap(), None);
    let page = memories.list(&owner, Tick(0), 4).await.unwrap();
    let rest = memories.list(&owner, page[3].made, 4).await.unwrap();
    assert_eq!((page.len(), rest.len()), (4, 2));
}

#[tokio::test]
async fn forgotten_memory_leaves_no_trace() {
    let home = home();
    let memories = open(&home).await;
    let (owner, other) = (tenant("a"), tenant("b"));
    remember(&memories, &owner, &LESSONS).await;
    let secret = lesson(&owner, 9, "the xylophone password is quetzalcoatl");
    memories.remember(&secret, &[embed("secret")]).await.unwrap();
    let second = Memories::new(open_store(home.path()).await);
    let query = Query::new(&owner, "quetzalcoatl");
    assert_eq!(texts(&second.recall(&query).await.unwrap())[0], secret.text);

    assert_eq!(memories.forget(&other, &secret.id()).await.unwrap(), None);
    let gone = memories.forget(&owner, &secret.id()).await.unwrap().unwrap();
    assert_eq!((gone.id, gone.models), (secret.id(), vec![MODEL.to_owned()]));
    assert!(gone.residue.is_empty() && gone.files > 0);
    for memories in [&memories, &second] {
        assert!(!texts(&memories.recall(&query).await.unwrap()).contains(&secret.text.as_str()));
        assert!(memories.search(&owner, "quetzalcoatl", 5).await.unwrap().is_empty());
        assert_eq!(memories.stats(&owner).await.unwrap().vectors[0].count, LESSONS.len() as u64);
    }
    for file in std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_file() {
            let bytes = std::fs::read(&file).unwrap();
            let found = bytes.windows(12).any(|window| window == b"quetzalcoatl");
            assert!(!found, "the text is still in {}", file.display());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Any text is a valid query, and the result obeys the rules of recall.
    #[test]
    fn recall_obeys_its_rules(
        mine in prop::collection::vec("\\PC{1,40}", 1..12),
        theirs in prop::collection::vec("\\PC{1,40}", 0..6),
        asked in prop_oneof![any::<String>(), Just(String::new()), "[\"*:^()\u{0}-]{1,30}"],
        pick in any::<prop::sample::Index>(),
        k in 0..8_usize,
        token_budget in 0..40_usize,
    ) {
        runtime().block_on(async {
            let mine: Vec<String> = mine.into_iter().filter(|text| !text.trim().is_empty()).collect();
            let theirs: Vec<String> = theirs.into_iter().filter(|text| !text.trim().is_empty()).collect();
            let home = home();
            let memories = open(&home).await;
            let (owner, other) = (tenant("mine"), tenant("theirs"));
            remember(&memories, &owner, &mine).await;
            let vector = embed(&asked).vector;
            let query = Query {
                vectors: vec![(MODEL, &vector)], k, token_budget, ..Query::new(&owner, &asked)
            };
            let alone = memories.recall(&query).await.unwrap();
            remember(&memories, &other, &theirs).await;
            let hits = memories.recall(&query).await.unwrap();
            prop_assert_eq!(&hits, &alone, "another tenant changed the result");
            prop_assert!(hits.len() <= k);
            prop_assert!(hits.iter().all(|hit| hit.memory.tenant == owner));
            let tokens: usize = hits.iter().map(|hit| estimated_tokens(&hit.memory.text)).sum();
            prop_assert!(tokens <= token_budget);
            let order = |hit: &Hit| (hit.why.exact, hit.score);
            prop_assert!(hits.windows(2).all(|pair| order(&pair[0]) >= order(&pair[1])));
            memories.search(&owner, &asked, 5).await.unwrap();
            if !mine.is_empty() {
                let wanted = pick.get(&mine);
                let vector = embed(wanted).vector;
                let query = Query { vectors: vec![(MODEL, &vector)], ..Query::new(&owner, wanted) };
                let hits = memories.recall(&query).await.unwrap();
                prop_assert!(hits[0].why.exact, "{:?} is not first in {:?}", wanted, hits);
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn any_text_is_stored_unchanged() {
    let home = home();
    let memories = open(&home).await;
    let owner = tenant("a");
    let texts = ["a\0wood\0b", "木を切る", "نص عربي \u{202e}", "ä\u{308}\u{200d}👩‍🚀 \u{fffd}", "' OR 1=1; --"];
    remember(&memories, &owner, &texts).await;
    drop(memories);
    let memories = open(&home).await;
    let mut kept: Vec<String> =
        memories.list(&owner, Tick(0), 10).await.unwrap().into_iter().map(|memory| memory.text).collect();
    kept.sort_unstable();
    let mut expected = texts.map(str::to_owned);
    expected.sort_unstable();
    assert_eq!(kept, expected);
    for text in texts {
        assert!(memories.recall(&Query::new(&owner, text)).await.unwrap()[0].why.exact, "{text:?}");
    }
}

#[tokio::test]
async fn huge_query_is_answered() {
    let home = home();
    let memories = open(&home).await;
    let owner = tenant("a");
    remember(&memories, &owner, &LESSONS).await;
    let text = "table \0 \" OR * é 木 ".repeat(60_000);
    assert!(text.len() > 1 << 20);
    assert!(memories.recall(&Query::new(&owner, &text)).await.unwrap()[0].memory.text.contains("table"));
    memories.search(&owner, &text, 5).await.unwrap();
}

sojourn_testkit::also_in_postgres!(
    keyword_and_vector_search_both_find,
    filters_restrict_recall,
    neighbours_recency_and_importance_affect_the_score,
    recall_as_of_a_tick_is_repeatable,
    remember_is_idempotent_and_rejects_invalid_memories,
    equal_texts_are_recalled_once,
    search_get_and_credit_work,
    recall_obeys_its_rules,
    any_text_is_stored_unchanged,
);
