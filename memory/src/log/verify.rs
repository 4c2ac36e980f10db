use super::fork::ForkPoint;
use super::reader::text;
use super::record::{Envelope, VERSION};
use super::reordered::Reorderer;
use super::run::RunRow;
use super::{EventSeq, RecordQuery, RunId};
use crate::memories::TOMBSTONE;
use crate::{BlobId, Error, Hash, Store, blobs};
use futures_util::TryStreamExt as _;
use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use std::collections::{HashMap, HashSet};

/// Records read at once.
const PAGE: i64 = 1024;

/// What checking a run found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// The run.
    pub run: RunId,
    /// Records that are as they were written.
    pub records: u64,
    /// Different blobs of theirs that are.
    pub blobs: u64,
    /// Bytes of payloads and blobs that were read, before compression.
    pub bytes: u64,
    /// Records and blobs whose content was removed with a memory: what they held cannot be checked any more.
    pub forgotten: u64,
    /// The first thing that is not as it was written. Nothing after it was looked at.
    pub first_fault: Option<Fault>,
}

impl VerifyReport {
    fn new(run: &RunId) -> Self {
        Self { run: run.clone(), records: 0, blobs: 0, bytes: 0, forgotten: 0, first_fault: None }
    }

    /// Whether everything is as it was written.
    pub fn is_intact(&self) -> bool {
        self.first_fault.is_none()
    }
}

/// Something in the log that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The record; 0 for the run's own row.
    pub seq: EventSeq,
    /// What sort of fault.
    pub kind: FaultKind,
    /// In words.
    pub detail: String,
}

/// The sorts of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The record is not there.
    Missing,
    /// It cannot be read.
    Unreadable,
    /// It does not have the hash it says.
    Altered,
    /// A blob it refers to is not there.
    BlobMissing,
    /// A blob it refers to is not what was stored.
    BlobAltered,
    /// The run's own row cannot be read, or it contradicts the last record.
    Head,
    /// A fork does not begin as the run it branched off.
    Parent,
}

impl Store {
    /// Reads a run from its first record to its last and checks that places have no gaps, that every record
    /// has its hash and is chained to the one before it, that its blobs are there and whole, and that a fork
    /// begins as the run it branched off, where that is kept still.
    ///
    /// `progress` is told how many records of how many are done. Damage is reported, not returned as an
    /// error, down to damage of the database file itself.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], or the database could not be read at all.
    pub async fn verify(
        &self,
        run: &RunId,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<VerifyReport, Error> {
        let row = match self.exactly(run).await {
            Err(Error::Damaged { what, .. }) => {
                let fault = Fault { seq: EventSeq(0), kind: FaultKind::Head, detail: what };
                return Ok(VerifyReport { first_fault: Some(fault), ..VerifyReport::new(run) });
            }
            row => row?,
        };
        let last = row.info.last_seq;
        let mut check = Check {
            head: row.genesis(),
            done: EventSeq(0),
            reorderer: Reorderer::default(),
            report: VerifyReport::new(run),
        };
        let mut pages =
            Pages { store: self, run: row.no, last, next: EventSeq(1), blobs_seen: HashSet::new() };
        let mut page = pages.next().await?;
        while check.done < last {
            progress(check.done.0, last.0);
            // One page is checked on one core while another reads the next.
            let checking = tokio::task::spawn_blocking(move || {
                let found = check.page(page);
                (check, found)
            });
            let (next, checked) = tokio::join!(pages.next(), checking);
            let found;
            (check, found) = checked.map_err(|error| Error::Io {
                path: self.home().to_owned(),
                source: std::io::Error::other(error),
            })?;
            if let Err((kind, detail)) = found {
                return Ok(check.fault(kind, detail));
            }
            page = next?;
        }
        progress(last.0, last.0);
        if check.head != row.head {
            check.done = EventSeq(last.0.saturating_sub(1));
            let detail = "the run's row says its last record has another hash";
            return Ok(check.fault(FaultKind::Head, detail.to_owned()));
        }
        if let Some(detail) = self.strayed(&row).await? {
            check.done = row.info.parent.map_or(EventSeq(0), |(_, seq)| seq);
            return Ok(check.fault(FaultKind::Parent, detail));
        }
        Ok(check.report)
    }

    /// What is wrong with the place where a fork branched off, if anything is.
    async fn strayed(&self, row: &RunRow) -> Result<Option<String>, Error> {
        let Some((parent, seq)) = &row.info.parent else { return Ok(None) };
        let hash_of = async |run: &RunId| -> Result<Option<Hash>, Error> {
            let row = sqlx::query(
                "SELECT hash FROM records WHERE run = (SELECT no FROM runs WHERE id = ?) AND seq = ?",
            )
            .bind(run.as_str())
            .bind(seq.0 as i64)
            .fetch_optional(&self.pool)
            .await?;
            row.map(|row| row.try_get::<&[u8], _>(0)?.try_into()).transpose()
        };
        let there = match RunRow::find(&mut *self.pool.acquire().await?, parent).await? {
            Some(_) => hash_of(parent).await?,
            None => return Ok(None),
        };
        let own = self.records(&row.info.id, &RecordQuery::from(seq.next()).to(seq.next())).await?;
        let told = own.first().and_then(|own| own.payload.get("forked_from").cloned());
        let point: Option<ForkPoint> = told.and_then(|told| serde_json::from_value(told).ok());
        Ok(match point {
            None => Some("a fork does not say where it branched off".to_owned()),
            Some(point) if (&point.run, point.seq) != (parent, *seq) => {
                Some(format!("it says that it branched off at record {} of `{}`", point.seq, point.run))
            }
            Some(point) if there != Some(point.hash) => {
                Some(format!("record {seq} of `{parent}` is not the one that it branched off at"))
            }
            Some(_) => None,
        })
    }
}

type Finding = Result<(), (FaultKind, String)>;

/// Reads ahead: the records of a page, and how those of their blobs are that no earlier page had.
struct Pages<'a> {
    store: &'a Store,
    run: i64,
    last: EventSeq,
    next: EventSeq,
    blobs_seen: HashSet<BlobId>,
}

#[derive(Default)]
struct Page {
    rows: Vec<SqliteRow>,
    unchecked: Unchecked,
    /// What kept the records after `rows` from being read.
    broken: Option<String>,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Page, Error> {
        let mut page = Page::default();
        if self.next > self.last {
            return Ok(page);
        }
        let query = sqlx::query(
            "SELECT seq, v, at_ms, kind, payload, blobs, hash FROM records \
             WHERE run = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq LIMIT ?4",
        )
        .bind(self.run)
        .bind(self.next.0 as i64)
        .bind(self.last.0 as i64)
        .bind(PAGE);
        let mut rows = query.fetch(&self.store.pool);
        loop {
            match rows.try_next().await.map_err(Error::from) {
                Ok(Some(row)) => page.rows.push(row),
                Ok(None) => break,
                Err(Error::Damaged { what, .. }) => {
                    page.broken = Some(what);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        drop(rows);
        self.next = EventSeq(self.next.0 + page.rows.len() as u64);
        for row in &page.rows {
            let listed: Option<&[u8]> = row.try_get("blobs").unwrap_or_default();
            for bytes in listed.unwrap_or_default().as_chunks::<32>().0 {
                let id = BlobId(Hash::from(*bytes));
                if self.blobs_seen.insert(id) {
                    page.unchecked.asked.insert(id);
                }
            }
        }
        page.unchecked.forgotten = self.forgotten(&page.rows).await?;
        let mut connection = self.store.pool.acquire().await?;
        let ids: Vec<BlobId> = page.unchecked.asked.iter().copied().collect();
        blobs::check(&mut connection, &ids, &mut page.unchecked.blobs).await?;
        drop(connection);
        for id in ids.iter().filter(|id| !page.unchecked.blobs.contains_key(id)) {
            if blobs::is_forgotten(self.store, id).await? {
                page.unchecked.forgotten_blobs.insert(*id);
            }
        }
        Ok(page)
    }

    /// Which of these records were emptied with a memory.
    async fn forgotten(&self, rows: &[SqliteRow]) -> Result<HashSet<i64>, Error> {
        let place = |row: Option<&SqliteRow>| row.and_then(|row| row.try_get::<i64, _>(0).ok());
        let (Some(first), Some(last)) = (place(rows.first()), place(rows.last())) else {
            return Ok(HashSet::new());
        };
        let query = sqlx::query("SELECT seq FROM forgotten_records WHERE run = ? AND seq BETWEEN ? AND ?");
        let rows = query.bind(self.run).bind(first).bind(last).fetch_all(&self.store.pool).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

/// The blobs of a page that no record before referred to.
#[derive(Default)]
struct Unchecked {
    /// Their addresses.
    asked: HashSet<BlobId>,
    /// How many bytes each has, or what is wrong with it. Those that are gone are not in it.
    blobs: HashMap<BlobId, Result<u64, String>>,
    /// Those that are gone because they were forgotten.
    forgotten_blobs: HashSet<BlobId>,
    /// The places of records that were emptied.
    forgotten: HashSet<i64>,
}

/// A verification under way.
struct Check {
    /// The hash of the last record that was found whole.
    head: Hash,
    /// Its place.
    done: EventSeq,
    reorderer: Reorderer,
    report: VerifyReport,
}

impl Check {
    /// With what was found at the record after the last whole one.
    fn fault(mut self, kind: FaultKind, detail: String) -> VerifyReport {
        self.report.first_fault = Some(Fault { seq: self.done.next(), kind, detail });
        self.report
    }

    fn page(&mut self, mut page: Page) -> Finding {
        for row in &page.rows {
            self.row(row, &mut page.unchecked)?;
        }
        match page.broken {
            Some(what) => Err((FaultKind::Unreadable, what)),
            None if page.rows.is_empty() => Err((FaultKind::Missing, "it is gone".to_owned())),
            None => Ok(()),
        }
    }

    fn row(&mut self, row: &SqliteRow, page: &mut Unchecked) -> Finding {
        let unreadable = |error: sqlx::Error| (FaultKind::Unreadable, error.to_string());
        let broken = |what: &str| (FaultKind::Unreadable, what.to_owned());
        let altered = |what: &str| (FaultKind::Altered, what.to_owned());
        let seq = EventSeq(row.try_get::<i64, _>(0).map_err(unreadable)? as u64);
        if seq != self.done.next() {
            return Err((FaultKind::Missing, format!("it is gone: the next one is {seq}")));
        }
        let version: i64 = row.try_get(1).map_err(unreadable)?;
        if version != VERSION {
            return Err(broken(&format!("its encoding has the unknown version {version}")));
        }
        let payload = text(row.try_get(4).map_err(unreadable)?).map_err(|what| broken(&what))?;
        let listed: Option<&[u8]> = row.try_get(5).map_err(unreadable)?;
        let (blobs, rest) = listed.unwrap_or_default().as_chunks::<32>();
        if !rest.is_empty() {
            return Err(broken("its list of blobs is cut"));
        }
        let canonical = self
            .reorderer
            .canonical(payload.as_bytes())
            .ok_or_else(|| altered("its payload is not spelt as it was written"))?;
        let envelope = Envelope {
            run: self.report.run.as_str(),
            seq,
            at_ms: row.try_get(2).map_err(unreadable)?,
            kind: row.try_get(3).map_err(unreadable)?,
            payload: canonical,
            blobs: blobs.iter(),
            prev_hash: self.head,
        };
        let hash: &[u8] = row.try_get(6).map_err(unreadable)?;
        // What was emptied has another hash now; that the next record is chained to its old one is checked there.
        let emptied = payload == TOMBSTONE && page.forgotten.contains(&(seq.0 as i64));
        self.report.forgotten += u64::from(emptied);
        if !emptied && envelope.hash().as_bytes() != hash {
            return Err(altered(
                "it does not have the hash it says, or is not chained to the record before it",
            ));
        }
        for bytes in blobs {
            self.blob(BlobId(Hash::from(*bytes)), page)?;
        }
        self.head = Hash::try_from(hash).map_err(|error| broken(&error.to_string()))?;
        self.report.records += 1;
        self.report.bytes += payload.len() as u64;
        self.done = seq;
        Ok(())
    }

    fn blob(&mut self, id: BlobId, page: &mut Unchecked) -> Finding {
        if !page.asked.remove(&id) {
            return Ok(());
        }
        match page.blobs.remove(&id) {
            Some(Ok(size)) => {
                self.report.blobs += 1;
                self.report.bytes += size;
                Ok(())
            }
            Some(Err(what)) => Err((FaultKind::BlobAltered, format!("blob `{id}`: {what}"))),
            None if page.forgotten_blobs.contains(&id) => {
                self.report.forgotten += 1;
                Ok(())
            }
            None => Err((FaultKind::BlobMissing, format!("blob `{id}` is gone"))),
        }
    }
}
