//! The space that is left on the disk of a home.

use std::io;
use std::path::Path;

/// Runs that were paused for the disk go on when it has this much more than it must have, in percent.
const MARGIN_PERCENT: u64 = 10;

/// Bytes that this user can still write on the disk that holds `path`.
///
/// # Errors
/// The system cannot say.
pub fn free(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Whether the disk has too little room for runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskGuard {
    is_low: bool,
}

impl DiskGuard {
    /// Looks at `free` bytes of which `keep` must stay free. Returns whether runs must pause.
    pub fn look(&mut self, free: u64, keep: u64) -> bool {
        let enough = if self.is_low { keep.saturating_add(keep / 100 * MARGIN_PERCENT) } else { keep };
        self.is_low = free < enough;
        self.is_low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_do_not_flicker_at_the_limit() {
        let mut guard = DiskGuard::default();
        let seen: Vec<bool> =
            [1000, 999, 1001, 1099, 1100, 1001].iter().map(|free| guard.look(*free, 1000)).collect();
        assert_eq!(seen, [false, true, true, true, false, false]);
        assert!(!DiskGuard::default().look(0, 0), "a budget of nothing never pauses");
    }

    #[test]
    fn the_free_space_of_a_directory_is_known() {
        assert!(free(Path::new("/")).unwrap() > 0);
    }
}
