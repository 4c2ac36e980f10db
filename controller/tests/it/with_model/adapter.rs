//! A LoRA adapter built by the test: it changes the model's output in proportion to its scale, and an invalid
//! one is rejected.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use sojourn_controller::llama::{LlamaController, LlamaOptions};
use sojourn_controller::models::Models;
use sojourn_controller::{Cancel, Constraint, Controller, ControllerError, Lora, Message, Request, gguf};
use std::path::{Path, PathBuf};

/// Alignment of tensors in bytes.
const ALIGNMENT: usize = 32;

fn text(out: &mut Vec<u8>, words: &str) {
    out.extend((words.len() as u64).to_le_bytes());
    out.extend(words.as_bytes());
}

fn entry(out: &mut Vec<u8>, key: &str, value: &str) {
    text(out, key);
    out.extend(8u32.to_le_bytes());
    text(out, value);
}

/// An adapter of rank 1 for the first query matrix of a model with hidden size `width`.
fn adapter(architecture: &str, width: usize) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend(2u64.to_le_bytes());
    out.extend(4u64.to_le_bytes());
    entry(&mut out, "general.type", "adapter");
    entry(&mut out, "general.architecture", architecture);
    entry(&mut out, "adapter.type", "lora");
    text(&mut out, "adapter.lora.alpha");
    out.extend(6u32.to_le_bytes());
    out.extend(1f32.to_le_bytes());
    for (name, shape, offset) in
        [("blk.0.attn_q.weight.lora_a", [width, 1], 0), ("blk.0.attn_q.weight.lora_b", [1, width], width * 4)]
    {
        text(&mut out, name);
        out.extend(2u32.to_le_bytes());
        for side in shape {
            out.extend((side as u64).to_le_bytes());
        }
        out.extend(0u32.to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    let waves = (0..2 * width).map(|at| (at as f32 * 0.7).sin() * 0.5);
    for weight in waves {
        out.extend(weight.to_le_bytes());
    }
    out
}

async fn open(model: &Path, lora: Option<Lora>) -> Result<LlamaController, ControllerError> {
    let options = LlamaOptions {
        context_tokens: 256,
        threads: Some(2),
        prefill_threads: Some(2),
        max_candidates: 1,
        lora,
        ..LlamaOptions::default()
    };
    LlamaController::open(model, options).await
}

async fn says(model: &Path, lora: Option<Lora>) -> String {
    let controller = open(model, lora).await.unwrap();
    let request = Request::new(vec![Message::user("Tell of the sea.")], Constraint::line(200), 16);
    controller.complete(&request, &Cancel::new()).await.unwrap().candidates[0].text.clone()
}

#[tokio::test]
async fn adapter_changes_output_in_proportion_to_its_scale() {
    let Some(model) =
        Models::open(None).ok().and_then(|models| models.path("qwen2.5-coder-1.5b-instruct").ok())
    else {
        println!("skipped: the model is not downloaded");
        return;
    };
    let _turn = super::TURN.lock().await;
    let header = gguf::Header::read(&model).unwrap();
    let width = header.architecture_integer("embedding_length").unwrap() as usize;
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let bytes = adapter(header.text("general.architecture").unwrap(), width);
    let path = file("waves.gguf", &bytes);
    let plain = says(&model, None).await;
    assert_eq!(says(&model, Some(Lora { path: path.clone(), scale: 0.0 })).await, plain);
    assert_ne!(says(&model, Some(Lora { path, scale: 8.0 })).await, plain);

    let cut = file("cut.gguf", &bytes[..bytes.len() - 100]);
    let error = open(&model, Some(Lora { path: cut, scale: 1.0 })).await.map(drop).unwrap_err();
    assert!(matches!(error, ControllerError::Truncated { .. }), "{error}");
    let other = file("other.gguf", &adapter("llama", width));
    let error = open(&model, Some(Lora { path: other, scale: 1.0 })).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("not a LoRA adapter for this model"), "{error}");
}
