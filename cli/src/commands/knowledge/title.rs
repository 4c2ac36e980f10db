//! The title of a document.

use super::lines::{Line, lines};
use super::passages::Markup;
use sojourn_tools::outside::text::cut;

/// The longest title, in characters.
const LONGEST: usize = 120;

/// The title in the front matter, the first heading of level 1, or the first heading of all; outside of code, comments and
/// front matter.
pub fn title(text: &str, markup: Markup) -> Option<String> {
    if markup == Markup::Plain {
        return None;
    }
    let mut best: Option<(usize, String)> = None;
    for line in lines(text, markup) {
        match line {
            Line::FrontMatter(line) => best = best.or_else(|| Some((0, front_matter_title(line)?))),
            Line::Heading(level, words) if !words.is_empty() && best.is_none() => best = Some((level, words)),
            Line::Heading(1, words)
                if !words.is_empty() && best.as_ref().is_some_and(|(level, _)| *level > 1) =>
            {
                best = Some((1, words));
            }
            _ => {}
        }
    }
    Some(cut(best?.1.trim(), LONGEST))
}

/// The value of `title:` (YAML) or `title =` (TOML).
fn front_matter_title(line: &str) -> Option<String> {
    let value = line.strip_prefix("title")?.trim_start();
    let value = value.strip_prefix(':').or_else(|| value.strip_prefix('='))?.trim();
    let value = value.trim_matches(['"', '\'']).trim();
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_does_not_come_out_of_code_or_front_matter_comments() {
        for (text, expected) in [
            ("# Wood #\ntext", Some("Wood")),
            ("```sh\n# install it\n```\n\n# Manual", Some("Manual")),
            ("~~~\n# one\n```\n# two\n~~~\n# Manual", Some("Manual")),
            ("````\n```\n# one\n```\n# two\n````\n# Manual", Some("Manual")),
            ("    # indented code\n\n# Manual", Some("Manual")),
            ("---\n# a comment\ntitle: \"Keys: a guide\"\n---\n# Another", Some("Keys: a guide")),
            ("---\n# a comment\ntags: [a]\n---\n\n# Keys", Some("Keys")),
            ("+++\n# a comment\ntitle = 'Keys'\n+++\n", Some("Keys")),
            ("<!-- # not this\n# nor this -->\n# Keys", Some("Keys")),
            ("Keys and locks\n==============\ntext", Some("Keys and locks")),
            ("#hashtag\n## Section", Some("Section")),
            ("text\n---\n# Keys", Some("Keys")),
            ("text\n---\nmore", Some("text")),
            ("plain", None),
            ("", None),
            ("---\n# never closed", Some("never closed")),
        ] {
            assert_eq!(title(text, Markup::Markdown).as_deref(), expected, "{text:?}");
        }
        assert_eq!(title("# a", Markup::Plain), None);
        assert_eq!(title(&format!("# {}", "x".repeat(200)), Markup::Markdown).unwrap().chars().count(), 121);
    }
}
