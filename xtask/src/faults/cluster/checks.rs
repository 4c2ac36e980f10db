//! Invariants after any faults: every run ends as it would have, nothing is lost or doubled, and no fenced worker wrote.

use super::super::place::Place;
use super::super::say;
use super::machine::{Cluster, Queued};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Runs that are compared with the same runs on a machine without faults.
const COMPARED: usize = 3;

/// A run that keeps to itself, so that it has one future whatever the others do.
const ALONE: &str = "[run]\nlibrary = false\nmemory = false\n";

/// A tool that writes down each of its calls, which must not be repeated.
const LEDGER: &str = r#"import json, os, sys

number = {"type": "integer", "minimum": 0, "maximum": 1000000000}
pay = {"name": "pay", "description": "Pays an order.", "returns": "json",
       "input": {"type": "object", "properties": {"order": number}, "required": ["order"], "additionalProperties": False},
       "effects": {"write": True, "irreversible": True}}
for line in sys.stdin:
    ask = json.loads(line)
    result = {}
    if ask["method"] == "describe":
        result = {"tools": [pay]}
    elif ask["method"] == "call":
        with open(sys.argv[1], "a") as ledger:
            ledger.write(f"{ask['params']['args']['order']}\n")
            ledger.flush()
            os.fsync(ledger.fileno())
        result = {"paid": True}
    print(json.dumps({"id": ask["id"], "result": result}), flush=True)
"#;

/// Notes of each record in which epoch of its run it was written, and from which address: what a server cannot be told otherwise.
const WATCH: &str = "\
    CREATE TABLE public.written (run bigint, seq bigint, epoch bigint, owner text, address inet); \
    CREATE FUNCTION public.watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
      INSERT INTO public.written SELECT NEW.run, NEW.seq, epoch, split_part(owner, '/', 1), inet_client_addr() \
      FROM sojourn.runs WHERE no = NEW.run; RETURN NEW; END $$; \
    CREATE TRIGGER watch AFTER INSERT ON sojourn.records FOR EACH ROW EXECUTE FUNCTION public.watch()";

/// What no two writers of a run may leave behind, each with the number of those who did.
const FENCED: [(&str, &str); 4] = [
    (
        "a run has records of a worker that had no right to write",
        "SELECT count(*) FROM public.written WHERE owner IS NULL",
    ),
    (
        "two machines wrote under the same right",
        "SELECT count(*) FROM (SELECT FROM public.written GROUP BY run, epoch HAVING count(DISTINCT address) > 1) AS them",
    ),
    (
        "a machine wrote under the right of another",
        "SELECT count(*) FROM (SELECT FROM public.written GROUP BY owner HAVING count(DISTINCT address) > 1) AS them",
    ),
    (
        "a run was written under an earlier right after a later one",
        "SELECT count(*) FROM (SELECT epoch < lag(epoch) OVER (PARTITION BY run ORDER BY seq) AS back FROM public.written) AS them \
         WHERE back",
    ),
];

/// What the runs of a third of the seeds are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To be compared.
    Alone,
    /// To call a tool that must not be called twice.
    Paying,
    /// To share a library and memories with the others.
    Together,
}

fn purpose(seed: usize) -> Purpose {
    [Purpose::Alone, Purpose::Paying, Purpose::Together][seed % 3]
}

/// Submits runs with the seeds from 0 on.
pub fn submit(cluster: &Cluster<'_>, runs: usize, steps: &str) -> Result<()> {
    let place = cluster.person.path();
    std::fs::write(place.join("ledger.py"), LEDGER)?;
    for seed in 0..runs {
        let tables = match purpose(seed) {
            Purpose::Alone => ALONE.to_owned(),
            Purpose::Together => String::new(),
            Purpose::Paying => format!(
                "{ALONE}[tools.ledger]\nkind = \"process\"\ncommand = [\"python3\", {:?}, {:?}]\n\
                 [[policy.rule]]\ntool = \"*\"\nthen = \"allow\"\nafter_untrusted = true\n",
                place.join("ledger.py").display().to_string(),
                ledger(cluster, seed).display().to_string()
            ),
        };
        let name = format!("agent-{seed}.toml");
        std::fs::write(place.join(&name), Place::agent(&cluster.endpoint(), &tables))?;
        cluster.text(&["run", &name, "--queue", "--steps", steps, "--seed", &seed.to_string()])?;
    }
    cluster.server.sql("agents", WATCH);
    Ok(())
}

fn ledger(cluster: &Cluster<'_>, seed: usize) -> PathBuf {
    cluster.person.path().join(format!("ledger-{seed}"))
}

/// Checks all of it. Returns what was checked, in words.
pub fn whole(cluster: &Cluster<'_>, runs: usize, steps: &str) -> Result<String> {
    let queue = cluster.queue()?;
    ensure!(queue.len() == runs, "{} runs were submitted", queue.len());
    for Queued { run, state, why, .. } in &queue {
        ensure!(state == "finished", "run `{run}` is {state}: {why}");
        let verified = cluster.json(&["log", "verify", run])?;
        ensure!(verified["intact"] == true, "{verified}");
        let verdict = cluster.json(&["replay", run, "--verify"])?;
        ensure!(verdict["matched"] == true, "{verdict}");
    }
    let gaps = "SELECT count(*) FROM sojourn.runs r WHERE last_seq != (SELECT count(*) FROM sojourn.records WHERE run = r.no)";
    ensure!(cluster.number(gaps)? == 0, "records of a run are missing or doubled");
    ensure!(cluster.number("SELECT count(*) FROM sojourn.runs")? == runs as u64, "there are other runs");
    let unseen = "SELECT (SELECT count(*) FROM sojourn.records) - (SELECT count(*) FROM public.written)";
    ensure!(cluster.number(unseen)? == 0, "the server lost what it had confirmed");
    for (fault, sql) in FENCED {
        let found = cluster.number(sql)?;
        ensure!(found == 0, "{fault}: {found}");
    }
    let (mut paid, mut unknown) = (0, 0);
    for (seed, queued) in queue.iter().enumerate() {
        if purpose(seed) == Purpose::Paying {
            let (once, open) = paid_once(cluster, seed, queued)?;
            (paid, unknown) = (paid + once, unknown + open);
        }
    }
    ensure!(paid > 0, "nothing was paid: the runs do not call the tool");
    same_as_undisturbed(cluster, &queue, steps)?;
    let claims: u64 = queue.iter().map(|run| run.claims).sum();
    let writers =
        cluster.number("SELECT count(*) FROM (SELECT DISTINCT run, epoch FROM public.written) AS them")?;
    Ok(format!(
        "{claims} claims, {writers} writers in turn; {paid} payments, {unknown} of them of unknown outcome, none made twice"
    ))
}

/// Every payment that the run decided on was made at most once, and exactly once where it has an answer. Returns how many were
/// decided on, and how many of them have no answer.
fn paid_once(cluster: &Cluster<'_>, seed: usize, queued: &Queued) -> Result<(u64, u64)> {
    let made = std::fs::read_to_string(ledger(cluster, seed)).unwrap_or_default();
    let mut times: BTreeMap<u64, u64> = BTreeMap::new();
    for order in made.lines() {
        *times.entry(order.parse()?).or_default() += 1;
    }
    let log = cluster.text(&["log", &queued.run, "--json"])?;
    let records: Vec<Value> = log.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let (mut decided, mut open) = (0, 0);
    for (at, record) in records.iter().enumerate() {
        let call = &record["payload"]["call"];
        if record["kind"] != "call_tool" || call["name"] != "ledger_pay" {
            continue;
        }
        decided += 1;
        let order = call["args"]["order"].as_u64().with_context(|| format!("no order: {record}"))?;
        let answered = records[at..].iter().find(|later| later["kind"] == "tool_answered");
        let is_known = answered.is_some_and(|answer| answer["payload"].to_string().contains("paid"));
        let done = times.remove(&order).unwrap_or(0);
        ensure!(done <= 1, "order {order} of run `{}` was paid {done} times", queued.run);
        ensure!(done == 1 || !is_known, "order {order} of run `{}` was not paid", queued.run);
        open += u64::from(!is_known);
    }
    ensure!(times.is_empty(), "run `{}` paid what its log does not have: {times:?}", queued.run);
    Ok((decided, open))
}

/// The milestones and acts of some runs are those of the same runs on a machine without faults.
fn same_as_undisturbed(cluster: &Cluster<'_>, queue: &[Queued], steps: &str) -> Result<()> {
    let alone = queue.iter().enumerate().filter(|(seed, _)| purpose(*seed) == Purpose::Alone);
    for (seed, Queued { run, .. }) in alone.take(COMPARED) {
        let here = Place::with(&cluster.endpoint(), ALONE)?;
        here.text(&["run", "agent.toml", "--steps", steps, "--seed", &seed.to_string(), "--json"])?;
        let kinds = ["--kind", "report_milestone", "--kind", "acted"];
        let alone = here.text(&[&["log", "latest", "--json"], &kinds[..]].concat())?;
        let disturbed = cluster.text(&[&["log", run, "--json"], &kinds[..]].concat())?;
        let said = |text: &str| -> Result<Vec<Value>> {
            let records = text.lines().map(serde_json::from_str::<Value>);
            records.map(|record| Ok(record?["payload"].clone())).collect()
        };
        let (alone, disturbed) = (said(&alone)?, said(&disturbed)?);
        ensure!(!alone.is_empty(), "the run without faults did nothing");
        if let Some(at) =
            (0..alone.len().max(disturbed.len())).find(|at| alone.get(*at) != disturbed.get(*at))
        {
            say(&format!("  seed {seed}, run `{run}`: {} and {} records", alone.len(), disturbed.len()));
            bail!("seed {seed} differs: {:?} became {:?}", alone.get(at), disturbed.get(at));
        }
    }
    Ok(())
}
