//! The right to write one run: the lock of a file in a home, a lease in a server.

use super::lease::{self, Lease};
use super::lock::RunLock;
use super::{RunId, RunStatus};
use crate::{Error, Store};
use sojourn_database::{Connection, Row, query};

#[derive(Debug)]
pub(super) enum Hold {
    /// In a home: the system releases it when the process dies.
    Lock(RunLock),
    /// In a server.
    Lease(Lease),
}

impl Hold {
    /// Takes the lock of a run that may not exist yet. `None` in a server, where a run is leased once it exists.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub(super) async fn lock(store: &Store, run: &RunId) -> Result<Option<RunLock>, Error> {
        match (store.own_home(), store.owner()) {
            (Some(home), _) => Ok(Some(RunLock::take(home, run).await?)),
            (None, Some(owner)) => lease::wait_until_free(store, run, owner).await.map(|()| None),
            (None, None) => Ok(None),
        }
    }

    /// The right to write a run that exists. `lock` is what [`lock`](Self::lock) returned for it.
    pub(super) async fn of(store: &Store, run: &RunId, lock: Option<RunLock>) -> Result<Self, Error> {
        match (lock, store.owner()) {
            (None, Some(owner)) => Ok(Self::Lease(Lease::take(store, run, owner).await?)),
            (Some(lock), _) => Ok(Self::Lock(lock)),
            (None, None) => Err(Error::Locked { run: run.clone() }),
        }
    }

    /// The run's last record and its hash, as the columns `last_seq` and `head`. Until the transaction ends, no other process can
    /// append.
    ///
    /// # Errors
    /// [`Error::Fenced`] where the run was taken over.
    pub(super) async fn check(&self, transaction: &mut Connection<'_>, no: i64) -> Result<Row, Error> {
        match self {
            Self::Lock(_) => {
                let row = query("SELECT last_seq, head FROM runs WHERE no = ?").bind(no);
                Ok(row.fetch_one(transaction).await?)
            }
            Self::Lease(lease) => lease.check(transaction).await,
        }
    }

    /// Stores the run's status.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(super) async fn set_status(
        &self,
        store: &Store,
        run: &RunId,
        status: RunStatus,
    ) -> Result<(), Error> {
        match self {
            Self::Lock(_) => store.set_status(run, status).await,
            Self::Lease(lease) => lease.set_status(status).await,
        }
    }

    pub(super) async fn release(self) -> Result<(), Error> {
        match self {
            Self::Lock(lock) => {
                drop(lock);
                Ok(())
            }
            Self::Lease(lease) => lease.release().await,
        }
    }
}
