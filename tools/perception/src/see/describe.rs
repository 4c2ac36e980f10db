//! Pictures in words: `NAME_describe` and `NAME_ask`, by a language model that sees.

use super::{Sight, outcome, picture};
use crate::Picture;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use sojourn_tools::{CallContext, Media, ToolOutcome};
use std::fmt;
use std::sync::Arc;

/// Limit on a question, and on all choices together, in characters.
const MAX_QUESTION: usize = 4000;
/// Limit on the choices of a question.
const MAX_CHOICES: usize = 64;
/// The question that asks for a description.
pub const DESCRIBE: &str = "Describe what the picture shows, in one or two sentences.";

/// Answers questions about pictures in words: a language model that sees.
#[async_trait]
pub trait Describer: Send + Sync + fmt::Debug {
    /// Answers `question` about a picture; with `choices`, the answer is one of them. Dropping the future cancels the work.
    ///
    /// # Errors
    /// Why there is no answer, in lower case.
    async fn ask(
        &self,
        media: &Media,
        bytes: Arc<[u8]>,
        question: &str,
        choices: &[String],
    ) -> Result<String, String>;
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DescribeArguments {
    /// Handle of the picture.
    media: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AskArguments {
    /// Handle of the picture.
    media: String,
    /// The question.
    question: String,
    /// The answers to choose from; without them the answer is free.
    #[serde(default)]
    choices: Vec<String>,
}

impl Sight {
    pub(super) async fn describe(
        self: &Arc<Self>,
        args: &DescribeArguments,
        context: &CallContext,
    ) -> Result<ToolOutcome, String> {
        self.answered(&args.media, DESCRIBE, &[], context).await
    }

    pub(super) async fn ask(
        self: &Arc<Self>,
        args: &AskArguments,
        context: &CallContext,
    ) -> Result<ToolOutcome, String> {
        let length = args.choices.iter().map(|choice| choice.chars().count()).sum::<usize>();
        if args.question.chars().count() > MAX_QUESTION || length > MAX_QUESTION {
            return Err(format!(
                "the question or its choices are too long; the limit is {MAX_QUESTION} characters"
            ));
        }
        if args.choices.len() > MAX_CHOICES {
            return Err(format!("there are {} choices; the limit is {MAX_CHOICES}", args.choices.len()));
        }
        self.answered(&args.media, &args.question, &args.choices, context).await
    }

    /// The answer to a question about a picture, from what was asked before or from the model.
    async fn answered(
        self: &Arc<Self>,
        handle: &str,
        question: &str,
        choices: &[String],
        context: &CallContext,
    ) -> Result<ToolOutcome, String> {
        let describer = self.eyes.describer.clone().ok_or("no model that describes pictures is set")?;
        let (media, bytes) = picture(handle, context).await?;
        let key = json!([media.blob, question, choices]).to_string();
        let answer = if let Some(known) = self.answered.get(&key) {
            known
        } else {
            // What cannot be decoded is never shown, and the model would answer without it.
            let decoded = Arc::clone(&bytes);
            let checked = self.work(&media, move |_, _| {
                Picture::decode(&decoded).map(drop).map_err(|error| error.to_string())
            });
            checked.await?;
            let (handle, within) = (media.handle(), self.eyes.within);
            let asking = tokio::time::timeout(within, describer.ask(&media, bytes, question, choices));
            let late = |_| format!("{handle}: there is no answer within {} s", within.as_secs());
            let answer = asking.await.map_err(late)?.map_err(|reason| format!("{handle}: {reason}"))?;
            self.answered.put(key, answer)
        };
        let message = if answer.is_empty() { "the model said nothing" } else { "" };
        Ok(outcome(message, json!(*answer), (*answer).clone(), vec![media]))
    }
}

#[cfg(test)]
mod tests {
    use crate::Describer;
    use crate::see::tests::{call, eyes_with, png};
    use async_trait::async_trait;
    use serde_json::json;
    use sojourn_tools::{Media, MediaStore as _};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    /// Repeats the question, and counts how often it was asked.
    #[derive(Debug, Default)]
    struct Echo(AtomicU32);

    #[async_trait]
    impl Describer for Echo {
        async fn ask(
            &self,
            _: &Media,
            bytes: Arc<[u8]>,
            question: &str,
            choices: &[String],
        ) -> Result<String, String> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if question == "hang" {
                std::future::pending::<()>().await;
            }
            Ok(choices.last().cloned().unwrap_or_else(|| format!("{question} {}", bytes.len())))
        }
    }

    #[tokio::test]
    async fn a_picture_is_described_once_and_questions_have_answers_of_their_own() {
        let echo = Arc::new(Echo::default());
        let (toolbox, store) = eyes_with(Some(echo.clone()), Duration::from_mins(1));
        let media = store.put(png(true), "image/png", "camera").unwrap();
        for _ in 0..2 {
            let outcome = call(&toolbox, &store, "see_describe", json!({"media": media.handle()})).await;
            assert!(
                outcome.to_text().starts_with("Describe what the picture shows"),
                "{}",
                outcome.to_text()
            );
            assert_eq!(outcome.about, std::slice::from_ref(&media));
        }
        assert_eq!(echo.0.load(Ordering::Relaxed), 1);
        let ask = json!({"media": media.handle(), "question": "which?", "choices": ["a", "b"]});
        let outcome = call(&toolbox, &store, "see_ask", ask).await;
        assert_eq!((outcome.value, echo.0.load(Ordering::Relaxed)), (Some(json!("b")), 2));
        let (toolbox, _) = eyes_with(Some(echo), Duration::from_secs(1));
        let hang = json!({"media": media.handle(), "question": "hang"});
        let message = call(&toolbox, &store, "see_ask", hang).await.message;
        assert!(message.ends_with("there is no answer within 1 s"), "{message}");
    }

    #[tokio::test]
    async fn what_is_no_picture_is_never_shown_and_questions_are_bounded() {
        let echo = Arc::new(Echo::default());
        let (toolbox, store) = eyes_with(Some(echo.clone()), Duration::from_mins(1));
        let damaged = store.put(png(true)[..40].to_vec(), "image/png", "camera").unwrap();
        let outcome = call(&toolbox, &store, "see_describe", json!({"media": damaged.handle()})).await;
        assert!(outcome.message.contains("cannot be decoded"), "{}", outcome.message);
        let media = store.put(png(true), "image/png", "camera").unwrap();
        let choices: Vec<String> = (0..65).map(|number| number.to_string()).collect();
        let many = json!({"media": media.handle(), "question": "which?", "choices": choices});
        assert!(call(&toolbox, &store, "see_ask", many).await.message.contains("there are 65 choices"));
        let long = json!({"media": media.handle(), "question": "x".repeat(4001)});
        assert!(call(&toolbox, &store, "see_ask", long).await.message.contains("too long"));
        assert_eq!(echo.0.load(Ordering::Relaxed), 0);
    }
}
