//! Splits a document into passages that can be understood on their own.

/// The length of a passage in characters, which fits into the embedding model's input.
const LENGTH: usize = 900;

/// How headings are marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    /// Lines that begin with `#`.
    Markdown,
    /// Headings are not marked.
    Plain,
}

/// The passages of a text in order. Each starts with the headings above it and has at most about 900 characters. A
/// paragraph is split only if it is longer than a passage.
pub fn split(text: &str, markup: Markup) -> Vec<String> {
    let mut passages = Passages::default();
    let mut fenced = false;
    for block in blocks(text) {
        let heading = block.trim_start_matches('#');
        let level = block.len() - heading.len();
        if markup == Markup::Markdown && !fenced && (1..=6).contains(&level) && heading.starts_with(' ') {
            passages.begin(level, heading.trim());
            continue;
        }
        fenced ^= markup == Markup::Markdown && block.matches("```").count() % 2 == 1;
        passages.add(block);
    }
    passages.finish()
}

#[derive(Default)]
struct Passages {
    headings: Vec<(usize, String)>,
    open: String,
    done: Vec<String>,
}

impl Passages {
    fn begin(&mut self, level: usize, heading: &str) {
        self.close();
        self.headings.retain(|(other, _)| *other < level);
        self.headings.push((level, heading.to_owned()));
    }

    fn add(&mut self, block: &str) {
        if length(&self.open) + length(block) > LENGTH {
            self.close();
        }
        for piece in pieces(block) {
            if length(&self.open) + length(piece) > LENGTH {
                self.close();
            }
            if !self.open.is_empty() {
                self.open.push('\n');
            }
            self.open.push_str(piece);
        }
    }

    fn close(&mut self) {
        let text = std::mem::take(&mut self.open);
        if text.trim().is_empty() {
            return;
        }
        let headings: Vec<&str> = self.headings.iter().map(|(_, heading)| heading.as_str()).collect();
        let head: String = headings.join(" › ").chars().take(LENGTH).collect();
        self.done.push(if head.is_empty() { text } else { format!("{head}\n{text}") });
    }

    fn finish(mut self) -> Vec<String> {
        self.close();
        self.done
    }
}

/// Paragraphs and heading lines.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(['\n', '\r', ' ', '\t', '\0']);
        if rest.is_empty() {
            return None;
        }
        let end = if rest.starts_with('#') {
            rest.find('\n').unwrap_or(rest.len())
        } else {
            let blank = rest.find("\n\n").or_else(|| rest.find("\n\r\n")).unwrap_or(rest.len());
            rest[..blank].find("\n#").unwrap_or(blank)
        };
        let (block, after) = rest.split_at(end);
        rest = after;
        Some(block.trim_end())
    })
}

/// Splits a block into parts that fit: after a sentence, else between words, else anywhere.
fn pieces(block: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = block;
    while let Some((limit, _)) = rest.char_indices().nth(LENGTH) {
        let head = &rest[..limit];
        let sentence = head
            .rfind(['.', '!', '?', '。', '\n'])
            .map(|at| at + head[at..].chars().next().map_or(1, char::len_utf8));
        let cut = sentence
            .filter(|at| *at > limit / 3)
            .or_else(|| head.rfind(char::is_whitespace).filter(|at| *at > limit / 3))
            .unwrap_or(limit);
        pieces.push(rest[..cut].trim());
        rest = rest[cut..].trim_start();
    }
    pieces.push(rest.trim());
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_carry_their_headings() {
        let text = "Intro.\n\n# Tools\n\n## Pickaxe\nNeeds wood.\n\n```\n# not a heading\n```\n\n## Sword\nNeeds more.\n";
        assert_eq!(
            split(text, Markup::Markdown),
            [
                "Intro.",
                "Tools › Pickaxe\nNeeds wood.\n```\n# not a heading\n```",
                "Tools › Sword\nNeeds more."
            ]
        );
        assert_eq!(split("# a\n\nb", Markup::Plain), ["# a\nb"]);
        assert!(split(" \n\n\0\n ", Markup::Markdown).is_empty());
    }

    #[test]
    fn a_long_text_of_any_script_is_cut_and_nothing_is_lost() {
        for text in ["word. ".repeat(5000), "木を切る。".repeat(5000), "x".repeat(50_000), "é\n".repeat(9000)]
        {
            let passages = split(&text, Markup::Markdown);
            assert!(
                passages.iter().all(|passage| length(passage) <= LENGTH + 1 && !passage.trim().is_empty())
            );
            let kept: String = passages.concat().split_whitespace().collect();
            assert_eq!(kept, text.split_whitespace().collect::<String>());
        }
    }

    #[test]
    fn ten_million_characters_are_cut() {
        let text = "A sentence about wood and stone. ".repeat(310_000);
        assert!(text.len() > 10_000_000);
        assert!(split(&text, Markup::Plain).len() > 10_000);
    }
}
