//! The repository's Markdown pages, as far as tests check them: code blocks, links, anchors and commands.

use std::path::{Path, PathBuf};

/// Directories that hold no page of the repository.
const SKIPPED: [&str; 6] = ["target", "node_modules", "runs", "engine-sources", ".git", ".venv"];

/// A page.
#[derive(Debug)]
pub struct Page {
    /// Path of the page, relative to the root of the repository.
    pub path: PathBuf,
    /// Text of the page.
    pub text: String,
}

/// A fenced code block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The words after the opening fence: `sh run`.
    pub info: String,
    /// The lines between the fences.
    pub text: String,
    /// The line of the opening fence, from 1.
    pub line: usize,
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// All pages of the repository, in the order of their paths.
pub fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    collect(root(), &mut pages);
    pages.sort_by(|left, right| left.path.cmp(&right.path));
    pages
}

fn collect(directory: &Path, pages: &mut Vec<Page>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if entry.file_type().unwrap().is_dir() {
            if !SKIPPED.contains(&name.as_str()) && !name.starts_with("target-") {
                collect(&path, pages);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let text = std::fs::read_to_string(&path).unwrap();
            pages.push(Page { path: path.strip_prefix(root()).unwrap().to_owned(), text });
        }
    }
}

impl Page {
    /// The page's code blocks.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut open = false;
        for (number, line) in self.text.lines().enumerate() {
            match line.trim_start().strip_prefix("```") {
                Some(_) if open => open = false,
                Some(info) => {
                    open = true;
                    let (info, text) = (info.trim().to_owned(), String::new());
                    blocks.push(Block { info, text, line: number + 1 });
                }
                None if open => {
                    let block = blocks.last_mut().unwrap();
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                None => {}
            }
        }
        blocks
    }

    /// The lines outside code blocks, with their numbers from 1.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut open = false;
        self.text.lines().enumerate().filter_map(move |(number, line)| {
            let fence = line.trim_start().starts_with("```");
            open ^= fence;
            (!open && !fence).then_some((number + 1, line))
        })
    }

    /// Targets of links and pictures, with their lines.
    pub fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (number, line) in self.prose() {
            let plain: String =
                line.split('`').enumerate().filter(|(part, _)| part % 2 == 0).map(|(_, text)| text).collect();
            let targets = plain.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            links.extend(targets.map(|target| (number, target.to_owned())));
        }
        links
    }

    /// The anchors of the page's headings, as GitHub and mdBook make them.
    pub fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        let headings = self.prose().filter(|(_, line)| line.starts_with('#'));
        for (_, line) in headings {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let anchor: String = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            let again = anchors.iter().filter(|one| **one == anchor).count();
            anchors.push(if again == 0 { anchor } else { format!("{anchor}-{again}") });
        }
        anchors
    }

    /// The commands of the page's `sh` blocks, as lines and words.
    pub fn commands(&self) -> Vec<(usize, Vec<String>)> {
        let mut commands = Vec::new();
        for block in self.blocks().iter().filter(|block| block.info.split(' ').next() == Some("sh")) {
            let mut text = String::new();
            for (number, line) in block.text.lines().enumerate() {
                text.push_str(line);
                if text.ends_with('\\') {
                    text.pop();
                    continue;
                }
                let of_line = words(&text).into_iter().map(|words| (block.line + 1 + number, words));
                commands.extend(of_line);
                text.clear();
            }
        }
        commands
    }

    /// The code spans of the page's prose, with their lines.
    pub fn spans(&self) -> Vec<(usize, String)> {
        let mut spans = Vec::new();
        for (number, line) in self.prose() {
            let inside = line.split('`').enumerate().filter(|(part, _)| part % 2 == 1);
            spans.extend(inside.map(|(_, text)| (number, text.to_owned())));
        }
        spans
    }
}

/// The words of each command of a line of shell: quotes, comments and operators between commands are understood, nothing else.
pub fn words(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words) = (Vec::new(), Vec::new());
    let (mut word, mut quote) = (None::<String>, None::<char>);
    for c in line.chars() {
        match (quote, c) {
            (Some(mark), c) if c == mark => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '&' | '|' | ';') => {
                words.extend(word.take());
                commands.push(std::mem::take(&mut words));
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    commands.push(words);
    commands.retain(|words| !words.is_empty());
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page { path: PathBuf::from("a.md"), text: text.to_owned() }
    }

    #[test]
    fn a_page_is_taken_apart() {
        let page = page(
            "# One `two`: three\n[a](b.md#c) `[no](x)` ![d](e.svg)\n```sh run\ncd a && b 'c d' # e\n```\n# Four\n# Four\n",
        );
        assert_eq!(page.anchors(), ["one-two-three", "four", "four-1"]);
        assert_eq!(page.links(), [(2, "b.md#c".to_owned()), (2, "e.svg".to_owned())]);
        let block = Block { info: "sh run".to_owned(), text: "cd a && b 'c d' # e\n".to_owned(), line: 3 };
        assert_eq!(page.blocks(), [block]);
        let expected =
            [(4, vec!["cd".to_owned(), "a".to_owned()]), (4, vec!["b".to_owned(), "c d".to_owned()])];
        assert_eq!(page.commands(), expected);
    }

    #[test]
    fn a_line_of_shell_is_split_as_a_shell_does() {
        for (line, expected) in [
            ("a --set b=1   # c", vec![vec!["a", "--set", "b=1"]]),
            ("a '{\"n\": 2}' \"x y\" &", vec![vec!["a", "{\"n\": 2}", "x y"]]),
            ("a#b | c; d", vec![vec!["a#b"], vec!["c"], vec!["d"]]),
            ("# only a comment", vec![]),
            ("a ''", vec![vec!["a", ""]]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }
}
