//! The integration tests of `sojourn-example-plugin`, in one program so that it is linked once.

mod plugin;
