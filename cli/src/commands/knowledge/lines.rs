//! What each line of a document is: heading, code, front matter or text.

use super::passages::Markup;

/// A line of a document.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line of the metadata at the top of a Markdown file.
    FrontMatter(&'a str),
    /// A heading, with its level from 1 on and its words.
    Heading(usize, String),
    /// A line of a code block or comment, its fences included.
    Code(&'a str),
    /// Any other line that is not empty.
    Text(&'a str),
    Empty,
}

/// The lines of a text in order. Lines that only draw, such as the borders of a table, are left out.
pub fn lines(text: &str, markup: Markup) -> Vec<Line<'_>> {
    let all: Vec<&str> = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    if markup == Markup::Plain {
        return all.into_iter().filter(|line| !is_drawing(line)).map(plain).collect();
    }
    let front = if markup == Markup::Markdown { front_matter(&all) } else { 0 };
    let mut lines: Vec<Line<'_>> = all[..front].iter().copied().map(Line::FrontMatter).collect();
    let mut block: Option<Block> = None;
    for (at, line) in all.iter().copied().enumerate().skip(front) {
        if let Some(open) = &block {
            if open.ends_at(line) {
                block = None;
            }
            lines.push(Line::Code(line));
            continue;
        }
        if markup == Markup::Markdown {
            block = Block::opened(line);
            let is_one_line = block == Some(Block::Comment) && Block::Comment.ends_at(line);
            if block.is_some() {
                if is_one_line {
                    block = None;
                }
                lines.push(Line::Code(line));
                continue;
            }
            if is_indented_code(line, at.checked_sub(1).map(|before| all[before])) {
                lines.push(Line::Code(line));
                continue;
            }
            if let Some(level) = underline(line)
                && let Some(Line::Text(words)) = lines.last()
                && !is_list_or_table(words)
            {
                let words = words.trim().to_owned();
                lines.pop();
                lines.push(Line::Heading(level, words));
                continue;
            }
        }
        if is_drawing(line) {
            continue;
        }
        lines.push(match heading(line) {
            Some((level, words)) => Line::Heading(level, words),
            None => plain(line),
        });
    }
    lines
}

fn plain(line: &str) -> Line<'_> {
    if line.trim_matches([' ', '\t', '\r', '\0']).is_empty() { Line::Empty } else { Line::Text(line) }
}

/// A block of lines in which nothing is markup.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    /// Ends at a fence of the same character, at least as long.
    Fence(char, usize),
    Comment,
}

impl Block {
    fn opened(line: &str) -> Option<Self> {
        let start = line.trim_start();
        if line.len() - start.len() > 3 {
            return None;
        }
        if start.starts_with("<!--") {
            return Some(Self::Comment);
        }
        let (mark, length) = fence(start)?;
        // A backtick after the fence is code within a line.
        (mark == '~' || !start[length..].contains('`')).then_some(Self::Fence(mark, length))
    }

    fn ends_at(&self, line: &str) -> bool {
        match self {
            Self::Comment => line.contains("-->"),
            Self::Fence(mark, length) => fence(line.trim_start())
                .is_some_and(|(other, long)| other == *mark && long >= *length && line.trim().len() == long),
        }
    }
}

fn fence(line: &str) -> Option<(char, usize)> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.len() - line.trim_start_matches(mark).len();
    (length >= 3).then_some((mark, length))
}

/// Number of lines of metadata between `---` or `+++` at the top.
fn front_matter(lines: &[&str]) -> usize {
    let Some(mark @ ("---" | "+++")) = lines.first().map(|line| line.trim_end()) else { return 0 };
    let is_end = |line: &&str| line.trim_end() == mark || mark == "---" && line.trim_end() == "...";
    let end = lines.iter().skip(1).position(is_end);
    // An unclosed mark is a line across the page.
    end.map_or(0, |end| end + 2)
}

/// Four spaces or a tab after an empty line.
fn is_indented_code(line: &str, before: Option<&str>) -> bool {
    (line.starts_with("    ") || line.starts_with('\t'))
        && line.trim_start().starts_with('#')
        && before.is_none_or(|before| {
            before.trim().is_empty() || before.starts_with("    ") || before.starts_with('\t')
        })
}

/// The level and words of a line that begins with `#`.
fn heading(line: &str) -> Option<(usize, String)> {
    let start = line.trim_start();
    let words = start.trim_start_matches('#');
    let level = start.len() - words.len();
    if line.len() - start.len() > 3
        || !(1..=6).contains(&level)
        || !(words.is_empty() || words.starts_with([' ', '\t']))
    {
        return None;
    }
    let words = words.trim();
    // Closing marks are not part of the heading.
    let open = words.trim_end_matches('#');
    let words = if open.is_empty() || open.ends_with([' ', '\t']) { open.trim_end() } else { words };
    Some((level, words.to_owned()))
}

/// The level of the heading that a line of `=` or `-` makes of the one above it.
fn underline(line: &str) -> Option<usize> {
    let marks = line.trim();
    if marks.len() < 2 || line.len() - line.trim_start().len() > 3 {
        return None;
    }
    if marks.bytes().all(|mark| mark == b'=') {
        return Some(1);
    }
    marks.bytes().all(|mark| mark == b'-').then_some(2)
}

fn is_list_or_table(line: &str) -> bool {
    let start = line.trim_start();
    start.starts_with(['-', '*', '+', '|', '>']) || start.contains(" | ")
}

/// Whether a line only draws: at least three marks of lines, and nothing else.
pub fn is_drawing(line: &str) -> bool {
    let mut marks = 0;
    for c in line.chars() {
        match c {
            ' ' | '\t' => {}
            '-'
            | '='
            | '_'
            | '*'
            | '+'
            | '|'
            | '~'
            | ':'
            | '·'
            | '•'
            | '—'
            | '–'
            | '\u{2500}'..='\u{259f}' => marks += 1,
            _ => return false,
        }
    }
    marks >= 3 || marks > 0 && line.chars().any(|c| matches!(c, '\u{2500}'..='\u{259f}'))
}
