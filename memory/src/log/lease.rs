//! The right to write a run of a server: a lease in the run's row, with a fencing token.
//!
//! A lease ends by itself when its owner no longer renews it, so a run can be taken over from a machine that is dead or cut
//! off. Whoever takes a run over raises its *epoch*, and every append names the epoch that its writer took. A writer that was
//! stopped or cut off meanwhile, and does not know it, therefore appends nothing. Safety rests on the epoch alone; times, by the server's
//! clock, decide only how soon a run may be taken over.

use super::{RunId, RunStatus};
use crate::{Error, Store};
use sojourn_database::{Connection, Pool, Row, query};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::AbortHandle;

/// How long a lease lasts after it was renewed.
const LEASE: Duration = Duration::from_secs(10);
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(3);
/// How long a lease is waited for that another process is giving back.
const PATIENCE: Duration = Duration::from_millis(500);

/// Who writes runs. A process takes over at once what another process of the same name held, because that one is known to be dead;
/// from others it waits until the lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(String);

impl Owner {
    /// This process, as one of those with this name. A name has letters, digits and `-`; what else it has becomes `-`.
    pub fn named(name: &str) -> Self {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        Self(format!("{name}/{}", instance()))
    }

    /// This process alone.
    pub fn alone() -> Self {
        let instance = instance();
        Self(format!("{instance}/{instance}"))
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(name, _)| name)
    }

    /// As it stands in a run's row: name and process.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Differs from that of every other store that was opened anywhere, but for chance.
fn instance() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let address = uuid::Uuid::new_v5(
        &uuid::Uuid::NAMESPACE_OID,
        format!("{} {} {:?} {:?}", machine(), std::process::id(), now, std::thread::current().id())
            .as_bytes(),
    );
    format!("{}-{}", std::process::id(), &address.simple().to_string()[..12])
}

fn machine() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .unwrap_or_default()
}

/// A lease of a run, renewed in the background until it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Pool,
    run: RunId,
    no: i64,
    epoch: i64,
    renewing: AbortHandle,
}

impl Lease {
    /// Takes a run over.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process has the run leased, [`Error::NoSuchRun`].
    pub(super) async fn take(store: &Store, run: &RunId, owner: &Owner) -> Result<Self, Error> {
        wait_until_free(store, run, owner).await?;
        let Some(row) = take(&store.pool, run, owner).await? else {
            store.run_row(run).await?;
            return Err(Error::Locked { run: run.clone() });
        };
        let (no, epoch) = (row.try_get(0)?, row.try_get(1)?);
        let pool = store.pool.clone();
        let renewing = tokio::spawn(renew(pool.clone(), no, epoch)).abort_handle();
        Ok(Self { pool, run: run.clone(), no, epoch, renewing })
    }

    /// The last record of the run and its hash, as the columns `last_seq` and `head`. Keeps others from taking the run over, and from
    /// appending, until the transaction ends.
    ///
    /// # Errors
    /// [`Error::Fenced`] where the run was taken over.
    pub(super) async fn check(&self, transaction: &mut Connection<'_>) -> Result<Row, Error> {
        let row = query("SELECT last_seq, head FROM runs WHERE no = ? AND epoch = ? FOR UPDATE")
            .bind(self.no)
            .bind(self.epoch)
            .fetch_optional(transaction)
            .await?;
        row.ok_or_else(|| Error::Fenced { run: self.run.clone() })
    }

    /// Stores the run's status.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(super) async fn set_status(&self, status: RunStatus) -> Result<(), Error> {
        let update = query("UPDATE runs SET status = ? WHERE no = ? AND epoch = ?")
            .bind(status.as_str())
            .bind(self.no)
            .bind(self.epoch);
        match update.execute(&self.pool).await?.rows_affected() {
            0 => Err(Error::Fenced { run: self.run.clone() }),
            _ => Ok(()),
        }
    }

    /// Gives the run back.
    pub(super) async fn release(self) -> Result<(), Error> {
        release(&self.pool, self.no, self.epoch).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewing.abort();
        // Without a runtime the lease ends by itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (pool, no, epoch) = (self.pool.clone(), self.no, self.epoch);
            runtime.spawn(async move { release(&pool, no, epoch).await });
        }
    }
}

/// Waits a moment until no process that `owner` does not replace has the run leased. The run need not exist.
///
/// # Errors
/// [`Error::Locked`].
pub(super) async fn wait_until_free(store: &Store, run: &RunId, owner: &Owner) -> Result<(), Error> {
    let since = Instant::now();
    loop {
        let taken = query(
            "SELECT 1 FROM runs WHERE id = ?1 AND owner IS NOT NULL AND leased_until >= clock_timestamp() \
             AND NOT (owner != ?2 AND starts_with(owner, split_part(?2, '/', 1) || '/'))",
        )
        .bind(run.as_str())
        .bind(owner.as_str())
        .fetch_optional(&store.pool)
        .await?;
        match taken {
            None => return Ok(()),
            Some(_) if since.elapsed() < PATIENCE => tokio::time::sleep(PATIENCE / 10).await,
            Some(_) => return Err(Error::Locked { run: run.clone() }),
        }
    }
}

/// Whether a process has the run leased at this moment.
pub(super) async fn is_leased(store: &Store, run: &RunId) -> Result<bool, Error> {
    let row =
        query("SELECT 1 FROM runs WHERE id = ? AND owner IS NOT NULL AND leased_until > clock_timestamp()")
            .bind(run.as_str())
            .fetch_optional(&store.pool)
            .await?;
    Ok(row.is_some())
}

/// Fences every writer that is left, where none has a valid lease. Returns false where one has.
pub(super) async fn fence_all(transaction: &mut Connection<'_>) -> Result<bool, Error> {
    let live =
        query("SELECT 1 FROM runs WHERE owner IS NOT NULL AND leased_until > clock_timestamp() LIMIT 1")
            .fetch_optional(&mut *transaction)
            .await?;
    if live.is_some() {
        return Ok(false);
    }
    query("UPDATE runs SET epoch = epoch + 1, owner = NULL, leased_until = NULL WHERE owner IS NOT NULL")
        .execute(transaction)
        .await?;
    Ok(true)
}

/// Fences the writer of a run, whoever it is: another process is about to take it over.
pub(crate) async fn fence(transaction: &mut Connection<'_>, run: &RunId) -> Result<(), Error> {
    query("UPDATE runs SET epoch = epoch + 1, owner = NULL, leased_until = NULL WHERE id = ?")
        .bind(run.as_str())
        .execute(transaction)
        .await?;
    Ok(())
}

async fn take(pool: &Pool, run: &RunId, owner: &Owner) -> Result<Option<Row>, Error> {
    let row = query(
        "UPDATE runs SET epoch = epoch + 1, owner = ?2, \
         leased_until = clock_timestamp() + make_interval(secs => ?3) \
         WHERE id = ?1 AND (owner IS NULL OR leased_until < clock_timestamp() \
         OR owner != ?2 AND starts_with(owner, split_part(?2, '/', 1) || '/')) RETURNING no, epoch",
    )
    .bind(run.as_str())
    .bind(owner.as_str())
    .bind(LEASE.as_secs_f64())
    .fetch_optional(pool)
    .await?;
    Ok(row)
}

/// Renews a lease until the run is taken over. A server that cannot be reached is tried again: the lease may still be this one's.
async fn renew(pool: Pool, no: i64, epoch: i64) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        let renewed = query(
            "UPDATE runs SET leased_until = clock_timestamp() + make_interval(secs => ?3) WHERE no = ?1 AND epoch = ?2",
        )
        .bind(no)
        .bind(epoch)
        .bind(LEASE.as_secs_f64())
        .execute(&pool)
        .await;
        if renewed.is_ok_and(|done| done.rows_affected() == 0) {
            return;
        }
    }
}

async fn release(pool: &Pool, no: i64, epoch: i64) -> Result<(), Error> {
    query("UPDATE runs SET owner = NULL, leased_until = NULL WHERE no = ? AND epoch = ?")
        .bind(no)
        .bind(epoch)
        .execute(pool)
        .await?;
    Ok(())
}
