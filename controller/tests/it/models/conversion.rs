//! A model that is converted from published files.

use super::server::{Answer, Server};
use super::{Cache, FILE, Log, NAME, content, hub_source, model_toml, sha256};
use safetensors::tensor::{Dtype, TensorView};
use sojourn_controller::gguf::Header;
use sojourn_controller::models::convert::{ConvertError, SentenceBert, dequantise, sentence_bert};
use sojourn_controller::models::{ModelError, Progress};
use std::collections::HashMap;
use std::fmt::Write as _;

const CONFIG: &str = r#"{
    "model_type": "bert", "hidden_size": 32, "intermediate_size": 64, "layer_norm_eps": 1e-12,
    "max_position_embeddings": 8, "num_attention_heads": 2, "num_hidden_layers": 1,
    "type_vocab_size": 2, "vocab_size": 8
}"#;
const WORDS: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nsleep\n##ing\n[\n";
const HIDDEN: usize = 32;
const INNER: usize = 64;

/// Tensor names and shapes of a one-layer sentence encoder, with some unused tensors.
fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![8, HIDDEN]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![8, HIDDEN]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, HIDDEN]),
        ("pooler.dense.weight".to_owned(), vec![HIDDEN, HIDDEN]),
    ];
    let mut pair = |name: String, rows: usize, columns: Option<usize>| {
        shapes.push((format!("{name}.weight"), [rows].into_iter().chain(columns).collect()));
        shapes.push((format!("{name}.bias"), vec![rows]));
    };
    pair("embeddings.LayerNorm".to_owned(), HIDDEN, None);
    for (name, rows, columns) in [
        ("attention.self.query", HIDDEN, Some(HIDDEN)),
        ("attention.self.key", HIDDEN, Some(HIDDEN)),
        ("attention.self.value", HIDDEN, Some(HIDDEN)),
        ("attention.output.dense", HIDDEN, Some(HIDDEN)),
        ("attention.output.LayerNorm", HIDDEN, None),
        ("intermediate.dense", INNER, Some(HIDDEN)),
        ("output.dense", HIDDEN, Some(INNER)),
        ("output.LayerNorm", HIDDEN, None),
    ] {
        pair(format!("encoder.layer.0.{name}"), rows, columns);
    }
    shapes
}

/// A safetensors file with weights between -1 and 1.
fn weights(shapes: &[(String, Vec<usize>)]) -> Vec<u8> {
    let bytes = |shape: &[usize]| -> Vec<u8> {
        let numbers = content(shape.iter().product());
        numbers.iter().flat_map(|byte| (f32::from(byte.cast_signed()) / 128.0).to_le_bytes()).collect()
    };
    let data: Vec<_> = shapes.iter().map(|(name, shape)| (name, shape, bytes(shape))).collect();
    let views: HashMap<_, _> = data
        .iter()
        .map(|(name, shape, bytes)| (*name, TensorView::new(Dtype::F32, (*shape).clone(), bytes).unwrap()))
        .collect();
    safetensors::serialize(views, None).unwrap()
}

fn convert(config: &str, vocabulary: &str, weights: &[u8]) -> Result<Vec<u8>, ConvertError> {
    let gguf =
        sentence_bert(SentenceBert { name: NAME, licence: "apache-2.0", config, vocabulary, weights })?;
    let mut bytes = Vec::new();
    gguf.write_to(&mut bytes).unwrap();
    Ok(bytes)
}

#[tokio::test]
async fn pull_downloads_converts_and_verifies_a_model() {
    let weights = weights(&shapes());
    let made = convert(CONFIG, WORDS, &weights).unwrap();
    let inputs = [
        ("model.safetensors", weights.clone()),
        ("config.json", CONFIG.as_bytes().to_vec()),
        ("vocab.txt", WORDS.as_bytes().to_vec()),
    ];
    let mut catalogue = model_toml(made.len() as u64, &sha256(&made));
    catalogue += "[model.conversion]\nformat = \"sentence-bert\"\n";
    for (file, bytes) in &inputs {
        let (length, hash) = (bytes.len(), sha256(bytes));
        write!(
            catalogue,
            "[[model.conversion.inputs]]\nfile = \"{file}\"\nbytes = {length}\nsha256 = \"{hash}\"\n"
        )
        .unwrap();
        catalogue += &hub_source("model.conversion.inputs.sources", file);
    }
    let total: usize = inputs.iter().map(|(_, bytes)| bytes.len()).sum();
    // The last input fails at first; the inputs before it are kept.
    let server = Server::start(move |before, request| {
        let (_, bytes) = inputs.iter().find(|(file, _)| request.path.ends_with(file)).unwrap();
        Answer { status: (before == 2).then_some("404 Not Found"), ..Answer::with(bytes) }
    });
    let cache = Cache::new(&catalogue, &server.url);
    assert!(matches!(cache.pull().await, Err(ModelError::NoSource { name, .. }) if name == "vocab.txt"));
    cache.assert_absent();

    let log = Log::default();
    cache.models.pull(NAME, log.keeper()).await.unwrap();
    cache.assert_settled(&made);
    assert_eq!(server.requests().len(), 4);
    assert!(log.has(|said| *said == Progress::Started { bytes: Some(total as u64) }));
    assert!(log.has(|said| *said == Progress::Advanced { bytes: total as u64 }));
    assert!(log.has(|said| *said == Progress::Converting));

    let header = Header::read(&cache.dir.path().join(FILE)).unwrap();
    assert_eq!(header.text("general.architecture"), Some("bert"));
    assert_eq!(header.architecture_integer("embedding_length"), Some(32));
    assert_eq!(header.integer("tokenizer.ggml.cls_token_id"), None);
    assert_eq!(header.integer("tokenizer.ggml.bos_token_id"), Some(2));
    assert_eq!(header.quantisation(), Some("Q8_0"));
}

#[test]
fn vocabulary_has_llama_cpp_spelling() {
    let made = convert(CONFIG, WORDS, &weights(&shapes())).unwrap();
    // A string is stored as its length and its bytes.
    let tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u{2581}sleep", "ing", "\u{2581}["];
    let mut expected = Vec::new();
    for token in tokens {
        expected.extend((token.len() as u64).to_le_bytes());
        expected.extend(token.as_bytes());
    }
    assert!(made.windows(expected.len()).any(|window| window == expected));
    let kinds: Vec<u8> = [3_i32, 3, 3, 3, 3, 1, 1, 1].iter().flat_map(|kind| kind.to_le_bytes()).collect();
    assert!(made.windows(kinds.len()).any(|window| window == kinds));
}

#[test]
fn last_matrix_is_quantised() {
    let made = convert(CONFIG, WORDS, &weights(&shapes())).unwrap();
    // Three vectors of 32 numbers follow `ffn_down.weight`: its bias, and weight and bias of the last norm.
    let end = made.len() - 3 * HIDDEN * 4;
    let blocks = HIDDEN * INNER / 32 * 34;
    let back = dequantise(&made[end - blocks..end]);
    let meant = content(HIDDEN * INNER);
    for (back, meant) in back.iter().zip(meant.iter().map(|byte| f32::from(byte.cast_signed()) / 128.0)) {
        assert!((back - meant).abs() < 0.005, "{meant} became {back}");
    }
}

#[test]
fn inconsistent_inputs_are_rejected() {
    let good = weights(&shapes());
    let refused = |config: &str, words: &str, weights: &[u8]| convert(config, words, weights).unwrap_err();
    assert!(matches!(refused("{}", WORDS, &good), ConvertError::Config(_)));
    let another = CONFIG.replace("\"bert\"", "\"roberta\"");
    assert!(matches!(refused(&another, WORDS, &good), ConvertError::Config(_)));
    assert!(matches!(refused(CONFIG, "[PAD]\n", &good), ConvertError::Vocabulary(_)));
    let no_mask = WORDS.replace("[MASK]", "mask");
    assert!(matches!(refused(CONFIG, &no_mask, &good), ConvertError::Vocabulary(_)));
    assert!(matches!(refused(CONFIG, WORDS, &good[..100]), ConvertError::Weights(_)));
    let narrow = CONFIG.replace("\"intermediate_size\": 64", "\"intermediate_size\": 65");
    assert!(matches!(refused(&narrow, WORDS, &good), ConvertError::Tensor { .. }));
    let mut missing = shapes();
    missing.retain(|(name, _)| !name.contains("self.key.bias"));
    let error = refused(CONFIG, WORDS, &weights(&missing));
    assert_eq!(error.to_string(), "the tensor `encoder.layer.0.attention.self.key.bias` is missing");
}
