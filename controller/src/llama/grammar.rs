use super::load;
use crate::{Constraint, ControllerError};
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llguidance::toktrie::{InferenceCapabilities, TokEnv, TokTrie, TokenId, TokenizerEnv};
use llguidance::{Matcher, ParserFactory};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Number of compiled grammars in the cache.
const KEPT: usize = 64;

/// Compiles constraints for one model's vocabulary, and caches the compiled grammars.
pub(super) struct GrammarCache {
    factory: ParserFactory,
    vocabulary: Arc<Vocabulary>,
    compiled: Mutex<Compiled>,
}

impl fmt::Debug for GrammarCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrammarCache").finish_non_exhaustive()
    }
}

/// Compiled grammars by the JSON of their constraint, each with its last use.
#[derive(Default)]
struct Compiled {
    matchers: HashMap<String, (u64, Matcher)>,
    /// Counts uses, for LRU eviction.
    clock: u64,
}

impl GrammarCache {
    /// Reads the vocabulary from the file at `path`. This takes a few tenths of a second, so callers do it
    /// while another thread loads the weights.
    pub(super) fn read(path: &Path) -> Result<Self, ControllerError> {
        let vocabulary = Arc::new(Vocabulary::new(load::vocabulary(path)?));
        let environment: TokEnv = Arc::clone(&vocabulary) as TokEnv;
        let capabilities = InferenceCapabilities { ff_tokens: true, ..InferenceCapabilities::default() };
        let mut factory = ParserFactory::new(
            &environment,
            capabilities,
            &llguidance::earley::SlicedBiasComputer::general_slices(),
        )
        .map_err(|error| ControllerError::Failed { reason: error.to_string() })?;
        factory.quiet();
        Ok(Self { factory, vocabulary, compiled: Mutex::default() })
    }

    /// Tokenises texts with `model` from now on: the same model with weights, so that the vocabulary is held
    /// once.
    pub(super) fn use_model(&self, model: &Arc<LlamaModel>) {
        *self.vocabulary.model.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(model);
    }

    /// The tokens that grammars match against.
    pub(super) fn vocabulary(&self) -> TokEnv {
        self.factory.tok_env().clone()
    }

    /// Returns a matcher at the start of `constraint`. A new constraint is compiled on a blocking thread.
    pub(super) async fn matcher(
        this: &Arc<Self>,
        constraint: &Constraint,
    ) -> Result<Matcher, ControllerError> {
        let key = serde_json::to_string(constraint)
            .map_err(|error| ControllerError::BadConstraint { reason: error.to_string() })?;
        if let Some(matcher) = this.kept(&key) {
            return Ok(matcher);
        }
        let grammars = Arc::clone(this);
        let constraint = constraint.clone();
        tokio::task::spawn_blocking(move || grammars.compile(key, &constraint))
            .await
            .map_err(|error| ControllerError::Failed { reason: error.to_string() })?
    }

    fn kept(&self, key: &str) -> Option<Matcher> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.clock += 1;
        let now = compiled.clock;
        let (used, matcher) = compiled.matchers.get_mut(key)?;
        *used = now;
        Some(matcher.clone())
    }

    fn compile(&self, key: String, constraint: &Constraint) -> Result<Matcher, ControllerError> {
        let matcher = Matcher::new(self.factory.create_parser(constraint.grammar()));
        if let Some(reason) = matcher.get_error() {
            return Err(ControllerError::BadConstraint { reason });
        }
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if compiled.matchers.len() >= KEPT {
            let oldest = compiled.matchers.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                compiled.matchers.remove(&oldest);
            }
        }
        compiled.clock += 1;
        let now = compiled.clock;
        compiled.matchers.insert(key, (now, matcher.clone()));
        Ok(matcher)
    }
}

/// Advances `matcher` over the tokens with which every answer must start, at most `limit`. Returns the
/// matcher and these tokens.
///
/// The tokens are evaluated with the prompt and not decoded one by one.
pub(super) fn forced_start(
    mut matcher: Matcher,
    limit: u32,
) -> Result<(Matcher, Vec<LlamaToken>), ControllerError> {
    let mut forced = matcher.compute_ff_tokens();
    forced.truncate(limit as usize);
    matcher.consume_tokens(&forced).map_err(|error| failed(&error))?;
    Ok((matcher, forced.into_iter().map(token).collect()))
}

/// An error of a grammar that had compiled.
pub(super) fn failed(error: &impl fmt::Display) -> ControllerError {
    ControllerError::Failed { reason: format!("grammar error: {error}") }
}

/// Converts a token id from llguidance's type to llama.cpp's.
pub(super) fn token(id: TokenId) -> LlamaToken {
    LlamaToken(id.cast_signed())
}

/// A model's vocabulary in the form that llguidance needs.
struct Vocabulary {
    model: RwLock<Arc<LlamaModel>>,
    /// The bytes of every token.
    tokens: TokEnv,
    /// Whether llguidance must use the model's own tokeniser.
    canonical: bool,
}

impl Vocabulary {
    fn new(model: LlamaModel) -> Self {
        // Other tokenisers prepend a space to a text, which forced tokens must not have. The header names
        // byte-pair encoding after the first model that used it. The binding's own method panics on
        // tokenisers it does not know.
        let canonical = model.meta_val_str("tokenizer.ggml.model").is_ok_and(|kind| kind == "gpt2");
        let tokens = LlamaSampler::llguidance_tok_env(&model);
        Self { model: RwLock::new(Arc::new(model)), tokens, canonical }
    }
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        self.tokens.tok_trie()
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        if !self.canonical {
            return self.tok_trie().greedy_tokenize(bytes);
        }
        let model = Arc::clone(&self.model.read().unwrap_or_else(PoisonError::into_inner));
        self.tok_trie().tokenize_with_greedy_fallback(bytes, |text| {
            let tokens = model.vocab().tokenize(text.as_bytes(), false, false);
            tokens.into_iter().map(|token| token.0.cast_unsigned()).collect()
        })
    }

    fn tokenize_is_canonical(&self) -> bool {
        self.canonical
    }
}
