//! The integration tests of `sojourn-miniwob`, in one program so that it is linked once.

mod with_browser;
