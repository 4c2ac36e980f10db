use super::options::LlamaOptions;
use crate::gguf::Header;
use crate::{ControllerError, Lora, ModelInfo};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::model::{LlamaLoraAdapter, LlamaModel};
use llama_cpp_2::{LogOptions, send_logs_to_tracing};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// llama.cpp's limit on the layers of a model (`LLAMA_MAX_LAYERS`).
const MAX_LAYERS: u64 = 512;

/// A loaded model, with the header of its file.
pub(super) struct LoadedModel {
    pub model: Arc<LlamaModel>,
    /// Path of the file.
    pub path: PathBuf,
    /// The LoRA adapter and its configuration.
    pub lora: Option<(RefCell<LlamaLoraAdapter>, Lora)>,
    pub backend: &'static LlamaBackend,
    pub header: Header,
    /// `context_tokens` is the context length that the model was trained with.
    pub info: ModelInfo,
}

impl LoadedModel {
    /// Loads the model at `path`, after checking its header.
    pub(super) fn open(path: &Path) -> Result<Self, ControllerError> {
        Self::open_with(path, Header::read(path)?, &LlamaOptions::default())
    }

    /// Like [`Self::open`], with a header that was read, and with the adapter and GPU layers of `options`.
    pub(super) fn open_with(
        path: &Path,
        header: Header,
        options: &LlamaOptions,
    ) -> Result<Self, ControllerError> {
        let unloadable = |reason: &str| ControllerError::Unloadable {
            path: path.to_path_buf(),
            reason: reason.to_owned(),
        };
        // With another number llama.cpp ends the process.
        if header
            .architecture_integer("block_count")
            .is_some_and(|layers| !(1..=MAX_LAYERS).contains(&layers))
        {
            return Err(unloadable("its header has no possible number of layers"));
        }
        let backend = backend()?;
        let mut params = LlamaModelParams::default();
        if let Some(layers) = options.gpu_layers {
            params = params.with_n_gpu_layers(layers);
        }
        let mut model = LlamaModel::load_from_file(backend, path, &params)
            .map_err(|_| unloadable("llama.cpp does not support its architecture, or the file is damaged"))?;
        let lora = options.lora.as_ref().map(|lora| adapter(&mut model, lora)).transpose()?;
        let info = ModelInfo { context_tokens: Some(model.n_ctx_train()), ..describe(path, &header) };
        Ok(Self { model: Arc::new(model), path: path.to_path_buf(), lora, backend, header, info })
    }
}

/// What the header of the file at `path` says of the model.
pub(super) fn describe(path: &Path, header: &Header) -> ModelInfo {
    let name = header
        .name()
        .map_or_else(|| path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), str::to_owned);
    ModelInfo {
        name,
        source: path.display().to_string(),
        quantisation: header.quantisation().map(str::to_owned),
        parameters: Some(header.parameters),
        context_tokens: None,
        sha256: None,
        sees: false,
    }
}

/// Loads the vocabulary of the model at `path`, without weights.
pub(super) fn vocabulary(path: &Path) -> Result<LlamaModel, ControllerError> {
    let params = LlamaModelParams::default().with_vocab_only(true);
    LlamaModel::load_from_file(backend()?, path, &params).map_err(|_| ControllerError::Unloadable {
        path: path.to_path_buf(),
        reason: "llama.cpp does not support its vocabulary".into(),
    })
}

/// Loads a LoRA adapter for `model`.
fn adapter(
    model: &mut LlamaModel,
    lora: &Lora,
) -> Result<(RefCell<LlamaLoraAdapter>, Lora), ControllerError> {
    // llama.cpp may abort on other files, so the header is checked first.
    Header::read(&lora.path)?;
    let adapter = model.lora_adapter_init(&lora.path).map_err(|_| ControllerError::Unloadable {
        path: lora.path.clone(),
        reason: "it is not a LoRA adapter for this model".into(),
    })?;
    Ok((RefCell::new(adapter), lora.clone()))
}

/// The llama.cpp backend, initialised once per process and never freed.
fn backend() -> Result<&'static LlamaBackend, ControllerError> {
    static BACKEND: OnceLock<Option<LlamaBackend>> = OnceLock::new();
    BACKEND
        .get_or_init(|| {
            // llama.cpp's log goes to `tracing`, and nowhere without a subscriber.
            send_logs_to_tracing(LogOptions::default());
            LlamaBackend::init().ok()
        })
        .as_ref()
        .ok_or_else(|| ControllerError::Failed {
            reason: "other code in this process has initialised llama.cpp".into(),
        })
}
