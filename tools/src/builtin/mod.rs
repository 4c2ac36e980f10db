//! Tools that need no plugin: a directory, pages of the web, commands, the time.

mod clock;
mod fetch;
mod files;
mod human;
mod shell;

pub use clock::clock;
pub use fetch::FetchSettings;
pub use files::FilesSettings;
pub use human::{HumanSettings, Person};
pub use shell::ShellSettings;

/// The beginning of a text, and a note if it is not all of it.
fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}\n[cut: this is the beginning of {} bytes]", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
