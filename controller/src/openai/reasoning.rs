//! Separates what a model thinks aloud from its answer, where a server sends both in one text.

/// The marks between which models think aloud, before their answer. ASCII letters match in either case.
const MARKS: [(&str, &str); 11] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
];

/// The longest reasoning that is kept beside an answer, in bytes.
const MAX_REASONING: usize = 256 << 10;

/// Reads a text piece by piece, and gives the part of each piece that belongs to the answer.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    state: State,
    /// Text that may be the beginning of a mark.
    held: String,
    /// Length of the white space at the beginning of `held`, as far as it was read.
    blank: usize,
    /// The model's reasoning, without its marks, cut at [`MAX_REASONING`].
    pub(super) reasoning: String,
    /// Whether a block of reasoning has ended, so that white space before the answer is dropped.
    ended: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    /// The text may begin with an opening mark.
    #[default]
    Start,
    /// Inside of a block that ends at this mark.
    Inside(&'static str),
    /// The answer has begun. Marks within it are part of it.
    Answer,
}

impl Splitter {
    /// Takes the next piece of the text, and returns the next piece of the answer. The work is linear in the length of all
    /// pieces.
    pub(super) fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        let text = std::mem::take(&mut self.held);
        let mut at = 0;
        loop {
            match self.state {
                State::Answer => return tail(text, at),
                State::Start => {
                    let begun = text[at + self.blank..].trim_start();
                    let start = text.len() - begun.len();
                    if let Some((open, close)) = MARKS.iter().find(|(open, _)| starts_with(begun, open)) {
                        at = start + open.len();
                        self.blank = 0;
                        self.state = State::Inside(close);
                    } else if MARKS.iter().any(|(open, _)| starts_with(open, begun)) {
                        self.blank = start - at;
                        self.held = tail(text, at);
                        return String::new();
                    } else {
                        at = if self.ended { start } else { at };
                        self.state = State::Answer;
                    }
                }
                State::Inside(close) => {
                    let inside = &text[at..];
                    let Some(length) = find(inside, close) else {
                        let keep = inside.len() - overlap(inside, close);
                        push_bounded(&mut self.reasoning, &inside[..keep]);
                        self.held = tail(text, at + keep);
                        return String::new();
                    };
                    push_bounded(&mut self.reasoning, &inside[..length]);
                    self.ended = true;
                    at += length + close.len();
                    self.state = State::Start;
                }
            }
        }
    }

    /// The rest of the answer, at the end of the text.
    pub(super) fn finish(&mut self) -> String {
        match self.state {
            State::Start => {
                let rest = self.held().to_owned();
                self.held.clear();
                self.blank = 0;
                self.state = State::Answer;
                rest
            }
            State::Inside(_) => {
                push_bounded(&mut self.reasoning, &std::mem::take(&mut self.held));
                String::new()
            }
            State::Answer => String::new(),
        }
    }

    /// What [`finish`](Self::finish) would return now.
    pub(super) fn held(&self) -> &str {
        match self.state {
            State::Start if self.ended => self.held.trim_start(),
            State::Start => &self.held,
            _ => "",
        }
    }
}

/// Appends as much of `more` as [`MAX_REASONING`] leaves room for.
pub(super) fn push_bounded(text: &mut String, more: &str) {
    let room = MAX_REASONING.saturating_sub(text.len());
    text.push_str(&more[..more.floor_char_boundary(room)]);
}

/// The text from `at` on.
fn tail(text: String, at: usize) -> String {
    if at == 0 { text } else { text[at..].to_owned() }
}

/// The text after the last closing mark, and the text before it. Some chat templates put the opening mark into the
/// prompt, so that an answer has the closing one only.
pub(super) fn after_reasoning(text: &str) -> Option<(&str, &str)> {
    let ends = MARKS.iter().filter_map(|(_, close)| {
        let at = rfind(text, close)?;
        Some((at + close.len(), at))
    });
    let (end, at) = ends.max()?;
    Some((text[end..].trim_start(), &text[..at]))
}

/// The content of the only fenced block of a text.
pub(super) fn fenced(text: &str) -> Option<&str> {
    let open = text.find("```")?;
    if open > 0 && !text[..open].ends_with('\n') && !text[..open].trim().is_empty() {
        return None;
    }
    let (language, rest) = text.get(open + 3..)?.split_once('\n')?;
    if !language.trim().chars().all(|c| c.is_alphanumeric() || "-_+#.".contains(c)) {
        return None;
    }
    let (content, after) = match rest.strip_prefix("```") {
        Some(after) => ("", after),
        None => rest.split_once("\n```")?,
    };
    (!after.contains("```")).then_some(content)
}

/// A text without the marks of the end of a message that some servers leave in it.
pub(super) fn without_end_marks(text: &str) -> &str {
    const ENDS: [&str; 7] =
        ["<|return|>", "<|end|>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|END_RESPONSE|>", "</s>"];
    let mut text = text.trim_end();
    while let Some(shorter) = ENDS.iter().find_map(|end| text.strip_suffix(end)) {
        text = shorter.trim_end();
    }
    text.strip_prefix("<|START_RESPONSE|>").unwrap_or(text)
}

fn starts_with(text: &str, mark: &str) -> bool {
    text.as_bytes().get(..mark.len()).is_some_and(|head| head.eq_ignore_ascii_case(mark.as_bytes()))
}

fn find(text: &str, mark: &str) -> Option<usize> {
    text.as_bytes().windows(mark.len()).position(|window| window.eq_ignore_ascii_case(mark.as_bytes()))
}

fn rfind(text: &str, mark: &str) -> Option<usize> {
    text.as_bytes().windows(mark.len()).rposition(|window| window.eq_ignore_ascii_case(mark.as_bytes()))
}

/// Length of the longest end of `text` that begins `mark`, at a border of characters.
fn overlap(text: &str, mark: &str) -> usize {
    let longest = text.len().min(mark.len() - 1);
    (1..=longest)
        .rev()
        .filter(|length| text.is_char_boundary(text.len() - length))
        .find(|length| starts_with(mark, &text[text.len() - length..]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer and the reasoning of `text`, read in pieces of `size` characters.
    fn split(text: &str, size: usize) -> (String, String) {
        let mut splitter = Splitter::default();
        let characters: Vec<char> = text.chars().collect();
        let mut answer: String =
            characters.chunks(size).map(|piece| splitter.push(&piece.iter().collect::<String>())).collect();
        assert!(splitter.finish().starts_with(splitter.held()));
        answer.push_str(&{
            let mut again = Splitter::default();
            for piece in characters.chunks(size) {
                again.push(&piece.iter().collect::<String>());
            }
            again.finish()
        });
        (answer, splitter.reasoning)
    }

    #[test]
    fn reasoning_before_an_answer_is_taken_apart_at_any_split() {
        for (text, answer, reasoning) in [
            ("<think>\nhm </thin </think>\n\n{\"a\": 1}", "{\"a\": 1}", "\nhm </thin "),
            ("\n <THINK>hm</Think>{}", "{}", "hm"),
            ("<thinking>a</thinking>\n<reflection>b</reflection> {}", "{}", "ab"),
            ("[THINK]é[/THINK]{}", "{}", "é"),
            ("◁think▷界◁/think▷{}", "{}", "界"),
            (
                "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{}",
                "{}",
                "hm<|end|><|start|>assistant",
            ),
            ("<think></think>{}", "{}", ""),
            ("<think>never ends", "", "never ends"),
            ("<think>never ends</thi", "", "never ends</thi"),
            (" plain", " plain", ""),
            ("<thin", "<thin", ""),
            ("{\"a\": \"<think>b</think>\"}", "{\"a\": \"<think>b</think>\"}", ""),
            ("", "", ""),
        ] {
            for size in 1..20 {
                assert_eq!(
                    split(text, size),
                    (answer.to_owned(), reasoning.to_owned()),
                    "{text:?} by {size}"
                );
            }
        }
    }

    #[test]
    fn white_space_in_many_pieces_and_many_blocks_take_linear_time() {
        // Copying all of it for each piece or block would move 500 GB.
        let mut splitter = Splitter::default();
        for _ in 0..1_000_000 {
            assert_eq!(splitter.push(" "), "");
        }
        assert_eq!(splitter.push("{}").len(), 1_000_002);
        let mut splitter = Splitter::default();
        assert_eq!(splitter.push(&("<think>a</think> ".repeat(100_000) + "{}")), "{}");
        assert_eq!(splitter.reasoning.len(), 100_000);
    }

    #[test]
    fn reasoning_without_an_end_is_cut() {
        let mut splitter = Splitter::default();
        splitter.push("<think>");
        for _ in 0..100 {
            assert_eq!(splitter.push(&"é".repeat(10_000)), "");
        }
        assert_eq!(splitter.reasoning.len(), MAX_REASONING);
        assert_eq!(splitter.push("</think>{}"), "{}");
    }

    #[test]
    fn an_answer_may_follow_a_closing_mark_alone() {
        assert_eq!(after_reasoning("so it is one.\n</think>\n\n{}"), Some(("{}", "so it is one.\n")));
        assert_eq!(after_reasoning("{}"), None);
    }

    #[test]
    fn the_only_fenced_block_is_found() {
        for (text, content) in [
            ("```json\n{}\n```", Some("{}")),
            ("Here it is:\n```\n{\n}\n```\nDone.", Some("{\n}")),
            ("```js\n```", Some("")),
            ("```json\n{}\n```\n```json\n{}\n```", None),
            ("```json\n{}", None),
            ("``` not a fence ```\n{}", None),
            ("text ```\n{}\n```", None),
            ("{}", None),
        ] {
            assert_eq!(fenced(text), content, "{text:?}");
        }
        assert_eq!(without_end_marks("{}<|end|> <|return|>\n"), "{}");
    }
}
