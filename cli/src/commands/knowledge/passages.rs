//! Splits a document into passages that can be understood on their own.

use super::lines::{Line, is_drawing, lines};

/// The length of a passage in characters, which fits into the embedding model's input.
const LENGTH: usize = 900;
/// Longer runs of drawn lines or spaces within a line are layout.
const LONGEST_RUN: usize = 3;

/// How headings are marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    /// As in Markdown, with its code blocks, comments and front matter.
    Markdown,
    /// Lines that begin with `#`, and nothing else of Markdown.
    Headings,
    /// Headings are not marked.
    Plain,
}

/// The passages of a text in order. Each starts with the headings above it and has at most about 900 characters. A
/// paragraph or code block is split only if it is longer than a passage. Lines that only draw are in no passage.
pub fn split(text: &str, markup: Markup) -> Vec<String> {
    let mut passages = Passages::default();
    let mut block = String::new();
    let mut is_code = false;
    for line in lines(text, markup) {
        let (line, code) = match line {
            Line::Code(line) => (line, true),
            Line::FrontMatter(line) if is_drawing(line) => continue,
            Line::Text(line) | Line::FrontMatter(line) => (line, false),
            Line::Heading(level, words) => {
                passages.add(&std::mem::take(&mut block));
                passages.begin(level, &words);
                continue;
            }
            Line::Empty => {
                passages.add(&std::mem::take(&mut block));
                continue;
            }
        };
        if code != is_code {
            passages.add(&std::mem::take(&mut block));
            is_code = code;
        }
        if !block.is_empty() {
            block.push('\n');
        }
        if code { block.push_str(line) } else { block.push_str(&without_layout(line)) }
    }
    passages.add(&block);
    passages.finish()
}

/// A line without long runs of drawn lines and spaces. Its indentation stays.
fn without_layout(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    let mut kept = line[..indent].to_owned();
    let is_layout = |c: char| c == ' ' || matches!(c, '\u{2500}'..='\u{257f}');
    let mut rest = line[indent..].trim_end();
    while let Some(start) = rest.find(is_layout) {
        let run = rest[start..].find(|c| !is_layout(c)).unwrap_or(rest.len() - start);
        let (run_text, after) = rest[start..].split_at(run);
        kept.push_str(&rest[..start]);
        // The border between two cells stays.
        let border = run_text.trim().chars().next().filter(|_| run_text.trim().chars().count() == 1);
        match border {
            Some(border) if run_text.chars().count() > LONGEST_RUN => {
                kept.push(' ');
                kept.push(border);
                kept.push(' ');
            }
            _ if run_text.chars().count() > LONGEST_RUN => kept.push_str("  "),
            _ => kept.push_str(run_text),
        }
        rest = after;
    }
    kept.push_str(rest);
    kept
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
        let block = block.trim_matches(['\n', '\r', '\0']).trim_end();
        if block.trim().is_empty() {
            return;
        }
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
        if text.lines().all(|line| line.trim().is_empty() || is_drawing(line)) {
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
    fn the_rules_of_tables_are_no_passages() {
        let rule = "─".repeat(9000);
        let table = format!(
            "{rule}\nKey{}│Place{}\n{}┼{}\nA{}│cellar\n{rule}\n",
            " ".repeat(4000),
            " ".repeat(4000),
            "─".repeat(4000),
            "─".repeat(4000),
            " ".repeat(4000)
        );
        for markup in [Markup::Headings, Markup::Plain, Markup::Markdown] {
            assert_eq!(split(&table, markup), ["Key │ Place\nA │ cellar"]);
            assert!(split(&rule, markup).is_empty());
        }
        let markdown = "| key | place |\n|-----|:-----:|\n| A | cellar |\n\n* * *\n\n___\n";
        assert_eq!(split(markdown, Markup::Markdown), ["| key | place |\n| A | cellar |"]);
        let code = "```yaml\n---\na:    1\n```";
        assert_eq!(split(code, Markup::Markdown), [code]);
    }

    #[test]
    fn headings_in_code_and_front_matter_are_none() {
        let text = "---\n# comment\ntags: [a]\n---\n# Real\n~~~\n# one\n\n# two\n~~~\ntext\n";
        assert_eq!(
            split(text, Markup::Markdown),
            ["# comment\ntags: [a]", "Real\n~~~\n# one\n\n# two\n~~~\ntext"]
        );
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
