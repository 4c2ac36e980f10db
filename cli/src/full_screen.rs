//! Taking the whole terminal, and giving it back.

use crossterm::{cursor, execute, terminal};
use std::io::{self, stdout};

/// The terminal in raw mode and on the alternate screen, restored when this is dropped.
pub struct Screen;

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// Stdout is no terminal that can be taken.
    pub fn open() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let screen = Self;
        execute!(stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // An error here cannot be reported any more.
        let _ = execute!(stdout(), cursor::Show, terminal::LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}
