//! The integration tests of `sojourn-perception`, in one program so that it is linked once.

mod parity;
