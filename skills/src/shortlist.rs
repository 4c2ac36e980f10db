use crate::{Entry, LibraryState, Manifest, SkillId, Usage};
use sojourn_tools::Condition;
use std::collections::{BTreeMap, BTreeSet};

/// Default limit on the skills that are offered. With hundreds of skills, models choose the wrong one up to
/// 20 % of the time.
pub const ACTIVE_SKILLS: usize = 64;

/// Limit on the length of a shortlist.
pub const SHORTLIST: usize = 5;

/// Weight of a use whose context shares no word with the query's; a use in the same context weighs 1.
const UNRELATED_WEIGHT: f64 = 0.2;

/// BM25 parameters: saturation of term frequency and weight of document length (Robertson & Zaragoza, "The
/// Probabilistic Relevance Framework: BM25 and Beyond", 2009, section 3.2: usual values).
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// A search index over active skills, by words and optionally by embedding.
///
/// If there are too many skills, it keeps those with the best success rate, then the most used. It contains
/// no reflexes, because they are never called.
#[derive(Debug, Clone, Default)]
pub struct Index {
    documents: Vec<Document>,
    /// Number of documents that contain each term.
    frequency: BTreeMap<String, usize>,
    mean_length: f64,
    /// Embedding model of the documents' vectors.
    model: Option<String>,
}

#[derive(Debug, Clone)]
struct Document {
    id: SkillId,
    name: String,
    usage: BTreeMap<String, Usage>,
    terms: BTreeMap<String, usize>,
    length: usize,
    vector: Option<Vec<f32>>,
}

/// A search query.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<'a> {
    /// The task in words.
    pub text: &'a str,
    /// Embedding of the task and the name of its model. Compared only with vectors of the same model.
    pub vector: Option<(&'a str, &'a [f32])>,
    /// Present context, in the vocabulary of [`Use::context`](crate::Use::context). Uses in similar contexts
    /// weigh more.
    pub context: Option<&'a str>,
}

/// A search result.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The version.
    pub id: SkillId,
    /// Name of the skill.
    pub name: String,
    /// Similarity to the query, in `[0, 1]`.
    pub similarity: f64,
    /// Laplace-smoothed success rate in similar contexts, in `(0, 1)`.
    pub success_rate: f64,
}

impl Hit {
    /// Ranking score: similarity times success rate.
    pub fn score(&self) -> f64 {
        self.similarity * self.success_rate
    }
}

impl Index {
    /// Indexes up to [`ACTIVE_SKILLS`] active skills.
    pub fn new(state: &LibraryState) -> Self {
        Self::with_cap(state, ACTIVE_SKILLS)
    }

    /// Indexes up to `cap` active skills.
    pub fn with_cap(state: &LibraryState, cap: usize) -> Self {
        let mut entries: Vec<(&Entry, f64, u32)> = state
            .all_active()
            .filter(|entry| !entry.is_reflex())
            .map(|entry| {
                let usage = entry.total_usage();
                (entry, usage.success_rate(), usage.uses())
            })
            .collect();
        entries.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.2.cmp(&a.2)));
        entries.truncate(cap);

        let documents: Vec<Document> = entries.into_iter().map(|(entry, ..)| Document::new(entry)).collect();
        let mut frequency = BTreeMap::new();
        for term in documents.iter().flat_map(|document| document.terms.keys()) {
            *frequency.entry(term.clone()).or_insert(0) += 1;
        }
        let total: usize = documents.iter().map(|document| document.length).sum();
        let mean_length = (total as f64 / documents.len().max(1) as f64).max(1.0);
        Self { documents, frequency, mean_length, model: None }
    }

    /// Adds embeddings by `model`. Skills without one are searched by words only.
    #[must_use]
    pub fn with_vectors(mut self, model: &str, vectors: &BTreeMap<SkillId, Vec<f32>>) -> Self {
        self.model = Some(model.to_owned());
        for document in &mut self.documents {
            document.vector = vectors.get(&document.id).cloned();
        }
        self
    }

    /// Ids of the indexed skills, best success rate first.
    pub fn ids(&self) -> impl Iterator<Item = &SkillId> {
        self.documents.iter().map(|document| &document.id)
    }

    /// The skills with the highest score among those with similarity `threshold` or more; at most `k` and
    /// [`SHORTLIST`].
    pub fn shortlist(&self, query: &Query<'_>, k: usize, threshold: f64) -> Vec<Hit> {
        let terms: BTreeSet<String> = words(query.text).collect();
        let mut hits: Vec<Hit> = self
            .documents
            .iter()
            .map(|document| Hit {
                id: document.id.clone(),
                name: document.name.clone(),
                similarity: self.similarity(document, &terms, query.vector),
                success_rate: success_in(&document.usage, query.context),
            })
            .filter(|hit| hit.similarity > 0.0 && hit.similarity >= threshold)
            .collect();
        hits.sort_by(|a, b| b.score().total_cmp(&a.score()).then_with(|| a.name.cmp(&b.name)));
        hits.truncate(k.min(SHORTLIST));
        hits
    }

    fn similarity(
        &self,
        document: &Document,
        terms: &BTreeSet<String>,
        vector: Option<(&str, &[f32])>,
    ) -> f64 {
        let lexical = self.lexical(document, terms);
        let semantic = match (vector, &document.vector) {
            (Some((model, query)), Some(vector)) if self.model.as_deref() == Some(model) => {
                cosine(query, vector)
            }
            _ => None,
        };
        semantic.map_or(lexical, |semantic| f64::midpoint(lexical, semantic.max(0.0)))
    }

    /// BM25, normalised by the score of a document that consists of the query's terms. Query words that no
    /// skill contains therefore lower all scores.
    fn lexical(&self, document: &Document, terms: &BTreeSet<String>) -> f64 {
        let saturation = |count: f64, length: f64| {
            count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length / self.mean_length))
        };
        let (mut score, mut best) = (0.0, 0.0);
        for term in terms {
            let weight = self.rarity(term);
            best += weight * saturation(1.0, terms.len() as f64);
            if let Some(&count) = document.terms.get(term) {
                score += weight * saturation(count as f64, document.length as f64);
            }
        }
        if best > 0.0 { (score / best).min(1.0) } else { 0.0 }
    }

    fn rarity(&self, term: &str) -> f64 {
        let (documents, with_term) =
            (self.documents.len() as f64, self.frequency.get(term).copied().unwrap_or(0) as f64);
        (1.0 + (documents - with_term + 0.5) / (with_term + 0.5)).ln()
    }
}

impl Document {
    fn new(entry: &Entry) -> Self {
        let manifest = &entry.skill.manifest;
        let mut terms = BTreeMap::new();
        let mut length = 0;
        // The name counts twice because it is the most informative part.
        for word in words(&manifest.name).chain(words(&embedding_text(manifest))) {
            *terms.entry(word).or_insert(0) += 1;
            length += 1;
        }
        Self {
            id: manifest.id.clone(),
            name: manifest.name.clone(),
            usage: entry.usage.clone(),
            terms,
            length,
            vector: None,
        }
    }
}

/// Text to embed for a skill: name, description, parameters and pre-condition.
pub fn embedding_text(manifest: &Manifest) -> String {
    let mut text = format!("{}: {}", manifest.name.replace('_', " "), manifest.description);
    for parameter in &manifest.parameters {
        text.push_str(", ");
        text.push_str(&parameter.name);
    }
    for path in manifest.precondition.iter().flat_map(Condition::paths) {
        text.push_str(", needs");
        text.push_str(&path.as_str().replace(['/', '_'], " "));
    }
    text
}

/// Laplace's rule of succession over uses weighted by Jaccard similarity between their context and `context`.
/// Without a context all uses weigh the same.
fn success_in(usage: &BTreeMap<String, Usage>, context: Option<&str>) -> f64 {
    let here: BTreeSet<String> = context.map(words).into_iter().flatten().collect();
    let (mut successes, mut uses) = (0.0, 0.0);
    for (there, tally) in usage {
        let weight = match context {
            None => 1.0,
            Some(context) if context == there => 1.0,
            Some(_) => {
                let there: BTreeSet<String> = words(there).collect();
                let shared = here.intersection(&there).count() as f64;
                let all = here.union(&there).count().max(1) as f64;
                UNRELATED_WEIGHT + (1.0 - UNRELATED_WEIGHT) * shared / all
            }
        };
        successes += weight * f64::from(tally.successes);
        uses += weight * f64::from(tally.uses());
    }
    (successes + 1.0) / (uses + 2.0)
}

/// Lower-case words and numbers without plural `s`; `_` separates words.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(|word| {
        let word = word.to_lowercase();
        match word.strip_suffix('s') {
            Some(stem) if stem.len() > 2 && !stem.ends_with('s') => stem.to_owned(),
            _ => word,
        }
    })
}

/// Cosine similarity of two vectors; `None` if lengths differ or a vector is zero.
fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let norm = (dot(a, a) * dot(b, b)).sqrt();
    (norm > 0.0).then(|| dot(a, b) / norm)
}
