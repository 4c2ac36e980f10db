use crate::{Entry, LibraryState, Manifest, SkillId, Usage};
use sojourn_tools::Condition;
use std::collections::{BTreeMap, BTreeSet};

/// At most this many skills are offered at all, unless a caller says otherwise: with hundreds, the wrong one is
/// chosen up to a fifth of the time.
pub const ACTIVE_SKILLS: usize = 64;

/// A shortlist is no longer than this.
pub const SHORTLIST: usize = 5;

/// What a use in a context without a word in common with the query's counts, against 1 for one in the same.
const ELSEWHERE: f64 = 0.2;

/// Saturation of term frequency and weight of document length (Robertson & Zaragoza, "The Probabilistic Relevance
/// Framework: BM25 and Beyond", 2009, section 3.2: usual values).
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// The active skills, ready to be searched by a task's words and, where given, by embedding.
///
/// It keeps those with the best success rate, then the most used. Reflexes are not in it: nobody calls them.
#[derive(Debug, Clone, Default)]
pub struct Index {
    documents: Vec<Document>,
    /// In how many documents a term occurs.
    frequency: BTreeMap<String, usize>,
    mean_length: f64,
    /// Name of the model that the documents' vectors are from.
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

/// What is looked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<'a> {
    /// The task in words.
    pub text: &'a str,
    /// Its embedding and the name of the model that made it. It is compared only with vectors of the same model.
    pub vector: Option<(&'a str, &'a [f32])>,
    /// The circumstances, in the words that [`Use::context`](crate::Use::context) is written in: uses in similar
    /// ones count more.
    pub context: Option<&'a str>,
}

/// A skill that fits a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The version.
    pub id: SkillId,
    /// Its name.
    pub name: String,
    /// How much it is like the query, in `[0, 1]`.
    pub similarity: f64,
    /// Laplace-smoothed success rate in similar circumstances, in `(0, 1)`.
    pub success_rate: f64,
}

impl Hit {
    /// What hits are ordered by: similarity times success rate.
    pub fn score(&self) -> f64 {
        self.similarity * self.success_rate
    }
}

impl Index {
    /// The index of a library's active skills, at most [`ACTIVE_SKILLS`] of them.
    pub fn new(state: &LibraryState) -> Self {
        Self::with_cap(state, ACTIVE_SKILLS)
    }

    /// The index of a library's active skills, at most `cap` of them.
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

    /// The same index with the skills' embeddings by `model`; skills without one are searched by words alone.
    #[must_use]
    pub fn with_vectors(mut self, model: &str, vectors: &BTreeMap<SkillId, Vec<f32>>) -> Self {
        self.model = Some(model.to_owned());
        for document in &mut self.documents {
            document.vector = vectors.get(&document.id).cloned();
        }
        self
    }

    /// The ids of the skills in the index, best success rate first.
    pub fn ids(&self) -> impl Iterator<Item = &SkillId> {
        self.documents.iter().map(|document| &document.id)
    }

    /// The at most `k` (and [`SHORTLIST`]) skills with the highest score among those whose similarity is at least `threshold`.
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

    /// BM25 divided by the score of a document that consists of the query's terms, so that words which no skill
    /// knows count against all of them.
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
        // The name stands twice: it says most.
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

/// What a skill is embedded as: name, description, parameters and pre-condition.
pub fn embedding_text(manifest: &Manifest) -> String {
    let mut text = format!("{}: {}", manifest.name.replace('_', " "), manifest.description);
    for parameter in &manifest.parameters {
        text.push_str(", ");
        text.push_str(&parameter.name);
    }
    for path in manifest.precondition.iter().flat_map(Condition::paths) {
        text.push_str(", needs");
        text.push_str(&path.replace(['/', '_'], " "));
    }
    text
}

/// Laplace's rule of succession over uses that count the more the more words their context shares with `context`
/// (Jaccard's index); without a context all count the same.
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
                ELSEWHERE + (1.0 - ELSEWHERE) * shared / all
            }
        };
        successes += weight * f64::from(tally.successes);
        uses += weight * f64::from(tally.uses());
    }
    (successes + 1.0) / (uses + 2.0)
}

/// Lower-case words and numbers without a plural `s`; `_` separates.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(|word| {
        let word = word.to_lowercase();
        match word.strip_suffix('s') {
            Some(stem) if stem.len() > 2 && !stem.ends_with('s') => stem.to_owned(),
            _ => word,
        }
    })
}

/// Cosine of the angle between two vectors of the same length; none if that is undefined.
fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let norm = (dot(a, a) * dot(b, b)).sqrt();
    (norm > 0.0).then(|| dot(a, b) / norm)
}
