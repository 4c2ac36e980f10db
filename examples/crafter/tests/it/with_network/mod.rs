//! Tests of what is fetched from package registries first.

mod parity;
