//! A model of claims, leases and fencing, searched exhaustively.
//!
//! Two workers, any number of interleavings, and every fault at every moment: a worker dies, is taken for dead although it lives, or
//! wakes up late; the process that it started lives on; the answer to a commit is lost. Time is not in the model: a claim may
//! end at any moment, so nothing that is shown here rests on a clock. The model says what `memory/src/unattended/queue.rs` and
//! `memory/src/log/lease.rs` do in one transaction each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Records of a whole run.
const WHOLE: usize = 2;
/// Limits on claims and on processes, which keep the search finite.
const CLAIMS: u8 = 3;
const PROCESSES: u8 = 4;
const WORKERS: usize = 2;

/// What of the protocol is switched off, to see that the search notices.
#[derive(Clone, Copy, PartialEq)]
enum Without {
    Nothing,
    /// An append does not compare the epoch.
    Fence,
    /// A repeated commit does not look whether the first one happened.
    LookBeforeRepeating,
    /// What a worker settles does not name its claim.
    ClaimNumber,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
struct State {
    /// The row of the queue: number of the latest claim, and who settled it.
    claim: u8,
    settled: Option<u8>,
    /// The row of the run, and its records by the process that wrote each.
    epoch: u8,
    log: Vec<Record>,
    /// The claim that each worker believes to have.
    workers: [Option<u8>; WORKERS],
    /// The processes that are alive, also those whose worker is not.
    processes: Vec<Process>,
    /// How many processes there were.
    started: u8,
}

/// Which process wrote a record, and its number among the appends of that process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Record {
    by: u8,
    number: u8,
    /// The epoch of the run when it was written.
    epoch: u8,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Process {
    id: u8,
    worker: usize,
    claim: u8,
    epoch: u8,
    /// Records of the log that it knows of: read, or confirmed.
    knows: usize,
    appended: u8,
    /// Whether an append waits for its commit to be confirmed.
    pending: bool,
}

impl State {
    fn next(&self, without: Without) -> Vec<Self> {
        let mut next = Vec::new();
        for worker in 0..WORKERS {
            if self.settled.is_none() && self.claim < CLAIMS {
                // Another one's claim has ended, or was taken for ended. Claiming fences whoever writes.
                let mut claimed = self.clone();
                claimed.claim += 1;
                claimed.epoch += 1;
                claimed.workers[worker] = Some(claimed.claim);
                next.push(claimed);
            }
            let Some(claim) = self.workers[worker] else { continue };
            let mut died = self.clone();
            died.workers[worker] = None;
            next.push(died);
            let has_one = self.processes.iter().any(|process| process.claim == claim);
            if !has_one && self.settled.is_none() && self.started < PROCESSES {
                let mut begun = self.clone();
                begun.epoch += 1;
                begun.started += 1;
                let (id, epoch, knows) = (begun.started, begun.epoch, begun.log.len());
                begun.processes.push(Process {
                    id,
                    worker,
                    claim,
                    epoch,
                    knows,
                    appended: 0,
                    pending: false,
                });
                next.push(begun);
            }
        }
        for (place, process) in self.processes.iter().enumerate() {
            let mut died = self.clone();
            died.processes.remove(place);
            next.push(died);
            if process.knows == WHOLE {
                // It exits, and its worker settles the run, if it is there and has the claim still.
                let mut ended = self.clone();
                ended.processes.remove(place);
                let is_there = self.workers[process.worker] == Some(process.claim);
                if is_there
                    && self.settled.is_none()
                    && (self.claim == process.claim || without == Without::ClaimNumber)
                {
                    ended.settled = Some(process.claim);
                }
                next.push(ended);
                continue;
            }
            let number = process.appended + u8::from(!process.pending);
            let mut committed = self.clone();
            if self.epoch != process.epoch && without != Without::Fence {
                committed.processes.remove(place);
                next.push(committed);
                continue;
            }
            let happened = self.log.last().is_some_and(|last| (last.by, last.number) == (process.id, number));
            if !(process.pending && happened) || without == Without::LookBeforeRepeating {
                committed.log.push(Record { by: process.id, number, epoch: self.epoch });
            }
            let own = &mut committed.processes[place];
            (own.appended, own.pending) = (number, true);
            // The answer is lost, or comes.
            next.push(committed.clone());
            let own = &mut committed.processes[place];
            (own.knows, own.pending) = (own.knows + 1, false);
            next.push(committed);
        }
        next
    }

    /// What must hold in every state.
    fn fault(&self) -> Option<&'static str> {
        let mut known = BTreeSet::new();
        if !self.log.iter().all(|record| known.insert((record.by, record.number))) {
            return Some("a record is doubled");
        }
        if self.log.len() > WHOLE {
            return Some("a process wrote after what it knew of");
        }
        if !self.log.is_sorted_by_key(|record| (record.by, record.number)) {
            return Some("a process wrote after another had taken the run over");
        }
        if self.processes.iter().any(|process| process.knows > self.log.len()) {
            return Some("a confirmed record is lost");
        }
        match self.settled {
            Some(claim) if claim != self.claim => Some("a worker settled what another had claimed"),
            Some(_) if self.log.len() != WHOLE => Some("a run was settled before its end"),
            _ => None,
        }
    }
}

/// All states that can be reached, with those that each leads to; or the first fault.
fn search(without: Without) -> Result<BTreeMap<State, Vec<State>>, (&'static str, State)> {
    let mut reached = BTreeMap::new();
    let mut open = VecDeque::from([State::default()]);
    while let Some(state) = open.pop_front() {
        if reached.contains_key(&state) {
            continue;
        }
        if let Some(fault) = state.fault() {
            return Err((fault, state));
        }
        let next = state.next(without);
        open.extend(next.iter().filter(|next| !reached.contains_key(*next)).cloned());
        reached.insert(state, next);
    }
    Ok(reached)
}

#[test]
fn no_interleaving_loses_or_doubles_a_record_or_lets_a_fenced_process_write() {
    let reached = search(Without::Nothing).unwrap();
    assert!(reached.len() > 10_000, "{}", reached.len());
    // From every state in which a claim is still to be had, the run can be brought to its end.
    let mut leads: BTreeMap<&State, Vec<&State>> = BTreeMap::new();
    for (state, next) in &reached {
        for next in next {
            leads.entry(next).or_default().push(state);
        }
    }
    let mut open: Vec<&State> = reached.keys().filter(|state| state.settled.is_some()).collect();
    let mut ends: BTreeSet<&State> = open.iter().copied().collect();
    while let Some(state) = open.pop() {
        for before in leads.get(state).into_iter().flatten() {
            if ends.insert(before) {
                open.push(before);
            }
        }
    }
    let stuck = reached
        .keys()
        .find(|state| state.claim < CLAIMS && state.started < PROCESSES && !ends.contains(state));
    assert_eq!(stuck, None);
}

#[test]
fn each_part_of_the_protocol_is_needed() {
    for (without, expected) in [
        (Without::Fence, "a process wrote after"),
        (Without::LookBeforeRepeating, "a record is doubled"),
        (Without::ClaimNumber, "a worker settled what another had claimed"),
    ] {
        let (fault, state) = search(without).expect_err(expected);
        assert!(fault.starts_with(expected), "{fault}: {state:?}");
    }
}
