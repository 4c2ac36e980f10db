use super::load::LoadedModel;
use super::sight::{PlacedPicture, PlacedPictures, Shown};
use crate::gguf::Header;
use crate::{ControllerError, Message, Part, Role};
use llama_cpp_2::model::{LlamaChatMessage, LlamaChatTemplate, LlamaModel};
use llama_cpp_2::token::LlamaToken;
use llguidance::toktrie::TokEnv;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A conversation as a model reads it.
pub(super) struct Encoded {
    pub tokens: Vec<LlamaToken>,
    /// The pictures among the tokens.
    pub pictures: PlacedPictures,
    /// Length of each part of each message, in tokens.
    pub part_tokens: Vec<Vec<u32>>,
}

/// Encodes a conversation as tokens in the format the model was trained on.
///
/// The chat template is rendered with placeholders, and message texts are tokenised separately. A text
/// therefore cannot end its message, whatever control tokens it spells. Equal beginnings of conversations
/// always have equal tokens, which the prefix cache relies on.
pub(super) struct PromptEncoder {
    model: Arc<LlamaModel>,
    template: LlamaChatTemplate,
    /// The bytes of every token.
    token_bytes: TokEnv,
    /// Name of the model, for error messages.
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
        // Renders the template once, so that an unsupported template is reported at load time.
        prompt_encoder.pieces(&[Message::user("")])?;
        Ok(prompt_encoder)
    }

    /// Encodes `messages`, followed by the start of an answer with `prefill`. A picture of `shown`, by its address, stands for the
    /// text of its part. Parts in `dropped_parts`, given as (message, part), are omitted.
    pub(super) fn tokens(
        &self,
        messages: &[Message],
        shown: &BTreeMap<String, Arc<Shown>>,
        prefill: &str,
        dropped_parts: &[(u32, u32)],
    ) -> Result<Encoded, ControllerError> {
        let pieces = self.pieces(messages)?;
        let vocabulary = self.model.vocab();
        let mut tokens = Vec::new();
        let mut pictures = PlacedPictures::default();
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
            let picture =
                |part: &Part| shown.get(&part.picture.as_ref()?.blob).filter(|_| message.role == Role::User);
            let is_dropped = |part: usize| dropped_parts.contains(&(index as u32, part as u32));
            let mut lengths = Vec::with_capacity(message.parts.len());
            let mut texts: Vec<&str> = Vec::new();
            // The texts between two pictures are tokenised as one.
            let write = |texts: &mut Vec<&str>, tokens: &mut Vec<LlamaToken>, lengths: &mut Vec<u32>| {
                let (text, before) = (texts.concat(), tokens.len());
                if !text.is_empty() {
                    vocabulary.tokenize_into(text.as_bytes(), tokens, false, false);
                }
                lengths.extend(self.tokens_per_part(&tokens[before..], texts));
                texts.clear();
            };
            for (number, part) in message.parts.iter().enumerate() {
                match picture(part) {
                    Some(shown) if !is_dropped(number) => {
                        write(&mut texts, &mut tokens, &mut lengths);
                        pictures.0.push(PlacedPicture { start: tokens.len(), shown: Arc::clone(shown) });
                        tokens.extend_from_slice(&shown.tokens);
                        lengths.push(shown.tokens.len() as u32);
                    }
                    _ => texts.push(if is_dropped(number) { "" } else { &part.text }),
                }
            }
            write(&mut texts, &mut tokens, &mut lengths);
            part_tokens.push(lengths);
        }
        // An answer follows a token: a picture has no scores of what comes next.
        if pictures.0.last().is_some_and(|last| last.end() == tokens.len()) {
            vocabulary.tokenize_into(b"\n", &mut tokens, false, false);
        }
        Ok(Encoded { tokens, pictures, part_tokens })
    }

    /// Counts the tokens that start in each of `parts`. `tokens` encode the parts' concatenation.
    fn tokens_per_part(&self, tokens: &[LlamaToken], parts: &[&str]) -> Vec<u32> {
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

    /// The template's text before, between and after the messages: one piece per message, and one that opens
    /// the answer.
    fn pieces(&self, messages: &[Message]) -> Result<Vec<String>, ControllerError> {
        let unusable = |reason: String| ControllerError::NoChatTemplate { model: self.name.clone(), reason };
        let chat = messages
            .iter()
            .enumerate()
            .map(|(index, message)| LlamaChatMessage::new(message.role.name().to_owned(), placeholder(index)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable(error.to_string()))?;
        let written = self
            .model
            .apply_chat_template(&self.template, &chat, true)
            .map_err(|error| unusable(format!("llama.cpp cannot render it: {error}")))?;
        let mut pieces = Vec::with_capacity(messages.len() + 1);
        let mut rest = written.as_str();
        for (index, message) in messages.iter().enumerate() {
            let Some((piece, after)) = rest.split_once(&placeholder(index)) else {
                return Err(unusable(format!("it does not render a {} message", message.role.name())));
            };
            pieces.push(piece.to_owned());
            rest = after;
        }
        pieces.push(rest.to_owned());
        Ok(pieces)
    }
}

/// Whether the header contains a chat template.
pub(super) fn has_template(header: &Header) -> bool {
    header.text("tokenizer.chat_template").is_some()
}

/// The model's chat template.
pub(super) fn template(loaded: &LoadedModel) -> Result<LlamaChatTemplate, ControllerError> {
    loaded.model.chat_template(None).map_err(|error| ControllerError::NoChatTemplate {
        model: loaded.info.name.clone(),
        reason: error.to_string(),
    })
}

/// The placeholder of message `index`, in private-use characters that no template contains.
fn placeholder(index: usize) -> String {
    format!("\u{e000}{index}\u{e001}")
}
