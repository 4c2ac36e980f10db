//! `SQLite` and `PostgreSQL` behind one set of types, so that a statement is written once.
//!
//! A [`Pool`] gives [`Connection`]s and [`Transaction`]s of either engine; a [`query`] runs on any of them and returns [`Row`]s.
//! Parameters are written as `?` or `?1`, and the columns of both engines have the same types: 64-bit integers, text, bytes, floats
//! and flags. Where the engines need different statements, the crate that owns the tables keeps one file of them per
//! [`Engine`].
//!
//! What `SQLite` promises by having one writer at a time, a [`Transaction`] of `PostgreSQL` promises by advisory locks: [`Access`]
//! says which.

#![forbid(unsafe_code)]

mod connection;
mod failure;
mod pool;
mod postgres;
mod query;
mod row;
mod server;
mod table;
mod text;
mod value;

pub use connection::{Access, Connection, Transaction};
pub use failure::{Failure, failure};
pub use pool::{Engine, Pool};
pub use postgres::Listener;
pub use query::{Done, On, Query, query};
pub use row::{Column, Row};
pub use server::{BadUrl, Server};
/// Of a statement that is put together from names that are this program's own, never from outside.
pub use sqlx::AssertSqlSafe;
pub use table::{Compared, Kind, Table, Values};
pub use value::{Bind, Stored, Value};
