//! The commands that the documentation gives for its figures are commands of this program.

use crate::args::Args;
use clap::Parser as _;
use sojourn_testkit::markdown::{pages, words};

#[test]
fn commands_of_figures_parse() {
    let (mut faults, mut found) = (Vec::new(), 0);
    for page in pages() {
        let spans = page
            .spans()
            .into_iter()
            .flat_map(|(line, span)| words(&span).into_iter().map(move |words| (line, words)));
        for (line, words) in page.commands().into_iter().chain(spans) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let ["cargo", "measure", rest @ ..] = &words[..] else { continue };
            if matches!(rest, [] | ["NAME"]) || rest.contains(&"…") {
                continue;
            }
            found += 1;
            if let Err(error) = Args::try_parse_from(std::iter::once(&"measure").chain(rest)) {
                faults.push(format!("{}:{line}: {error}", page.path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    assert!(found >= 10, "only {found} commands were found");
}
