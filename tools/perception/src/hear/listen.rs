use super::sound::{RATE, SoundError, SoundReader};
use super::tokens::Tokens;
use super::vad::{FRAME, Spans, Voice};
use super::whisper::{Network, Writing};
use rten::Model;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Frames that the voice network hears at once: about 2 seconds.
const BLOCK: usize = 64;
/// Silence that ends a span: 300 ms, and 700 ms where spans are written down, which need their context.
const SILENCE: usize = 10;
const LONG_SILENCE: usize = 22;
/// Limit on a span that is written down, in frames: 28 seconds. The network hears 30.
const LONGEST: usize = 875;
/// Sound before and after a span that belongs to it, in frames: 160 ms.
const PAD: usize = 5;
/// Mean probability of its tokens below which a text may be an invention.
const UNSURE: f32 = 0.3;
/// Probability that there is no speech from which an unsure text is left out.
const NO_SPEECH: f32 = 0.6;
/// Repetitions of the same tokens that end a text.
const LOOPS: usize = 4;
/// The longest run of tokens whose repetition is looked for.
const LONGEST_LOOP: usize = 12;

/// The files of ears, as `sojourn models pull` installs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarFiles {
    /// The network that hears speech: Silero VAD for whole sequences at 16 kHz, ONNX.
    pub voice: PathBuf,
    /// The network that writes down: a Whisper model in the format of `CTranslate2` (`model.bin`).
    pub writer: PathBuf,
    /// Its tokens: one a line, or a JSON list.
    pub vocabulary: PathBuf,
    /// Its settings, `config.json`: which tokens are never written.
    pub settings: PathBuf,
}

/// A span of speech.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Its beginning, in milliseconds from that of the sound.
    pub start_ms: u64,
    /// Its end.
    pub end_ms: u64,
    /// The words, where they were written down.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Mean probability of the words, 0 to 1; absent where nothing was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
    /// The language of the words, "en", where the model knows several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// Why nothing is heard.
#[derive(Debug, thiserror::Error)]
pub enum EarError {
    /// A file of the ears cannot be read.
    #[error("cannot read `{path}`: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file is not what it should be.
    #[error("`{path}` cannot be used: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A network failed.
    #[error("the {which} failed: {reason}")]
    Failed {
        /// "voice detector" or "speech recogniser".
        which: &'static str,
        /// What the engine said.
        reason: String,
    },
    /// The sound cannot be decoded.
    #[error(transparent)]
    Sound(#[from] SoundError),
    /// The caller wanted no more.
    #[error("it was given up")]
    GivenUp,
}

/// Hears speech, and writes it down. Loading takes a second and, with the smallest model, 200 MB.
pub struct Ears {
    voice: Model,
    /// `None` where speech is only found.
    writer: Option<Writer>,
}

struct Writer {
    network: Network,
    tokens: Tokens,
    /// Tokens that are never written, and those that no text begins with.
    suppressed: Vec<usize>,
    suppressed_first: Vec<usize>,
}

/// The part of `config.json` that is read.
#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    suppress_ids: Vec<usize>,
    #[serde(default)]
    suppress_ids_begin: Vec<usize>,
}

impl Ears {
    /// Loads the networks; without `writes`, only the one that finds speech.
    ///
    /// # Errors
    /// A file is missing, or is not what it should be.
    pub fn open(files: &EarFiles, writes: bool) -> Result<Self, EarError> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |reason: String| EarError::Unusable { path, reason }
        };
        let voice = Model::load(bytes(&files.voice)?)
            .map_err(|error| unusable(&files.voice)(format!("it is no network that can be run: {error}")))?;
        if !writes {
            return Ok(Self { voice, writer: None });
        }
        let network = Network::read(&bytes(&files.writer)?).map_err(unusable(&files.writer))?;
        let not_text = |_| "it is no text".to_owned();
        let vocabulary = String::from_utf8(bytes(&files.vocabulary)?).map_err(not_text);
        let tokens = vocabulary.and_then(|text| Tokens::read(&text)).map_err(unusable(&files.vocabulary))?;
        if tokens.len() > network.vocabulary() {
            let reason = format!("it has {} tokens, and the network {}", tokens.len(), network.vocabulary());
            return Err(unusable(&files.vocabulary)(reason));
        }
        let settings: Settings = serde_json::from_slice(&bytes(&files.settings)?)
            .map_err(|error| unusable(&files.settings)(error.to_string()))?;
        let writer = Writer {
            network,
            tokens,
            suppressed: settings.suppress_ids,
            suppressed_first: settings.suppress_ids_begin,
        };
        Ok(Self { voice, writer: Some(writer) })
    }

    /// Gives the spans of speech in a sound to `each` in their order, with their words if these ears write and `writes` is set.
    /// Memory does not grow with the length of the sound. `stop` is asked every few seconds of sound and during a text.
    /// Returns the length of the sound in milliseconds.
    ///
    /// # Errors
    /// The sound is damaged, a network fails, or `stop` said yes.
    pub fn listen(
        &self,
        sound: &mut SoundReader,
        writes: bool,
        stop: &dyn Fn() -> bool,
        each: &mut dyn FnMut(Segment),
    ) -> Result<u64, EarError> {
        let writer = self.writer.as_ref().filter(|_| writes);
        let mut voice = Voice::new(&self.voice);
        let mut spans = match writer {
            Some(_) => Spans::new(LONG_SILENCE, LONGEST),
            None => Spans::new(SILENCE, usize::MAX),
        };
        // The sound from frame `base` on.
        let (mut kept, mut base, mut heard) = (Vec::<f32>::new(), 0_usize, 0_usize);
        let mut ended = false;
        while !ended {
            if stop() {
                return Err(EarError::GivenUp);
            }
            while kept.len() < (heard - base + BLOCK) * FRAME && !ended {
                match sound.next()? {
                    Some(samples) => kept.extend(samples),
                    None => ended = true,
                }
            }
            let whole = if ended { kept.len().next_multiple_of(FRAME) } else { kept.len() / FRAME * FRAME };
            let until = whole.max(kept.len());
            kept.resize(until, 0.0);
            let fresh = &kept[(heard - base) * FRAME..whole];
            let mut found = Vec::new();
            for block in fresh.chunks(BLOCK * FRAME) {
                let probabilities = voice
                    .hear(block)
                    .map_err(|reason| EarError::Failed { which: "voice detector", reason })?;
                heard += probabilities.len();
                found.extend(probabilities.into_iter().filter_map(|probability| spans.push(probability)));
            }
            if ended {
                found.extend(spans.finish());
            }
            let length_ms = sound.heard() * 1000 / u64::from(RATE);
            for (start, end) in found {
                let (from, to) = (start.saturating_sub(PAD), (end + PAD).min(heard));
                let ms = |frame: usize| ((frame * FRAME * 1000) as u64 / u64::from(RATE)).min(length_ms);
                let bare = Segment {
                    start_ms: ms(from),
                    end_ms: ms(to),
                    text: String::new(),
                    confidence: None,
                    language: None,
                };
                let segment = match writer {
                    None => Some(bare),
                    Some(writer) => {
                        writer.write(&kept[(from - base) * FRAME..(to - base) * FRAME], &bare, stop)?
                    }
                };
                segment.into_iter().for_each(&mut *each);
            }
            // Only what is written down is heard again.
            let needed = if writer.is_some() { spans.needed().saturating_sub(PAD).max(base) } else { heard };
            kept.drain(..(needed - base) * FRAME);
            base = needed;
        }
        Ok(sound.heard() * 1000 / u64::from(RATE))
    }
}

impl Writer {
    /// The words of a span; `None` where there are none.
    fn write(
        &self,
        samples: &[f32],
        bare: &Segment,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Segment>, EarError> {
        let failed = |reason| EarError::Failed { which: "speech recogniser", reason };
        let Self { network, tokens, .. } = self;
        let mut writing = network.listen(samples).map_err(failed)?;
        let mut scores = network.write(&mut writing, tokens.start).map_err(failed)?;
        let no_speech = tokens.no_speech.map_or(0.0, |token| probability(&scores, token));
        let mut language = None;
        if !tokens.languages.is_empty() {
            let best = best(&scores, tokens.languages.iter().copied());
            language = best.map(|token| tokens.language(token).to_owned());
            for mark in best.into_iter().chain([tokens.transcribe]) {
                network.write(&mut writing, mark).map_err(failed)?;
            }
        }
        scores = network.write(&mut writing, tokens.no_timestamps).map_err(failed)?;
        let (written, sureness) = self.text(&mut writing, scores, stop)?;
        let text = tokens.text(&written);
        if text.is_empty() || (no_speech > NO_SPEECH && sureness < UNSURE) {
            return Ok(None);
        }
        Ok(Some(Segment { text, confidence: Some(sureness), language, ..bare.clone() }))
    }

    /// The most probable tokens one after the other, and their mean probability.
    fn text(
        &self,
        writing: &mut Writing,
        mut scores: Vec<f32>,
        stop: &dyn Fn() -> bool,
    ) -> Result<(Vec<usize>, f32), EarError> {
        let (mut written, mut sum) = (Vec::new(), 0.0_f32);
        while written.len() < self.network.positions() / 2 {
            if stop() {
                return Err(EarError::GivenUp);
            }
            let allowed = (0..self.tokens.len()).filter(|token| {
                (*token == self.tokens.end || self.tokens.is_text(*token))
                    && !self.suppressed.contains(token)
                    && !(written.is_empty() && self.suppressed_first.contains(token))
            });
            let Some(token) = best(&scores, allowed) else { break };
            sum += probability(&scores, token).max(f32::MIN_POSITIVE).ln();
            if token == self.tokens.end {
                break;
            }
            written.push(token);
            if let Some(once) = looped(&written) {
                written.truncate(once);
                break;
            }
            scores = self
                .network
                .write(writing, token)
                .map_err(|reason| EarError::Failed { which: "speech recogniser", reason })?;
        }
        let count = written.len() + 1;
        Ok((written, (sum / count as f32).exp()))
    }
}

/// The token with the highest score.
fn best(scores: &[f32], tokens: impl Iterator<Item = usize>) -> Option<usize> {
    let scored = tokens.filter_map(|token| Some((token, *scores.get(token)?)));
    scored.max_by(|one, other| one.1.total_cmp(&other.1)).map(|(token, _)| token)
}

/// The probability of a token among all.
fn probability(scores: &[f32], token: usize) -> f32 {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = scores.iter().map(|score| (score - most).exp()).sum();
    scores.get(token).map_or(0.0, |score| (score - most).exp() / sum)
}

/// Where the text ends in the same tokens over and over: the length up to their first time.
fn looped(written: &[usize]) -> Option<usize> {
    (1..=LONGEST_LOOP.min(written.len() / LOOPS)).find_map(|length| {
        let last = &written[written.len() - length..];
        let repeated = written.rchunks_exact(length).take(LOOPS).all(|chunk| chunk == last);
        repeated.then(|| written.len() - (LOOPS - 1) * length)
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, EarError> {
    std::fs::read(path)
        .map_err(|error| EarError::Unreadable { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_repeats_itself_ends() {
        assert_eq!(looped(&[1, 2, 3, 2, 3, 2, 3]), None);
        assert_eq!(looped(&[1, 2, 3, 2, 3, 2, 3, 2, 3]), Some(3));
        assert_eq!(looped(&[7, 7, 7, 7]), Some(1));
    }

    #[test]
    fn a_missing_or_wrong_file_is_named() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("no-network.onnx");
        let files = EarFiles {
            voice: path.clone(),
            writer: path.clone(),
            vocabulary: path.clone(),
            settings: path.clone(),
        };
        let error = Ears::open(&files, true).err().unwrap().to_string();
        assert!(error.starts_with("cannot read `") && error.contains("no-network.onnx"), "{error}");
        std::fs::write(&path, "these are not the weights").unwrap();
        let error = Ears::open(&files, false).err().unwrap().to_string();
        assert!(error.contains("no network that can be run"), "{error}");
    }
}
