//! How well recall finds the evidence of a question: `LoCoMo` (Maharana et al. 2024, arXiv 2402.17753), without a judge.
//!
//! Every turn of a conversation is a memory, every session a run. A question's evidence is the turns that its author
//! marked; questions of category 5 have none and are left out. Printed are the share of the evidence among the ten
//! memories recalled, averaged over questions, and the share of questions with a memory from a right session.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "progress and the result")]

use crate::args::Locomo;
use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use serde_json::{Value, json};
use sojourn_controller::Embedder;
use sojourn_controller::llama::LlamaEmbedder;
use sojourn_controller::models::Models;
use sojourn_memory::{
    EventSeq, Memories, MemoryKind, NewMemory, Query, RankingWeights, RunId, Store, Tenant, TextEmbedder,
    Tick,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const MODEL: &str = "all-minilm-l6-v2";
/// The number of recalled memories.
const K: usize = 10;
/// The cache of embedded conversations.
const CACHE: &str = "target/locomo";
/// The tenant whose memories are the questions, so that each is embedded once.
const QUESTIONS: &str = "questions";

/// A question and the turns that answer it.
struct Question {
    conversation: Tenant,
    text: String,
    category: u64,
    evidence: BTreeSet<Turn>,
}

/// A session and a turn of it, both from 1.
type Turn = (u64, u64);

/// Measures on all conversations in a directory.
pub async fn measure(args: &Locomo) -> Result<()> {
    let Locomo { data, grid, json } = args;
    let memories = Memories::new(Store::open(CACHE).await?);
    let (tenants, questions) = load(&memories, data).await?;
    embed(&memories, &tenants).await?;
    let vectors = question_vectors(&memories).await?;
    let mut rows = Vec::new();
    let rankings = if *grid { self::grid() } else { ablation() };
    for (name, ranking) in rankings {
        rows.push((name, score(&memories, &questions, &vectors, ranking).await?));
    }
    report(&rows, &questions, *json);
    Ok(())
}

/// A grid of weights.
fn grid() -> Vec<(String, RankingWeights)> {
    let mut rankings = Vec::new();
    for words in [0.8, 1.0, 1.25] {
        for neighbours in [0.0, 0.1, 0.15, 0.2, 0.3, 0.4] {
            let ranking = RankingWeights { keywords: words, neighbours, ..RankingWeights::default() };
            rankings.push((format!("words {words} neighbours {neighbours}"), ranking));
        }
    }
    rankings
}

/// Rankings with one part left out each.
fn ablation() -> Vec<(String, RankingWeights)> {
    let full = RankingWeights::default();
    let bare = RankingWeights { neighbours: 0.0, ..full };
    let rankings = [
        ("as the product ranks", full),
        ("without neighbours", bare),
        ("words alone", RankingWeights { similarity: 0.0, ..bare }),
        ("meaning alone", RankingWeights { keywords: 0.0, ..bare }),
        ("words and neighbours", RankingWeights { similarity: 0.0, ..full }),
        ("meaning and neighbours", RankingWeights { keywords: 0.0, ..full }),
    ];
    rankings.into_iter().map(|(name, ranking)| (name.to_owned(), ranking)).collect()
}

async fn load(memories: &Memories, data: &Path) -> Result<(Vec<Tenant>, Vec<Question>)> {
    let entries = std::fs::read_dir(data).with_context(|| format!("cannot read `{}`", data.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    if files.is_empty() {
        bail!("no conversations (*.json) in `{}`", data.display());
    }
    let asked = Tenant::new(QUESTIONS)?;
    let (mut tenants, mut questions) = (vec![asked.clone()], Vec::new());
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let conversation: Value = serde_json::from_slice(&std::fs::read(&file)?)
            .with_context(|| format!("`{}` is not JSON", file.display()))?;
        let tenant = Tenant::new(name)?;
        remember_turns(memories, &tenant, &conversation).await?;
        for question in questions_of(&tenant, &conversation) {
            let memory = NewMemory {
                seq: EventSeq(questions.len() as u64),
                ..NewMemory::new(asked.clone(), MemoryKind::Knowledge, question.text.clone())
            };
            memories.remember(&memory, &[]).await?;
            questions.push(question);
        }
        tenants.push(tenant);
    }
    Ok((tenants, questions))
}

async fn remember_turns(memories: &Memories, tenant: &Tenant, conversation: &Value) -> Result<()> {
    for session in 1.. {
        let Some(turns) = conversation[format!("session_{session}")].as_array() else { return Ok(()) };
        let run: RunId = format!("session-{session}").parse()?;
        for turn in turns {
            let (speaker, said) =
                (turn["speaker"].as_str().unwrap_or_default(), turn["text"].as_str().unwrap_or_default());
            let mut text = format!("{speaker}: {said}");
            if let Some(caption) = turn["blip_caption"].as_str() {
                text = format!("{text} (shows {caption})");
            }
            let Some(place) = turn["dia_id"].as_str().and_then(|id| turns_in(id).pop()) else { continue };
            let memory = NewMemory {
                run: Some(run.clone()),
                seq: EventSeq(place.1),
                ..NewMemory::new(tenant.clone(), MemoryKind::Episode, text)
            };
            memories.remember(&memory, &[]).await?;
        }
    }
    Ok(())
}

fn questions_of(tenant: &Tenant, conversation: &Value) -> Vec<Question> {
    let all = conversation["qa"].as_array().map(Vec::as_slice).unwrap_or_default();
    let question = |qa: &Value| {
        let evidence =
            qa["evidence"].as_array()?.iter().filter_map(Value::as_str).flat_map(turns_in).collect();
        Some(Question {
            conversation: tenant.clone(),
            text: qa["question"].as_str()?.to_owned(),
            category: qa["category"].as_u64()?,
            evidence,
        })
    };
    let answerable = |question: &Question| question.category != 5 && !question.evidence.is_empty();
    all.iter().filter_map(question).filter(answerable).collect()
}

/// The turns that a text names: "D8:6; D9:17".
fn turns_in(text: &str) -> Vec<Turn> {
    let place = |part: &str| {
        let (session, turn) = part.strip_prefix('D')?.split_once(':')?;
        Some((session.parse().ok()?, turn.parse().ok()?))
    };
    text.split(|c: char| c.is_whitespace() || c == ';' || c == ',').filter_map(place).collect()
}

/// The product's embedding model.
struct MiniLm(LlamaEmbedder);

#[async_trait]
impl TextEmbedder for MiniLm {
    fn model(&self) -> &str {
        MODEL
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, String> {
        self.0.embed(texts).await.map_err(|error| error.to_string())
    }
}

async fn embed(memories: &Memories, tenants: &[Tenant]) -> Result<()> {
    let path =
        Models::open(None)?.path(MODEL).context("fetch it with `sojourn models pull all-minilm-l6-v2`")?;
    let embedder = MiniLm(LlamaEmbedder::open(&path).await?);
    for tenant in tenants {
        let progress = |progress: sojourn_memory::IndexProgress| {
            if progress.done.is_multiple_of(256) {
                eprintln!("{}: {} of {} embedded", tenant.as_str(), progress.done, progress.of);
            }
        };
        memories.embed_missing(tenant, &embedder, &progress).await?;
    }
    Ok(())
}

async fn question_vectors(memories: &Memories) -> Result<BTreeMap<String, Vec<f32>>> {
    let all = memories.export(&Tenant::new(QUESTIONS)?, Tick(0), usize::MAX, true).await?;
    Ok(all
        .into_iter()
        .filter_map(|mut question| Some((question.memory.text, question.vectors.pop()?.vector)))
        .collect())
}

/// Sums over the questions of one category.
#[derive(Default, Clone, Copy)]
struct Sums {
    questions: f64,
    turns: f64,
    sessions: f64,
}

type Scores = BTreeMap<u64, Sums>;

async fn score(
    memories: &Memories,
    questions: &[Question],
    vectors: &BTreeMap<String, Vec<f32>>,
    ranking: RankingWeights,
) -> Result<Scores> {
    let mut scores = Scores::new();
    for question in questions {
        let vector = vectors.get(&question.text).context("a question was not embedded")?;
        let query = Query {
            vectors: vec![(MODEL, vector)],
            k: K,
            ranking,
            ..Query::new(&question.conversation, &question.text)
        };
        let recalled: BTreeSet<Turn> = memories
            .recall(&query)
            .await?
            .into_iter()
            .filter_map(|hit| {
                let session = hit.memory.run?.as_str().strip_prefix("session-")?.parse().ok()?;
                Some((session, hit.memory.seq.0))
            })
            .collect();
        let found = question.evidence.intersection(&recalled).count() as f64;
        let right = |turn: &Turn| question.evidence.iter().any(|evidence| evidence.0 == turn.0);
        let sums = scores.entry(question.category).or_default();
        sums.questions += 1.0;
        sums.turns += found / question.evidence.len() as f64;
        sums.sessions += f64::from(u8::from(recalled.iter().any(right)));
    }
    Ok(scores)
}

fn total(scores: &Scores) -> Sums {
    scores.values().fold(Sums::default(), |all, one| Sums {
        questions: all.questions + one.questions,
        turns: all.turns + one.turns,
        sessions: all.sessions + one.sessions,
    })
}

fn report(rows: &[(String, Scores)], questions: &[Question], as_json: bool) {
    if as_json {
        let row = |(name, scores): &(String, Scores)| {
            let all = total(scores);
            let turns: BTreeMap<_, _> = scores
                .iter()
                .map(|(category, sums)| (category.to_string(), sums.turns / sums.questions))
                .collect();
            json!({
                "ranking": name,
                "turn_recall_at_10": all.turns / all.questions,
                "session_hit_at_10": all.sessions / all.questions,
                "turn_recall_at_10_by_category": turns,
            })
        };
        let rows: Vec<Value> = rows.iter().map(row).collect();
        println!("{:#}", json!({"questions": questions.len(), "model": MODEL, "rankings": rows}));
        return;
    }
    println!("{} questions, {MODEL}", questions.len());
    println!(
        "{:<28}{:>14}{:>16}   by category 1 (several turns), 2 (time), 3 (inference), 4 (one turn)",
        "ranking", "turn recall@10", "session hit@10"
    );
    for (name, scores) in rows {
        let all = total(scores);
        let by: Vec<String> =
            scores.values().map(|sums| format!("{:.3}", sums.turns / sums.questions)).collect();
        println!(
            "{name:<28}{:>14.3}{:>16.3}   {}",
            all.turns / all.questions,
            all.sessions / all.questions,
            by.join("  ")
        );
    }
}
