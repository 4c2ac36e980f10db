use super::fork::ForkPoint;
use super::reader::text;
use super::record::{Envelope, VERSION};
use super::reordered::Reorderer;
use super::rows::{Row, Rows};
use super::run::RunRow;
use super::{EventSeq, RecordQuery, RunId};
use crate::blobs::{self, BlobCheck};
use crate::memories::TOMBSTONE;
use crate::{BlobId, Error, Hash, Store};
use serde::Serialize;
use sqlx::Row as _;
use std::collections::{HashMap, HashSet};

/// Records read at once.
const PAGE_RECORDS: i64 = 1024;

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
    /// `progress` is recorded how many records of how many are done. Damage is reported, not returned as an
    /// error, down to damage of the database file itself.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], or the database could not be read at all.
    pub async fn verify(
        &self,
        run: &RunId,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<VerifyReport, Error> {
        let row = match self.run_row(run).await {
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
        let mut pages = Pages {
            store: self,
            run: row.no,
            last,
            next: EventSeq(1),
            size: PAGE_RECORDS,
            blobs_seen: HashSet::new(),
        };
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
        if let Some(detail) = self.fork_fault(&row).await? {
            check.done = row.info.parent.map_or(EventSeq(0), |(_, seq)| seq);
            return Ok(check.fault(FaultKind::Parent, detail));
        }
        Ok(check.report)
    }

    /// What is wrong with the place where a fork branched off, if anything is.
    async fn fork_fault(&self, row: &RunRow) -> Result<Option<String>, Error> {
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
        let recorded = own.first().and_then(|own| own.payload.get("forked_from").cloned());
        let point: Option<ForkPoint> = recorded.and_then(|recorded| serde_json::from_value(recorded).ok());
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

type CheckResult = Result<(), (FaultKind, String)>;

/// Reads ahead: the records of a page, and how those of their blobs are that no earlier page had.
struct Pages<'a> {
    store: &'a Store,
    run: i64,
    last: EventSeq,
    next: EventSeq,
    /// Records asked for at once: fewer and fewer where the file is damaged, until the damage stands alone.
    size: i64,
    blobs_seen: HashSet<BlobId>,
}

#[derive(Default)]
struct Page {
    rows: Rows,
    context: PageContext,
    /// What kept the records after `rows` from being read.
    broken: Option<String>,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Page, Error> {
        let mut page = Page::default();
        if self.next > self.last {
            return Ok(page);
        }
        loop {
            match Rows::read(self.store, self.run, self.next, self.last, self.size).await {
                Ok(rows) => {
                    page.rows = rows;
                    break;
                }
                Err(Error::Damaged { what, .. }) if self.size == 1 => {
                    page.broken = Some(what);
                    break;
                }
                Err(Error::Damaged { .. }) => self.size /= 2,
                Err(error) => return Err(error),
            }
        }
        self.next = EventSeq(self.next.0 + page.rows.len() as u64);
        for row in page.rows.iter() {
            for bytes in row.blobs.as_chunks::<32>().0 {
                let id = BlobId(Hash::from(*bytes));
                if self.blobs_seen.insert(id) {
                    page.context.asked.insert(id);
                }
            }
        }
        page.context.forgotten = self.forgotten(&page.rows).await?;
        let mut connection = self.store.pool.acquire().await?;
        let ids: Vec<BlobId> = page.context.asked.iter().copied().collect();
        blobs::check(&mut connection, &ids, &mut page.context.blobs).await?;
        drop(connection);
        for id in ids.iter().filter(|id| !page.context.blobs.contains_key(id)) {
            if blobs::is_forgotten(self.store, id).await? {
                page.context.forgotten_blobs.insert(*id);
            }
        }
        Ok(page)
    }

    /// Which of these records were emptied with a memory.
    async fn forgotten(&self, rows: &Rows) -> Result<HashSet<i64>, Error> {
        let places: Vec<i64> = rows.iter().map(|row| row.seq.0 as i64).collect();
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(HashSet::new()) };
        let query = sqlx::query("SELECT seq FROM forgotten_records WHERE run = ? AND seq BETWEEN ? AND ?");
        let rows = query.bind(self.run).bind(first).bind(last).fetch_all(&self.store.pool).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

/// The blobs of a page that no record before referred to.
#[derive(Default)]
struct PageContext {
    /// Their addresses.
    asked: HashSet<BlobId>,
    /// How many bytes each has, or what is wrong with it. Those that are gone are not in it.
    blobs: HashMap<BlobId, BlobCheck>,
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

    fn page(&mut self, mut page: Page) -> CheckResult {
        for row in page.rows.iter() {
            self.row(&row, &mut page.context)?;
        }
        match page.broken {
            Some(what) => Err((FaultKind::Unreadable, what)),
            None if page.rows.len() == 0 => Err((FaultKind::Missing, "it is gone".to_owned())),
            None => Ok(()),
        }
    }

    fn row(&mut self, row: &Row<'_>, page: &mut PageContext) -> CheckResult {
        let broken = |what: &str| (FaultKind::Unreadable, what.to_owned());
        let altered = |what: &str| (FaultKind::Altered, what.to_owned());
        if row.seq != self.done.next() {
            return Err((FaultKind::Missing, format!("it is gone: the next one is {}", row.seq)));
        }
        if row.version != VERSION {
            return Err(broken(&format!("its encoding has the unknown version {}", row.version)));
        }
        let payload = text(row.payload).map_err(|what| broken(&what))?;
        let (blobs, rest) = row.blobs.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(broken("its list of blobs is cut"));
        }
        let canonical = self
            .reorderer
            .canonical(payload.as_bytes())
            .ok_or_else(|| altered("its payload is not spelt as it was written"))?;
        let envelope = Envelope {
            run: self.report.run.as_str(),
            seq: row.seq,
            at_ms: row.at_ms,
            kind: std::str::from_utf8(row.kind).map_err(|_| broken("its kind is not UTF-8"))?,
            payload: canonical,
            blobs: blobs.iter(),
            prev_hash: self.head,
        };
        // What was emptied has another hash now; that the next record is chained to its old one is checked there.
        let emptied = payload == TOMBSTONE && page.forgotten.contains(&(row.seq.0 as i64));
        self.report.forgotten += u64::from(emptied);
        if !emptied && envelope.hash().as_bytes() != row.hash {
            return Err(altered(
                "it does not have the hash it says, or is not chained to the record before it",
            ));
        }
        for bytes in blobs {
            self.blob(BlobId(Hash::from(*bytes)), page)?;
        }
        self.head = Hash::try_from(row.hash).map_err(|error| broken(&error.to_string()))?;
        self.report.records += 1;
        self.report.bytes += payload.len() as u64;
        self.done = row.seq;
        Ok(())
    }

    fn blob(&mut self, id: BlobId, page: &mut PageContext) -> CheckResult {
        if !page.asked.remove(&id) {
            return Ok(());
        }
        match page.blobs.remove(&id) {
            Some(BlobCheck::Intact { bytes }) => {
                self.report.blobs += 1;
                self.report.bytes += bytes;
                Ok(())
            }
            Some(BlobCheck::Damaged(what)) => Err((FaultKind::BlobAltered, format!("blob `{id}`: {what}"))),
            None if page.forgotten_blobs.contains(&id) => {
                self.report.forgotten += 1;
                Ok(())
            }
            None => Err((FaultKind::BlobMissing, format!("blob `{id}` is gone"))),
        }
    }
}
