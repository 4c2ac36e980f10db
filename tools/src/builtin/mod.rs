//! Tools that need no plugin: a directory, pages of the web, commands, the time.

mod clock;
mod fetch;
mod files;
mod human;
mod shell;

pub use clock::ClockSource;
pub use fetch::{FetchSettings, FetchSource};
pub use files::{FilesSettings, FilesSource};
pub use human::{HumanSettings, HumanSource, Person};
pub use shell::{ShellSettings, ShellSource};

/// The beginning of a text, and a note if it is not all of it.
fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}\n[cut: this is the beginning of {} bytes]", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
