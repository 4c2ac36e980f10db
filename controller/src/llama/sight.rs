//! Pictures for a model that sees: a projector (`mmproj`) turns them into rows that stand among the tokens of a prompt (llama.cpp's
//! `mtmd`).
//!
//! `mtmd` ends the process where it meets what it does not expect, so it is given nothing unchecked: the header of the projector and
//! the shapes of its weights are compared first ([`check`]), pictures come decoded, and are [`bounded`] in their proportions.

use super::disk_cache::fingerprint;
use super::kv_cache::{BATCH, failed};
use super::load::LoadedModel;
use super::options::LlamaOptions;
use crate::gguf::{Entry, Header};
use crate::{ControllerError, Pixels};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::mtmd::{
    MtmdBitmap, MtmdContext, MtmdContextParams, MtmdInputChunkType, MtmdInputChunks, MtmdInputText,
    mtmd_default_marker,
};
use llama_cpp_2::token::LlamaToken;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Least side of a picture, in pixels. A smaller one is laid on white.
const MIN_SIDE: u32 = 28;
/// Most that a picture's sides may differ. A longer one is laid on white.
const MAX_RATIO: u32 = 16;

/// The projector of a model.
pub(super) struct Sight {
    /// Dropped before the model that it points into.
    context: Mutex<MtmdContext>,
    _model: Arc<LlamaModel>,
    /// What the rows of a picture depend on besides its pixels.
    identity: String,
    /// Longest side of a picture, in pixels.
    pub(super) most: u32,
    /// The model reads the rows of a picture in one piece, so they must fit into a batch.
    in_one_piece: bool,
}

impl fmt::Debug for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sight").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// A picture in the form that a model reads.
pub(super) struct Shown {
    chunks: MtmdInputChunks,
    /// Stand for its rows in a prompt: negative numbers, which no token has. They are a hash of the pixels and the projector, so
    /// equal pictures are found in the prefix cache, and pictures that differ do so from the first row on.
    pub(super) tokens: Vec<LlamaToken>,
    /// Positions that it takes in a sequence; fewer than rows where the model counts positions in two dimensions.
    pub(super) positions: u32,
}

/// Where the pictures of a prompt stand, in order.
#[derive(Default)]
pub(super) struct PlacedPictures(pub(super) Vec<PlacedPicture>);

/// A picture of a prompt.
#[derive(Clone)]
pub(super) struct PlacedPicture {
    /// Index of its first row among the prompt's tokens.
    pub(super) start: usize,
    pub(super) shown: Arc<Shown>,
}

impl PlacedPicture {
    /// Index after its last row.
    pub(super) fn end(&self) -> usize {
        self.start + self.shown.tokens.len()
    }
}

impl PlacedPictures {
    /// The position in the sequence of the prompt's token `index`.
    pub(super) fn position(&self, index: usize) -> i32 {
        let before = self.0.iter().filter(|picture| picture.end() <= index);
        let saved: usize =
            before.map(|picture| picture.shown.tokens.len() - picture.shown.positions as usize).sum();
        (index - saved) as i32
    }

    /// The picture whose rows begin at `index`.
    pub(super) fn at(&self, index: usize) -> Option<&PlacedPicture> {
        self.0.iter().find(|picture| picture.start == index)
    }

    /// The end of the text from `index` on: the next picture's start, or `length`.
    pub(super) fn text_until(&self, index: usize, length: usize) -> usize {
        self.0.iter().map(|picture| picture.start).find(|start| *start >= index).unwrap_or(length)
    }

    /// Rows of all pictures.
    pub(super) fn tokens(&self) -> u32 {
        self.0.iter().map(|picture| picture.shown.tokens.len() as u32).sum()
    }
}

impl Sight {
    /// Loads the projector that `options` name, if they name one.
    ///
    /// # Errors
    /// Any error of reading its file; [`ControllerError::Unloadable`] if it is no projector, or one for another model.
    pub(super) fn open(
        loaded: &LoadedModel,
        options: &LlamaOptions,
    ) -> Result<Option<Self>, ControllerError> {
        let Some(path) = &options.mmproj else { return Ok(None) };
        let header = Header::read(path)?;
        check(path, &header)?;
        let unloadable = |reason: String| ControllerError::Unloadable { path: path.clone(), reason };
        let text = path.to_str().ok_or_else(|| unloadable("its path is not Unicode".to_owned()))?;
        let params = MtmdContextParams {
            print_timings: false,
            n_threads: options.prefill_threads.unwrap_or(1) as i32,
            ..MtmdContextParams::default()
        };
        let context = MtmdContext::init_from_file(text, &loaded.model, &params).map_err(|_| {
            let model = &loaded.info.name;
            let width = loaded.model.n_embd();
            unloadable(match header.integer("clip.vision.projection_dim") {
                Some(made) if i64::try_from(made) != Ok(i64::from(width)) => format!(
                    "it was made for a model whose tokens have {made} numbers, and those of `{model}` have {width}; \
                     use the projector that was published with the model"
                ),
                _ => format!(
                    "llama.cpp cannot use it with `{model}`: its kind is not supported, or it is damaged; use the \
                     projector that was published with the model"
                ),
            })
        })?;
        if !context.support_vision() {
            return Err(unloadable("it does not turn pictures into tokens".to_owned()));
        }
        let identity = fingerprint(path, None)
            .map_err(|source| ControllerError::Unreadable { path: path.clone(), source })?;
        let in_one_piece = context.decode_use_non_causal();
        Ok(Some(Self {
            context: Mutex::new(context),
            _model: Arc::clone(&loaded.model),
            identity,
            most: options.picture_side,
            in_one_piece,
        }))
    }

    /// Prepares a picture. It takes milliseconds, longer while another picture is being shown.
    ///
    /// # Errors
    /// Why the model cannot be shown it.
    pub(super) fn prepare(&self, pixels: Pixels) -> Result<Shown, String> {
        let Pixels { width, height, rgb } = bounded(pixels);
        let bitmap = MtmdBitmap::from_image_data(width, height, &rgb).map_err(|error| error.to_string())?;
        let text =
            MtmdInputText { text: mtmd_default_marker().to_owned(), add_special: false, parse_special: true };
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        let chunks = context.tokenize(text, &[&bitmap]).map_err(|error| error.to_string())?;
        drop(context);
        let (mut rows, mut positions, mut largest) = (0, 0_u32, 0);
        for chunk in (0..chunks.len()).filter_map(|index| chunks.get(index)) {
            rows += chunk.n_tokens();
            positions += u32::try_from(chunk.n_positions()).unwrap_or_default();
            if chunk.chunk_type() == MtmdInputChunkType::Image {
                largest = largest.max(chunk.n_tokens());
            }
        }
        if largest == 0 || positions as usize > rows {
            return Err("llama.cpp made nothing of it".to_owned());
        }
        if self.in_one_piece && largest > BATCH {
            return Err(format!("it takes {largest} tokens at once, and this program evaluates {BATCH}"));
        }
        let mut hash = Sha256::new();
        hash.update(&self.identity);
        hash.update(width.to_le_bytes());
        hash.update(&rgb);
        Ok(Shown { chunks, tokens: stand_ins(&hash.finalize(), rows), positions })
    }

    /// Evaluates a picture at `position` of a sequence. It may take seconds.
    ///
    /// # Errors
    /// [`ControllerError::Failed`]; a part of it may be in the sequence then.
    pub(super) fn show(
        &self,
        shown: &Shown,
        llama: &mut LlamaContext<'_>,
        position: i32,
        sequence: i32,
    ) -> Result<(), ControllerError> {
        let mut context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        let end = shown
            .chunks
            .eval_chunks(&mut context, llama, position, sequence, BATCH as i32, false)
            .map_err(|error| failed(format!("a picture cannot be evaluated: {error}")))?;
        if end == position + shown.positions as i32 {
            Ok(())
        } else {
            Err(failed(format!(
                "a picture took the positions {position} to {end}, not {} of them",
                shown.positions
            )))
        }
    }
}

/// Negative numbers that stand for `rows` rows of a picture with this hash.
fn stand_ins(hash: &[u8], rows: usize) -> Vec<LlamaToken> {
    let row = |row: usize| {
        let digest = Sha256::new().chain_update(hash).chain_update(row.to_le_bytes()).finalize();
        let number = i32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]);
        // Any number becomes negative, and none becomes -1, which llama.cpp gives a meaning.
        LlamaToken((number & i32::MAX).saturating_neg().min(-2))
    };
    (0..rows).map(row).collect()
}

/// The picture on white, where a side is too short for the model's patches, alone or beside the other.
fn bounded(pixels: Pixels) -> Pixels {
    let Pixels { width, height, .. } = pixels;
    let least = (width.max(height) / MAX_RATIO).max(MIN_SIDE);
    let (wider, higher) = (width.max(least), height.max(least));
    if (wider, higher) == (width, height) {
        return pixels;
    }
    let mut rgb = vec![255; wider as usize * higher as usize * 3];
    let (from, to) = (width as usize * 3, wider as usize * 3);
    for (row, line) in pixels.rgb.chunks_exact(from.max(1)).zip(rgb.chunks_exact_mut(to)) {
        line[..from].copy_from_slice(row);
    }
    Pixels { width: wider, height: higher, rgb }
}

/// Checks that a file is a projector of pictures, and that the shapes of its transformer fit each other.
///
/// # Errors
/// [`ControllerError::Unloadable`] with what is wrong.
pub(super) fn check(path: &Path, header: &Header) -> Result<(), ControllerError> {
    problem(header)
        .map_or(Ok(()), |reason| Err(ControllerError::Unloadable { path: path.to_path_buf(), reason }))
}

fn problem(header: &Header) -> Option<String> {
    if header.text("general.architecture") != Some("clip") {
        return Some(
            "it is no projector (mmproj) but another kind of GGUF file; a model that sees is published as two files, \
             and the projector is the one whose name has `mmproj`"
                .to_owned(),
        );
    }
    if header.entries.get("clip.has_vision_encoder") != Some(&Entry::Flag(true)) {
        return Some("it has no encoder of pictures".to_owned());
    }
    let number = |key: &str| header.integer(&format!("clip.vision.{key}"));
    for key in ["image_size", "patch_size", "embedding_length", "attention.head_count", "block_count"] {
        if !number(key).is_some_and(|number| (1..=65_536).contains(&number)) {
            return Some(format!("its `clip.vision.{key}` is missing or out of range"));
        }
    }
    let (width, heads) = (number("embedding_length")?, number("attention.head_count")?);
    if !width.is_multiple_of(heads) {
        return Some(format!("its {width} features cannot be shared among {heads} heads"));
    }
    let inner = number("feed_forward_length").filter(|inner| *inner > 0);
    header.tensors.iter().find_map(|(name, shape)| {
        let part = name.strip_prefix("v.blk.")?.split_once('.')?.1;
        let expected = match part {
            "ln1.weight" | "ln1.bias" | "ln2.weight" | "ln2.bias" | "ls1.weight" | "ls2.weight" => {
                vec![width]
            }
            // Of the first layer, only what comes in is the same in all architectures: some have fewer heads for keys.
            "attn_q.weight" | "attn_k.weight" | "attn_v.weight" | "attn_qkv.weight" => {
                vec![width, *shape.get(1)?]
            }
            "ffn_up.weight" | "ffn_gate.weight" => vec![width, inner?],
            "ffn_down.weight" => vec![inner?, width],
            _ => return None,
        };
        // Older files call the layers of the feed-forward part by each other's name.
        let swapped = part.starts_with("ffn_") && shape.iter().rev().eq(&expected);
        (*shape != expected && !swapped)
            .then(|| format!("it is damaged: `{name}` has the shape {shape:?} instead of {expected:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn picture(width: u32, height: u32) -> Pixels {
        Pixels { width, height, rgb: vec![7; (width * height * 3) as usize] }
    }

    #[test]
    fn a_narrow_or_tiny_picture_is_laid_on_white() {
        for (width, height, expected) in [
            (640, 480, (640, 480)),
            (1, 1, (28, 28)),
            (1024, 1, (1024, 64)),
            (30, 900, (56, 900)),
            (28, 28, (28, 28)),
        ] {
            let laid = bounded(picture(width, height));
            assert_eq!((laid.width, laid.height), expected);
            assert_eq!(laid.rgb.len(), (expected.0 * expected.1 * 3) as usize);
            let seen = laid.rgb.iter().map(|value| usize::from(*value == 7)).sum::<usize>();
            assert_eq!(seen, (width * height * 3) as usize, "all pixels of {width}×{height} are kept");
        }
    }

    #[test]
    fn stand_ins_are_no_tokens_and_differ_from_the_first_on() {
        let (one, same, other) = (stand_ins(b"one", 64), stand_ins(b"one", 64), stand_ins(b"other", 64));
        assert_eq!(one, same);
        assert_ne!(one[0], other[0]);
        assert!(one.iter().chain(&other).all(|token| token.0 < -1));
    }

    fn header() -> Header {
        let text = |text: &str| Entry::Text(text.to_owned());
        let entries = [
            ("general.architecture", text("clip")),
            ("clip.has_vision_encoder", Entry::Flag(true)),
            ("clip.vision.image_size", Entry::Integer(224)),
            ("clip.vision.patch_size", Entry::Integer(14)),
            ("clip.vision.embedding_length", Entry::Integer(384)),
            ("clip.vision.feed_forward_length", Entry::Integer(1536)),
            ("clip.vision.attention.head_count", Entry::Integer(6)),
            ("clip.vision.block_count", Entry::Integer(12)),
        ];
        let tensors = [
            ("v.blk.0.ln1.weight", vec![384]),
            ("v.blk.0.attn_q.weight", vec![384, 384]),
            ("v.blk.0.ffn_up.weight", vec![384, 1536]),
            ("v.blk.0.ffn_down.weight", vec![1536, 384]),
        ];
        Header {
            entries: entries.map(|(key, entry)| (key.to_owned(), entry)).into(),
            tensors: tensors.map(|(name, shape)| (name.to_owned(), shape)).into(),
            parameters: 0,
            file_bytes: 0,
        }
    }

    #[test]
    fn what_llama_cpp_would_abort_on_is_a_clear_error() {
        type Change = fn(&mut Header);
        assert_eq!(problem(&header()), None);
        let changes: [(Change, &str); 6] = [
            (|h| h.entries = BTreeMap::new(), "it is no projector (mmproj)"),
            (|h| drop(h.entries.remove("clip.has_vision_encoder")), "no encoder of pictures"),
            (
                |h| drop(h.entries.insert("clip.vision.patch_size".into(), Entry::Integer(0))),
                "patch_size` is missing",
            ),
            (
                |h| drop(h.entries.insert("clip.vision.attention.head_count".into(), Entry::Integer(7))),
                "among 7 heads",
            ),
            (
                |h| drop(h.tensors.insert("v.blk.0.attn_q.weight".into(), vec![385, 384])),
                "[385, 384] instead of",
            ),
            (
                |h| drop(h.tensors.insert("v.blk.0.ffn_down.weight".into(), vec![1536, 383])),
                "`v.blk.0.ffn_down.weight`",
            ),
        ];
        for (change, expected) in changes {
            let mut header = header();
            change(&mut header);
            let found = problem(&header).unwrap_or_default();
            assert!(found.contains(expected), "{found}");
        }
        let mut older = header();
        older.tensors.insert("v.blk.0.ffn_down.weight".into(), vec![384, 1536]);
        older.tensors.insert("v.blk.0.ffn_up.weight".into(), vec![1536, 384]);
        assert_eq!(problem(&older), None);
    }
}
