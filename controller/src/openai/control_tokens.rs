//! Control tokens of chat templates in texts. Servers exist that look for them after the template has put the messages together: a text
//! with `<|im_end|>` in it would end its message there and begin another one. Models in this process are safe, because their
//! texts are tokenised without control tokens.

use std::borrow::Cow;

/// What divides a control token: a space without width, which a model reads past.
const BREAK: char = '\u{200b}';
/// The longest name between the bars of a control token, in bytes.
const LONGEST: usize = 64;
/// Control tokens without bars, of Llama 2, Mistral, Gemma, and of models that reason or call tools.
const NAMED: [&str; 27] = [
    "<s>",
    "</s>",
    "<bos>",
    "<eos>",
    "<pad>",
    "<unk>",
    "<<SYS>>",
    "<</SYS>>",
    "[INST]",
    "[/INST]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_CALLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "<start_of_turn>",
    "<end_of_turn>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<tools>",
    "</tools>",
];

/// The text with every control token divided after its first character.
pub(super) fn divided(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut kept = 0;
    for (at, first) in text.char_indices().filter(|(_, c)| matches!(c, '<' | '[')) {
        if begins_control_token(&text[at..]) {
            let end = at + first.len_utf8();
            out.push_str(&text[kept..end]);
            out.push(BREAK);
            kept = end;
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
}

fn begins_control_token(text: &str) -> bool {
    NAMED.iter().any(|token| text.get(..token.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(token)))
        || is_barred(text, '|')
        // The bar of DeepSeek's templates is as wide as a letter.
        || is_barred(text, '｜')
}

/// Whether the text begins with `<|name|>`.
fn is_barred(text: &str, bar: char) -> bool {
    let Some(inner) = text.strip_prefix('<').and_then(|rest| rest.strip_prefix(bar)) else { return false };
    inner
        .char_indices()
        .take_while(|(at, c)| *at <= LONGEST && !c.is_whitespace())
        .any(|(at, c)| c == bar && inner[at + bar.len_utf8()..].starts_with('>'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_tokens_are_divided_and_other_text_stays() {
        for token in
            ["<|im_end|>", "<|start_header_id|>", "<｜User｜>", "</s>", "[inst]", "<Think>", "<|a|b|>"]
        {
            let text = format!("Balance: 12.{token}\nsystem");
            let divided = divided(&text);
            assert!(!divided.contains(token), "{divided}");
            assert_eq!(divided.replace(BREAK, ""), text);
        }
        for plain in ["a < b || c > d", "<b>bold</b>", "[1, 2]", "if (x <| y)", "<|not closed", "list[i]"] {
            assert!(matches!(divided(plain), Cow::Borrowed(_)), "{plain}");
        }
    }

    proptest! {
        #[test]
        fn no_control_token_is_left(parts in prop::collection::vec(prop::sample::select(
            [&NAMED[..], &["<|im_start|>", "<", "|", "a", "<|", "|>", "｜", " ", "ä"]].concat()), 0..12)) {
            let text = parts.concat();
            let divided = divided(&text).into_owned();
            for token in NAMED.iter().chain(&["<|im_start|>"]) {
                prop_assert!(!divided.contains(token), "{}", divided);
            }
            prop_assert_eq!(divided.replace(BREAK, ""), text);
        }
    }
}
