//! Built-in tools, which need no plugin: files, web pages, shell commands, the user, the clock.

mod clock;
mod fetch;
mod file_search;
mod files;
mod hear;
mod human;
mod see;
mod shell;
mod speak;

pub use clock::clock;
pub use fetch::FetchSettings;
pub use files::FilesSettings;
pub use hear::HearSettings;
pub use human::{HumanSettings, Person};
pub use see::{DescriberSettings, SeeSettings};
pub use shell::ShellSettings;
pub use speak::{SpeakError, SpeakSettings};

/// The first `chars` characters of `text`, with a note if any were cut.
fn truncate(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}\n[cut: this is the beginning of {} bytes]", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
