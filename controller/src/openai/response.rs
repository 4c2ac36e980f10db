//! Collects the answers to one request while they arrive.

use super::reasoning::{Splitter, push_bounded};
use super::wire::{Answer, Content};
use crate::{Completion, Finish, Request, Timing, Usage};
use std::collections::BTreeMap;
use std::time::Instant;

/// The longest refusal that an error repeats, in bytes.
const MAX_REFUSAL: usize = 2000;

/// What a server has sent in response to one request, and when.
#[derive(Debug)]
pub(super) struct PendingResponse<'r> {
    request: &'r Request,
    /// Number of requested answers.
    asked: u32,
    /// Answers by the server's index.
    choices: BTreeMap<u32, Choice>,
    usage: Option<Usage>,
    /// Whether the answer is streamed, as far as is known.
    in_pieces: bool,
    asked_at: Instant,
    /// Start of the latest attempt.
    sent_at: Option<Instant>,
    /// Arrival of the first part of an answer.
    first_at: Option<Instant>,
}

/// One answer so far.
#[derive(Debug, Default)]
struct Choice {
    text: String,
    /// Whether it is settled that `text` does not start with the prefill, which some servers echo.
    begun: bool,
    pieces: u32,
    refusal: String,
    called: bool,
    /// Reasoning that the server has separated from the answer, of bounded length.
    reasoning: String,
    /// Takes reasoning out of the text itself.
    splitter: Splitter,
    end: Option<End>,
}

#[derive(Debug)]
enum End {
    /// The answer reached this stop string.
    Stopped(String),
    /// The server's finish reason.
    Reason(String),
}

/// The final state of one answer.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// An answer, still to be checked if it is complete.
    Answer(Completion),
    /// No answer, for this reason.
    Broken(String),
}

impl<'r> PendingResponse<'r> {
    /// Expects `asked` answers to `request`.
    pub(super) fn new(request: &'r Request, asked: u32) -> Self {
        Self {
            request,
            asked,
            choices: BTreeMap::new(),
            usage: None,
            in_pieces: false,
            asked_at: Instant::now(),
            sent_at: None,
            first_at: None,
        }
    }

    /// Starts an attempt, and discards what an earlier one received.
    pub(super) fn begin(&mut self, in_pieces: bool) {
        self.choices.clear();
        self.usage = None;
        self.in_pieces = in_pieces;
        self.sent_at = Some(Instant::now());
        self.first_at = None;
    }

    /// Takes a whole response.
    pub(super) fn take_whole(&mut self, answer: Answer) -> Result<(), String> {
        self.in_pieces = false;
        self.usage = answer.usage();
        // Some servers omit the index, so the order counts.
        for (index, mut choice) in (0..self.asked).zip(answer.choices) {
            let content = choice.content();
            let stop = choice.stop_reason.as_ref().and_then(|stop| stop.as_str());
            self.add(index, &content, choice.finish_reason, stop);
        }
        self.have_choices()
    }

    /// Takes a streamed chunk, and returns whether it contained part of an answer.
    pub(super) fn take_piece(&mut self, answer: Answer) -> bool {
        let mut progressed = false;
        if let Some(usage) = answer.usage() {
            self.usage = Some(usage);
        }
        for mut choice in answer.choices {
            let index = choice.index.unwrap_or(0);
            if index >= self.asked {
                continue;
            }
            let content = choice.content();
            if content.is_something() || choice.finish_reason.is_some() {
                progressed = true;
                self.first_at.get_or_insert_with(Instant::now);
            }
            let stop = choice.stop_reason.as_ref().and_then(|stop| stop.as_str());
            self.add(index, &content, choice.finish_reason, stop);
        }
        progressed
    }

    fn add(&mut self, index: u32, content: &Content, finish_reason: Option<String>, stop: Option<&str>) {
        let choice = self.choices.entry(index).or_default();
        if choice.end.is_some() {
            return;
        }
        push_bounded(&mut choice.refusal, &content.refusal);
        choice.called |= content.calls;
        push_bounded(&mut choice.reasoning, &content.reasoning);
        if !content.text.is_empty() || !content.reasoning.is_empty() {
            choice.pieces = choice.pieces.saturating_add(u32::from(self.in_pieces));
        }
        let mut text = choice.splitter.push(&content.text);
        if finish_reason.is_some() {
            text.push_str(&choice.splitter.finish());
        }
        if !text.is_empty() {
            choice.append(&text, self.request);
        }
        if let (None, Some(reason)) = (&choice.end, finish_reason) {
            let stop = stop.filter(|stop| self.request.stop.iter().any(|asked| asked == stop));
            choice.end = Some(stop.map_or(End::Reason(reason), |stop| End::Stopped(stop.to_owned())));
        }
    }

    /// Whether all requested answers have ended.
    pub(super) fn is_finished(&self) -> bool {
        self.choices.len() == self.asked as usize && self.have_ended()
    }

    /// Whether at least one answer has started, and all started ones have ended.
    pub(super) fn have_ended(&self) -> bool {
        !self.choices.is_empty() && self.choices.values().all(|choice| choice.end.is_some())
    }

    /// Whether all requested answers have ended, some of them at a stop string that the server does not know
    /// of.
    pub(super) fn is_cut(&self) -> bool {
        self.is_finished() && self.choices.values().any(|choice| matches!(choice.end, Some(End::Stopped(_))))
    }

    pub(super) fn have_choices(&self) -> Result<(), String> {
        if self.choices.is_empty() { Err("it holds no choices".into()) } else { Ok(()) }
    }

    /// The token usage, and whether the server reported it. Otherwise chunks are counted.
    pub(super) fn usage(&self) -> (Usage, bool) {
        if let Some(usage) = self.usage {
            return (usage, true);
        }
        let pieces = self.choices.values().fold(0u32, |all, choice| all.saturating_add(choice.pieces));
        (Usage { completion_tokens: pieces, ..Usage::default() }, false)
    }

    pub(super) fn timing(&self) -> Timing {
        let now = Instant::now();
        let ms = |from: Instant, to: Instant| to.saturating_duration_since(from).as_millis() as u64;
        let Some(sent) = self.sent_at else {
            return Timing { queue_ms: ms(self.asked_at, now), ..Timing::default() };
        };
        // Without streaming, prefill and decoding cannot be distinguished.
        let first = self.first_at.unwrap_or(if self.in_pieces { now } else { sent });
        Timing { queue_ms: ms(self.asked_at, sent), prefill_ms: ms(sent, first), decode_ms: ms(first, now) }
    }

    /// The outcomes of all answers.
    pub(super) fn outcomes(self) -> Vec<Outcome> {
        let alone = self.choices.len() == 1;
        let reported = self.usage.filter(|_| alone).map(|usage| usage.completion_tokens);
        // The usage is reported for all answers together.
        self.choices.into_values().map(|choice| choice.outcome(reported)).collect()
    }

    /// The requested answers so far. Unfinished ones end with `finish`.
    pub(super) fn unfinished(&self, finish: &Finish) -> Vec<Completion> {
        let of = |index| match self.choices.get(&index) {
            Some(choice) => choice.so_far(finish, &self.request.prefill),
            None => Completion::new(String::new(), 0, finish.clone()),
        };
        (0..self.asked).map(of).collect()
    }
}

impl Choice {
    /// Appends `content`, without an echoed prefill, up to the first stop string.
    fn append(&mut self, content: &str, request: &Request) {
        let mut searched = self.text.len();
        self.text.push_str(content);
        if !self.begun {
            let prefill = request.prefill.as_str();
            if let Some(rest) = self.text.strip_prefix(prefill) {
                self.text = rest.to_owned();
            } else if prefill.starts_with(&self.text) {
                return;
            }
            self.begun = true;
            searched = 0;
        }
        let stops = request.stop.iter().filter(|stop| !stop.is_empty());
        // A stop string may span chunks.
        let longest = stops.clone().map(String::len).max().unwrap_or(0);
        let from = self.text.floor_char_boundary(searched.saturating_sub(longest));
        let tail = self.text.get(from..).unwrap_or_default();
        let first = stops.filter_map(|stop| Some((tail.find(stop.as_str())?, stop))).min_by_key(|hit| hit.0);
        if let Some((at, stop)) = first {
            self.text.truncate(from + at);
            self.end = Some(End::Stopped(stop.clone()));
        }
    }

    /// Why the answer ended; `None` if it has not. An error if it is not an answer.
    fn finish(&self) -> Result<Option<Finish>, String> {
        Ok(match &self.end {
            None => None,
            Some(End::Stopped(stop)) => Some(Finish::Stopped(stop.clone())),
            Some(End::Reason(reason)) => match reason.as_str() {
                "length" => Some(Finish::Length),
                "content_filter" => return Err("the server's content filter cut the answer".to_owned()),
                _ if self.called && self.text.is_empty() => {
                    return Err("the answer is a tool call without text".to_owned());
                }
                // Servers use various words for a complete answer.
                _ => Some(Finish::Complete),
            },
        })
    }

    /// `reported` is the length that the server reported.
    fn outcome(mut self, reported: Option<u32>) -> Outcome {
        if !self.refusal.trim().is_empty() {
            let refusal = self.refusal.trim();
            let beginning = &refusal[..refusal.floor_char_boundary(MAX_REFUSAL)];
            let more = if beginning.len() < refusal.len() { "…" } else { "" };
            return Outcome::Broken(format!("the model refused to answer: {beginning}{more}"));
        }
        match self.finish() {
            Err(reason) => Outcome::Broken(reason),
            Ok(finish) => {
                self.text.push_str(self.splitter.held());
                Outcome::Answer(Completion {
                    reasoning: self.thought(),
                    // Some servers end the stream without a finish reason.
                    ..Completion::new(
                        self.text,
                        reported.unwrap_or(self.pieces),
                        finish.unwrap_or(Finish::Complete),
                    )
                })
            }
        }
    }

    /// The model's reasoning before its answer, wherever the server sent it.
    fn thought(&self) -> Option<String> {
        let mut thought = self.reasoning.clone();
        if !thought.is_empty() && !self.splitter.reasoning.is_empty() {
            thought.push('\n');
        }
        push_bounded(&mut thought, &self.splitter.reasoning);
        let thought = thought.trim();
        (!thought.is_empty()).then(|| thought.to_owned())
    }

    fn so_far(&self, finish: &Finish, prefill: &str) -> Completion {
        let finish = self.finish().ok().flatten().unwrap_or_else(|| finish.clone());
        // Text that may still turn out to be an echoed prefill is not part of the answer yet.
        let known = self.begun || self.end.is_some();
        let text = if known || !prefill.starts_with(&self.text) { self.text.clone() } else { String::new() };
        Completion { reasoning: self.thought(), ..Completion::new(text, self.pieces, finish) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Constraint, Message};
    use proptest::prelude::*;
    use serde_json::json;

    fn request(prefill: &str, stop: &[&str]) -> Request {
        let mut request = Request::new(vec![Message::user("?")], Constraint::line(99), 99);
        request.prefill = prefill.to_owned();
        request.stop = stop.iter().map(|&stop| stop.to_owned()).collect();
        request
    }

    fn piece(index: u32, text: &str, finish: Option<&str>) -> Answer {
        let choice = json!({"index": index, "delta": {"content": text}, "finish_reason": finish});
        Answer::read(&json!({"choices": [choice]}).to_string()).unwrap()
    }

    fn whole(text: &str) -> Answer {
        let choice = json!({"message": {"content": text}, "finish_reason": "stop"});
        Answer::read(&json!({"choices": [choice]}).to_string()).unwrap()
    }

    proptest! {
        /// Any split of a text into chunks yields the same answer as the whole text.
        #[test]
        fn streamed_answer_equals_the_whole_answer(
            text in "(say: |sa)?[aäx.é]{0,20}",
            cuts in proptest::collection::vec(0usize..30, 0..6),
            prefill in "(say: )?",
        ) {
            // No stop string is a prefix of another, so the first match does not depend on the split.
            let request = request(&prefill, &["x.", "éé"]);
            let mut pending = PendingResponse::new(&request, 1);
            pending.take_whole(whole(&text)).unwrap();
            let expected = pending.unfinished(&Finish::Cancelled).remove(0);

            let mut cuts: Vec<usize> = cuts.iter().map(|&at| text.floor_char_boundary(at)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut pending = PendingResponse::new(&request, 1);
            pending.begin(true);
            for ends in cuts.windows(2) {
                pending.take_piece(piece(0, &text[ends[0]..ends[1]], None));
            }
            pending.take_piece(piece(0, "", Some("stop")));
            prop_assert!(pending.is_finished());
            let read = pending.unfinished(&Finish::Cancelled).remove(0);
            prop_assert_eq!((read.text, read.finish), (expected.text, expected.finish));
        }
    }

    #[test]
    fn a_long_refusal_is_cut() {
        let long = "é".repeat(1 << 20);
        let request = request("", &[]);
        let mut pending = PendingResponse::new(&request, 1);
        let refused = json!({"choices": [{"message": {"refusal": long}, "finish_reason": "stop"}]});
        pending.take_whole(Answer::read(&refused.to_string()).unwrap()).unwrap();
        let outcomes = pending.outcomes();
        assert!(matches!(&outcomes[..], [Outcome::Broken(reason)] if reason.len() < 5000));
    }

    #[test]
    fn interleaved_choices_are_separated_and_extra_ones_ignored() {
        let request = request("", &[]);
        let mut pending = PendingResponse::new(&request, 2);
        pending.begin(true);
        for (index, text) in [(1, "b"), (0, "a"), (7, "z"), (1, "b"), (0, "a"), (u32::MAX, "z")] {
            assert_eq!(pending.take_piece(piece(index, text, None)), index < 2);
        }
        assert_eq!(pending.usage(), (Usage { completion_tokens: 4, ..Usage::default() }, false));
        pending.take_piece(piece(0, "", Some("length")));
        assert!(!pending.have_ended());
        let texts: Vec<(String, Finish)> =
            pending.unfinished(&Finish::Deadline).into_iter().map(|one| (one.text, one.finish)).collect();
        assert_eq!(texts, [("aa".to_owned(), Finish::Length), ("bb".to_owned(), Finish::Deadline)]);
    }

    #[test]
    fn response_is_cut_when_no_later_text_can_count() {
        let request = request("", &["."]);
        let mut pending = PendingResponse::new(&request, 2);
        pending.begin(true);
        pending.take_piece(piece(0, "one. And mo", None));
        assert!(!pending.is_cut());
        pending.take_piece(piece(0, "re.", None));
        pending.take_piece(piece(1, "two", Some("stop")));
        assert!(pending.is_cut());
        let texts: Vec<String> =
            pending.unfinished(&Finish::Cancelled).into_iter().map(|one| one.text).collect();
        assert_eq!(texts, ["one", "two"]);
    }

    #[test]
    fn reported_stop_string_counts_only_if_requested() {
        let request = request("", &["END"]);
        for (reason, finish) in [("END", Finish::Stopped("END".into())), ("other", Finish::Complete)] {
            let choice = json!({"message": {"content": "a"}, "finish_reason": "stop", "stop_reason": reason});
            let mut pending = PendingResponse::new(&request, 1);
            pending.take_whole(Answer::read(&json!({"choices": [choice]}).to_string()).unwrap()).unwrap();
            let expected = Completion::new("a".into(), 0, finish);
            assert_eq!(pending.outcomes(), [Outcome::Answer(expected)]);
        }
    }
}
