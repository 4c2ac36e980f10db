//! Verification of a run: the chain of hashes, the blobs, the branch point of a fork, and heads kept elsewhere.

mod pages;

use super::fork::ForkPoint;
use super::heads::{self, Head};
use super::reader::text;
use super::record::{Envelope, VERSION};
use super::reordered::Reorderer;
use super::rows::Row;
use super::run::RunRow;
use super::{EventSeq, RecordQuery, RunId};
use crate::blobs::BlobCheck;
use crate::memories::TOMBSTONE;
use crate::{BlobId, Error, Hash, Store};
use pages::{Page, PageContext, Pages};
use serde::Serialize;
use sojourn_database::query;
use std::collections::VecDeque;

/// The result of verifying a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// The verified run.
    pub run: RunId,
    /// Number of intact records.
    pub records: u64,
    /// Number of distinct intact blobs.
    pub blobs: u64,
    /// Payloads and blobs read, in bytes before compression.
    pub bytes: u64,
    /// Number of records and blobs whose content was forgotten and can no longer be checked.
    pub forgotten: u64,
    /// The last record that a head kept outside the database names. `None` if there is none: then
    /// records that were cut off the end are not noticed.
    pub known_to: Option<EventSeq>,
    /// The first fault found. Verification stops at it.
    pub first_fault: Option<Fault>,
}

impl VerifyReport {
    fn new(run: &RunId) -> Self {
        Self {
            run: run.clone(),
            records: 0,
            blobs: 0,
            bytes: 0,
            forgotten: 0,
            known_to: None,
            first_fault: None,
        }
    }

    /// Whether verification found no fault.
    pub fn is_intact(&self) -> bool {
        self.first_fault.is_none()
    }
}

/// A place where the log is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Sequence number of the faulty record; 0 for the run's own row.
    pub seq: EventSeq,
    /// Category of the fault.
    pub kind: FaultKind,
    /// Description for the user.
    pub detail: String,
}

/// Categories of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The record is missing.
    Missing,
    /// The record cannot be decoded.
    Unreadable,
    /// The record does not match its hash, or is not chained to the previous record.
    Altered,
    /// A referenced blob is missing.
    BlobMissing,
    /// A referenced blob does not match its address.
    BlobAltered,
    /// The run's row or head file is unreadable, or a head differs from the hash of the record that it names.
    Head,
    /// A fork's first records differ from its parent's.
    Parent,
    /// The run ends before a record that a head kept outside the database names.
    Cut,
    /// Records stand after the run's last one, or before its first: the run did not write them.
    Surplus,
}

impl Store {
    /// Verifies a run from its first record to its last.
    ///
    /// Sequence numbers must have no gaps. Every record must match its hash and be chained to the previous one.
    /// Referenced blobs must be intact. For a fork whose parent is still
    /// stored, it checks the branch point too. `progress` receives the number of verified records and the
    /// total.
    ///
    /// The chain proves that nothing before its head was changed. That the head is the last one is proven by
    /// heads that are kept elsewhere: the head file of the home, and those in `known`. Heads of other runs in
    /// `known` are ignored. Forgotten content cannot be proven, only that its record was there; such records
    /// are counted.
    ///
    /// Damage is reported in the result and is not an error, even if the database file itself is damaged.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], or an error that prevents reading the database at all.
    pub async fn verify(
        &self,
        run: &RunId,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<VerifyReport, Error> {
        self.verify_against(run, &[], &mut progress).await
    }

    /// Like [`verify`](Self::verify), and demands that the run has the records that `known` heads name.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub async fn verify_against(
        &self,
        run: &RunId,
        known: &[Head],
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
        let mut known: Vec<Head> = known.iter().filter(|head| head.run == *run).cloned().collect();
        let mut head_file_fault = None;
        match self.own_home().map_or(Ok(None), |home| heads::noted(home, run)) {
            Ok(noted) => known.extend(noted),
            // The records are verified all the same, so that a damaged head file costs none of them.
            Err(Error::Damaged { place, what }) => {
                let detail = format!("{place}: {what}");
                head_file_fault = Some(Fault { seq: EventSeq(0), kind: FaultKind::Head, detail });
            }
            Err(error) => return Err(error),
        }
        known.sort_by_key(|head| head.seq);
        let known_to = known.last().map(|head| head.seq);
        let mut check = Check {
            head: row.genesis(),
            done: EventSeq(0),
            reorderer: Reorderer::default(),
            report: VerifyReport { known_to, ..VerifyReport::new(run) },
            known: known.into(),
        };
        if let Err((kind, detail)) = check.compare_heads() {
            return Ok(check.fault(kind, detail));
        }
        let mut pages = Pages::new(self, row.no, last);
        let mut page = pages.next().await?;
        while check.done < last {
            progress(check.done.0, last.0);
            // One thread verifies a page while another reads the next one.
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
            let detail = "the run's row names another hash for its last record";
            return Ok(check.fault(FaultKind::Head, detail.to_owned()));
        }
        if let Some(head) = check.known.front() {
            let (kind, seq) = (FaultKind::Cut, head.seq);
            let detail = format!("the run ends at record {last}, but a head names record {seq}");
            return Ok(check.fault(kind, detail));
        }
        if self.has_surplus(row.no).await? {
            let detail = "records stand outside of the run's first and last one; the run did not write them";
            return Ok(check.fault(FaultKind::Surplus, detail.to_owned()));
        }
        if let Some(detail) = self.fork_fault(&row).await? {
            check.done = row.info.parent.map_or(EventSeq(0), |(_, seq)| seq);
            return Ok(check.fault(FaultKind::Parent, detail));
        }
        check.report.first_fault = head_file_fault;
        Ok(check.report)
    }

    /// Whether the table has records of a run beside those that its row knows of, also while the run goes on.
    async fn has_surplus(&self, no: i64) -> Result<bool, Error> {
        let found = query(
            "SELECT 1 FROM records WHERE run = ?1 AND (seq < 1 OR seq > (SELECT last_seq FROM runs WHERE no = ?1)) LIMIT 1",
        )
        .bind(no)
        .fetch_optional(&self.pool)
        .await?;
        Ok(found.is_some())
    }

    /// Describes what is wrong with the branch point of a fork; `None` if nothing is.
    async fn fork_fault(&self, row: &RunRow) -> Result<Option<String>, Error> {
        let Some((parent, seq)) = &row.info.parent else { return Ok(None) };
        let hash_of = async |run: &RunId| -> Result<Option<Hash>, Error> {
            let row =
                query("SELECT hash FROM records WHERE run = (SELECT no FROM runs WHERE id = ?) AND seq = ?")
                    .bind(run.as_str())
                    .bind(seq.0 as i64)
                    .fetch_optional(&self.pool)
                    .await?;
            row.map(|row| row.try_get::<&[u8], _>(0)?.try_into()).transpose()
        };
        let parent_row = RunRow::find(&mut self.pool.acquire().await?, parent).await?;
        if parent_row.is_none() {
            return Ok(None);
        }
        let there = hash_of(parent).await?;
        let own = self.records(&row.info.id, &RecordQuery::from(seq.next()).to(seq.next())).await?;
        let recorded = own.first().and_then(|own| own.payload.get("forked_from").cloned());
        let point: Option<ForkPoint> = recorded.and_then(|recorded| serde_json::from_value(recorded).ok());
        Ok(match point {
            None => Some("the fork does not name its branch point".to_owned()),
            Some(point) if (&point.run, point.seq) != (parent, *seq) => {
                Some(format!("it names record {} of `{}` as its branch point", point.seq, point.run))
            }
            Some(point) if there != Some(point.hash) => {
                Some(format!("record {seq} of `{parent}` has another hash than the branch point"))
            }
            Some(_) => None,
        })
    }
}

type CheckResult = Result<(), (FaultKind, String)>;

/// State of a verification.
struct Check {
    /// Hash of the last intact record.
    head: Hash,
    /// Sequence number of the last intact record.
    done: EventSeq,
    reorderer: Reorderer,
    report: VerifyReport,
    /// Heads of later records, in order.
    known: VecDeque<Head>,
}

impl Check {
    /// Ends the verification with a fault at the record after the last intact one.
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
            None if page.rows.len() == 0 => Err((FaultKind::Missing, "the record is missing".to_owned())),
            None => Ok(()),
        }
    }

    fn row(&mut self, row: &Row<'_>, page: &mut PageContext) -> CheckResult {
        let broken = |what: &str| (FaultKind::Unreadable, what.to_owned());
        let altered = |what: &str| (FaultKind::Altered, what.to_owned());
        if row.seq != self.done.next() {
            return Err((FaultKind::Missing, format!("the record is missing; the next one is {}", row.seq)));
        }
        if row.version != VERSION {
            return Err(broken(&format!("the encoding version {} is unknown", row.version)));
        }
        let payload = text(row.payload).map_err(|what| broken(&what))?;
        let (blobs, rest) = row.blobs.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(broken("its list of blobs is truncated"));
        }
        let canonical = self
            .reorderer
            .canonical(payload.as_bytes())
            .ok_or_else(|| altered("its payload is not in stored form"))?;
        let envelope = Envelope {
            run: self.report.run.as_str(),
            seq: row.seq,
            at_ms: row.at_ms,
            kind: std::str::from_utf8(row.kind).map_err(|_| broken("its kind is not UTF-8"))?,
            payload: canonical,
            blobs: blobs.iter(),
            prev_hash: self.head,
        };
        // A forgotten record no longer matches its hash. The next record proves that the stored hash is the
        // original one.
        let empty = payload == TOMBSTONE;
        let emptied = empty && page.forgotten.contains(&(row.seq.0 as i64));
        self.report.forgotten += u64::from(empty);
        if !emptied && envelope.hash().as_bytes() != row.hash {
            return Err(altered("it does not match its hash, or is not chained to the previous record"));
        }
        for bytes in blobs {
            self.blob(BlobId(Hash::from(*bytes)), page)?;
        }
        self.head = Hash::try_from(row.hash).map_err(|error| broken(&error.to_string()))?;
        self.report.records += 1;
        self.report.bytes += payload.len() as u64;
        self.done = row.seq;
        self.compare_heads()
    }

    /// Compares the record that was checked last with the heads that name it.
    fn compare_heads(&mut self) -> CheckResult {
        while let Some(known) = self.known.pop_front_if(|known| known.seq <= self.done) {
            if known.seq == self.done && known.hash != self.head {
                self.done = EventSeq(self.done.0.saturating_sub(1));
                let detail = "its hash is another one than that of a head kept outside the database";
                return Err((FaultKind::Head, detail.to_owned()));
            }
        }
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
            None => Err((FaultKind::BlobMissing, format!("blob `{id}` is missing"))),
        }
    }
}
