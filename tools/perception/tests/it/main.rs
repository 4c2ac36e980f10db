//! The integration tests of `sojourn-perception`, in one program so that it is linked once.

mod odd_pictures;
mod odd_sounds;
mod parity;
