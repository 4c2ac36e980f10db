use super::load::LoadedModel;
use crate::gguf::Header;
use crate::{ControllerError, Message};
use llama_cpp_2::model::{LlamaChatMessage, LlamaChatTemplate, LlamaModel};
use llama_cpp_2::token::LlamaToken;
use llguidance::toktrie::TokEnv;
use std::fmt;
use std::sync::Arc;

/// Writes a conversation as the tokens a model was trained to read.
///
/// The template is filled in with place holders, and the texts are put between its pieces only as tokens. A
/// text can therefore not end its message, whatever marks it contains, and the same beginning of a
/// conversation always has the same tokens.
pub(super) struct PromptEncoder {
    model: Arc<LlamaModel>,
    template: LlamaChatTemplate,
    /// Knows the bytes of every token.
    token_bytes: TokEnv,
    /// For messages.
    name: String,
}

impl fmt::Debug for PromptEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptEncoder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PromptEncoder {
    pub(super) fn new(loaded: &LoadedModel, vocabulary: &TokEnv) -> Result<Self, ControllerError> {
        let name = loaded.info.name.clone();
        let template = template(loaded)?;
        let token_bytes = vocabulary.clone();
        let prompt_encoder = Self { model: Arc::clone(&loaded.model), template, token_bytes, name };
        // A template that llama.cpp cannot fill in is better found now than at the first question.
        prompt_encoder.pieces(&[Message::user("")])?;
        Ok(prompt_encoder)
    }

    /// The tokens of `messages` and of an answer that begins with `prefill`, and the length of each part. Parts in
    /// `dropped_parts`, by message and part, are not there.
    pub(super) fn tokens(
        &self,
        messages: &[Message],
        prefill: &str,
        dropped_parts: &[(u32, u32)],
    ) -> Result<(Vec<LlamaToken>, Vec<Vec<u32>>), ControllerError> {
        let pieces = self.pieces(messages)?;
        let vocabulary = self.model.vocab();
        let mut tokens = Vec::new();
        let mut part_tokens = Vec::with_capacity(messages.len());
        if vocabulary.should_add_bos() {
            tokens.push(vocabulary.bos());
        }
        for (index, piece) in pieces.iter().enumerate() {
            vocabulary.tokenize_into(piece.as_bytes(), &mut tokens, false, true);
            let Some(message) = messages.get(index) else {
                if !prefill.is_empty() {
                    vocabulary.tokenize_into(prefill.as_bytes(), &mut tokens, false, false);
                }
                continue;
            };
            let parts: Vec<&str> = (message.parts.iter().enumerate())
                .map(|(part, text)| {
                    let dropped_parts = dropped_parts.contains(&(index as u32, part as u32));
                    if dropped_parts { "" } else { text.text.as_str() }
                })
                .collect();
            let text = parts.concat();
            let before = tokens.len();
            if !text.is_empty() {
                vocabulary.tokenize_into(text.as_bytes(), &mut tokens, false, false);
            }
            part_tokens.push(self.shares(&tokens[before..], &parts));
        }
        Ok((tokens, part_tokens))
    }

    /// How many of `tokens` begin in each of `parts`, of which they are the text.
    fn shares(&self, tokens: &[LlamaToken], parts: &[&str]) -> Vec<u32> {
        let mut shares = vec![0; parts.len()];
        if parts.is_empty() {
            return shares;
        }
        let (mut part, mut end, mut at) = (0, parts[0].len(), 0);
        for token in tokens {
            while at >= end && part + 1 < parts.len() {
                part += 1;
                end += parts[part].len();
            }
            shares[part] += 1;
            at += self.token_bytes.tok_trie().token(token.0.cast_unsigned()).len();
        }
        shares
    }

    /// What the template writes before, between and after the texts of `messages`: one piece more than there are
    /// messages, the last of which opens the answer.
    fn pieces(&self, messages: &[Message]) -> Result<Vec<String>, ControllerError> {
        let unusable = |reason: String| ControllerError::NoChatTemplate { model: self.name.clone(), reason };
        let chat = messages
            .iter()
            .enumerate()
            .map(|(index, message)| {
                LlamaChatMessage::new(message.role.name().to_owned(), place_holder(index))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable(error.to_string()))?;
        let written = self
            .model
            .apply_chat_template(&self.template, &chat, true)
            .map_err(|error| unusable(format!("llama.cpp cannot fill it in: {error}")))?;
        let mut pieces = Vec::with_capacity(messages.len() + 1);
        let mut rest = written.as_str();
        for (index, message) in messages.iter().enumerate() {
            let Some((piece, after)) = rest.split_once(&place_holder(index)) else {
                return Err(unusable(format!("it has no place for a {} message", message.role.name())));
            };
            pieces.push(piece.to_owned());
            rest = after;
        }
        pieces.push(rest.to_owned());
        Ok(pieces)
    }
}

/// Whether a file with this header says how the model wants a conversation written down.
pub(super) fn has_template(header: &Header) -> bool {
    header.text("tokenizer.chat_template").is_some()
}

/// How the model wants a conversation written down.
pub(super) fn template(loaded: &LoadedModel) -> Result<LlamaChatTemplate, ControllerError> {
    loaded.model.chat_template(None).map_err(|error| ControllerError::NoChatTemplate {
        model: loaded.info.name.clone(),
        reason: error.to_string(),
    })
}

/// Stands for the text of message `index`, in characters that no template contains.
fn place_holder(index: usize) -> String {
    format!("\u{e000}{index}\u{e001}")
}
