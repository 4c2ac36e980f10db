//! Finds the answer in the text of a server that does not enforce constraints.
//!
//! Nothing is guessed: of the few readings of a text, such as what comes after the reasoning or within a code fence, the
//! first one that satisfies the whole constraint is the answer. Where the answer continues a prefill, the text may have
//! the prefill too, at the beginning of any line, and anything after the end of the answer.

use super::reasoning::{after_reasoning, fenced, without_end_marks};
use crate::{CheckError, Completion, Constraint, Request};

/// Longest quotation of an answer that is refused, in characters.
const MAX_QUOTED: usize = 80;

/// Reduces a completion to the answer that satisfies the constraint of `request`.
///
/// # Errors
/// As [`Constraint::check`], for the whole text; the reason quotes it. The completion is unchanged then.
pub(super) fn accept(request: &Request, completion: &mut Completion) -> Result<(), CheckError> {
    let constraint = &request.constraint;
    let mut first_violation = None;
    let mut found = None;
    for (reading, reasoning) in readings(constraint, &completion.text) {
        let checked = match continuation(&request.prefill, reading) {
            Some(rest) => constraint.complete_beginning(rest),
            None => constraint.check(reading).map(|()| reading),
        };
        match checked {
            Ok(text) => {
                found = Some((text.to_owned(), reasoning.map(str::to_owned)));
                break;
            }
            Err(CheckError::Violation { reason }) => {
                first_violation.get_or_insert(reason);
            }
            Err(error) => return Err(error),
        }
    }
    if let Some((text, reasoning)) = found {
        completion.text = text;
        if let Some(reasoning) = reasoning.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        {
            completion.reasoning = Some(match completion.reasoning.take() {
                Some(before) => format!("{before}\n{reasoning}"),
                None => reasoning,
            });
        }
        return Ok(());
    }
    if completion.text.trim().is_empty() {
        // Some servers take an answer without reasoning for reasoning.
        if let (Constraint::JsonSchema(_), Some(reasoning)) = (constraint, &completion.reasoning)
            && constraint.check(reasoning).is_ok()
        {
            completion.text = completion.reasoning.take().unwrap_or_default();
            return Ok(());
        }
        let reason = match completion.reasoning {
            Some(_) => "the model has sent its reasoning, but no answer after it",
            None => "the answer is empty",
        };
        return Err(CheckError::Violation { reason: reason.to_owned() });
    }
    let reason = first_violation.unwrap_or_default();
    let begins: String = completion.text.trim_start().chars().take(MAX_QUOTED).collect();
    Err(CheckError::Violation { reason: format!("{reason}; the answer begins with `{begins}`") })
}

/// The parts of `text` that may be the answer, each with the reasoning before it; the likeliest first.
fn readings<'t>(constraint: &Constraint, text: &'t str) -> Vec<(&'t str, Option<&'t str>)> {
    let is_json = matches!(constraint, Constraint::JsonSchema(_));
    let of = |text: &'t str, reasoning| {
        let plain = without_end_marks(text);
        let object = Some(plain).filter(|_| is_json).and_then(braced);
        let texts = [Some(text), Some(plain), fenced(plain).map(str::trim), object];
        texts.into_iter().flatten().map(move |text| (text, reasoning))
    };
    let Some((answer, reasoning)) = after_reasoning(text) else { return of(text, None).collect() };
    let whole = [(text, None), (without_end_marks(text), None)];
    let cut = of(answer, Some(reasoning));
    // A grammar for free text may allow the reasoning and its mark too.
    if is_json { whole.into_iter().chain(cut).collect() } else { cut.chain(whole).collect() }
}

/// From the first opening brace to the last closing one: an object between words.
fn braced(text: &str) -> Option<&str> {
    text.get(text.find('{')?..=text.rfind('}')?)
}

/// The text after `prefill`, where a line of `text` begins with it. White space is not compared.
fn continuation<'t>(prefill: &str, text: &'t str) -> Option<&'t str> {
    if prefill.trim().is_empty() {
        return None;
    }
    let mut lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
    lines.find_map(|at| after(prefill, text.get(at..)?))
}

/// The text after `prefill`, if `text` begins with it. White space is not compared.
fn after<'t>(prefill: &str, text: &'t str) -> Option<&'t str> {
    let mut rest = text;
    for expected in prefill.chars().filter(|c| !c.is_whitespace()) {
        rest = rest.trim_start().strip_prefix(expected)?;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Finish;

    fn read(
        constraint: &Constraint,
        text: &str,
        reasoning: Option<&str>,
    ) -> Result<(String, Option<String>), String> {
        read_after("", constraint, text, reasoning)
    }

    fn read_after(
        prefill: &str,
        constraint: &Constraint,
        text: &str,
        reasoning: Option<&str>,
    ) -> Result<(String, Option<String>), String> {
        let mut request = Request::new(Vec::new(), constraint.clone(), 9);
        request.prefill = prefill.to_owned();
        let mut completion = Completion::new(text.to_owned(), 1, Finish::Complete);
        completion.reasoning = reasoning.map(str::to_owned);
        let before = completion.clone();
        match accept(&request, &mut completion) {
            Ok(()) => Ok((completion.text, completion.reasoning)),
            Err(error) => {
                assert_eq!(completion, before);
                Err(error.to_string())
            }
        }
    }

    #[test]
    fn an_answer_after_reasoning_or_in_a_fence_is_found() {
        let choice = Constraint::choice(["eat", "sleep"]);
        for (text, before, reasoning) in [
            ("\"eat\"", None, None),
            ("I am hungry.\n</think>\n\"eat\"", None, Some("I am hungry.")),
            ("b</think>\"eat\"", Some("a"), Some("a\nb")),
            ("```json\n\"eat\"\n```", None, None),
            ("Here it is:\n```\n\"eat\"\n```\n", None, None),
            ("hm</think>\n```json\n\"eat\"\n```", None, Some("hm")),
            ("\"eat\"<|im_end|>", None, None),
            ("", Some("\"eat\""), None),
        ] {
            let expected = Ok(("\"eat\"".to_owned(), reasoning.map(str::to_owned)));
            assert_eq!(read(&choice, text, before), expected, "{text:?}");
        }
        let line = Constraint::line(99);
        assert_eq!(
            read(&line, "hm</think>A lesson", None),
            Ok(("A lesson".to_owned(), Some("hm".to_owned())))
        );
    }

    #[test]
    fn a_refused_answer_is_quoted() {
        let choice = Constraint::choice(["eat", "sleep"]);
        for (text, reasoning, expected) in [
            ("Sure, I eat.", None, "the answer begins with `Sure, I eat.`"),
            ("\"run\"", None, "begins with `\"run\"`"),
            ("", None, "the answer is empty"),
            ("", Some("hm"), "no answer after it"),
            // Which of the two is meant is not guessed.
            ("```\n\"eat\"\n```\n```\n\"sleep\"\n```", None, "begins with"),
            ("\"eat\" or \"sleep\"", None, "begins with"),
        ] {
            let error = read(&choice, text, reasoning).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_object_between_words_is_found() {
        let schema = serde_json::json!({"type": "object", "required": ["task"]});
        let constraint = Constraint::JsonSchema(schema);
        let text = "Sure! {\"task\": \"eat\"} is best.";
        assert_eq!(read(&constraint, text, None).unwrap().0, "{\"task\": \"eat\"}");
        assert!(read(&constraint, "{\"a\": 1} or {\"task\": \"eat\"}", None).is_err());
    }

    #[test]
    fn a_whole_text_is_reduced_to_what_follows_the_prefill() {
        let grammar = Constraint::Lark("start: /[ \\n]*go\\(\\);\\n\\}/".to_owned());
        let head = "function f(n) {\n";
        for text in [
            " go();\n}",
            "function f(n) {\n go();\n}",
            "function f(n)\n{\n go();\n}\n",
            "  function f( n ){\n go();\n}\n\nThis goes.",
            "```js\nfunction f(n) {\n go();\n}\n```",
            "Here:\n```\nfunction f(n) {\n go();\n}\n```\nOr:\n```\nfunction f(n) {}\n```",
            "hm</think>\nfunction f(n) {\n go();\n}",
        ] {
            let (read, _) = read_after(head, &grammar, text, None).unwrap();
            assert_eq!(read.trim(), "go();\n}", "{text}");
        }
        for text in
            ["function g(n) {\n go();\n}", "x function f(n) {\n go();\n}", "function f(n) {\n stay();\n}"]
        {
            assert!(read_after(head, &grammar, text, None).is_err(), "{text}");
        }
    }
}
