//! Many runs wait, and workers ask the server no more than their work needs.

use super::cluster::machine::{Cluster, Machine};
use super::place::{Place, Shim, until};
use super::say;
use anyhow::{Result, ensure};
use sojourn_testkit::Postgres;
use std::time::{Duration, Instant};

/// Of short runs that learn nothing.
const AGENT: &str = "[run]\nlibrary = false\nmemory = false\n";

/// 1,000 runs wait, and four workers ask the server no more than their work needs: hardly ever where none of the runs is for them, and
/// a few times for each run that they carry out.
pub fn a_thousand_queued(shim: &Shim) -> Result<()> {
    const QUEUED: u64 = 1000;
    let Some(mut cluster) = Cluster::start(shim, false)? else { return Ok(()) };
    std::fs::write(cluster.person.path().join("agent.toml"), Place::agent(&cluster.endpoint(), AGENT))?;
    cluster.text(&["run", "agent.toml", "--queue", "--steps", "2", "--labels", "gpu"])?;
    cluster.server.sql(
        "agents",
        &format!(
            "INSERT INTO sojourn.queue (run, path, agent, arguments, labels, submitted_ms) \
             SELECT 'queued-' || n, path, agent, arguments, labels, submitted_ms FROM sojourn.queue, generate_series(2, {QUEUED}) AS n"
        ),
    );
    cluster.server.sql("agents", "ALTER SYSTEM SET log_statement = 'all'");
    cluster.server.sql("agents", "ALTER SYSTEM SET log_line_prefix = '%a|'");
    cluster.server.sql("agents", "SELECT pg_reload_conf()");
    let machines: Vec<Machine> = (0..4).map(|_| cluster.machine(&[], &[])).collect::<Result<_>>()?;
    std::thread::sleep(Duration::from_secs(5));
    let over = |window: Duration| -> (u64, f64) {
        let before = statements(&cluster.server);
        let begun = Instant::now();
        std::thread::sleep(window);
        let asked = statements(&cluster.server) - before;
        (asked, asked as f64 / begun.elapsed().as_secs_f64())
    };
    let busy_before = ticks(&machines);
    let (_, idle) = over(Duration::from_mins(1));
    let share = (ticks(&machines) - busy_before) as f64 / TICKS / 60.0 / machines.len() as f64;
    ensure!(cluster.open()? == QUEUED, "somebody claimed a run that was not for them");
    // Now they are for everybody.
    cluster.server.sql("agents", "UPDATE sojourn.queue SET labels = '[]'");
    until("runs are finished", || cluster.open().is_ok_and(|open| open < QUEUED))?;
    let open = cluster.open()?;
    let (asked, busy) = over(Duration::from_mins(2));
    let ended = open - cluster.open()?;
    let first_record = first_records(&cluster);
    drop(machines);
    ensure!(ended > 0, "no run ended within two minutes");
    let each = asked as f64 / ended as f64;
    say(&format!(
        "  {QUEUED} queued runs, 4 workers: {idle:.2} statements a second where none is for them, with {:.2} % of a core for each; at \
         work {busy:.1} a second, {each:.0} for each of {ended} runs that ended; first record {first_record} ms after the claim",
        share * 100.0
    ));
    ensure!(idle < 2.0, "{idle:.2} statements a second without work are a poll storm");
    ensure!(each < 300.0, "{each:.0} statements for a run of two steps are a poll storm");
    ensure!(share < 0.01, "a worker without a run needs {:.1} % of a core", share * 100.0);
    Ok(())
}

/// The median and the extremes of the time from the claim of a run to its first record.
fn first_records(cluster: &Cluster<'_>) -> String {
    let took = "SELECT r.at_ms - q.started_ms AS took FROM sojourn.queue q JOIN sojourn.runs ON runs.id = q.run \
                JOIN sojourn.records r ON r.run = runs.no AND r.seq = 1 WHERE q.claim = 1";
    let sql = format!(
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY took) || ' (' || min(took) || ' to ' || max(took) || ')' FROM ({took}) AS them"
    );
    cluster.server.sql("agents", &sql)
}

/// Ticks of the system's clock in a second, in which it counts processor time.
const TICKS: f64 = 100.0;

/// Processor time of the workers themselves, in ticks.
fn ticks(machines: &[Machine]) -> u64 {
    let of = |machine: &Machine| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", machine.worker())).unwrap_or_default();
        // After the name, which may have spaces; fields 14 and 15 of the whole.
        let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
    };
    machines.iter().map(of).sum()
}

/// The statements that the server has logged so far, those of this program.
fn statements(server: &Postgres) -> u64 {
    let logged = server.log();
    logged
        .lines()
        .filter(|line| line.starts_with("sojourn|"))
        .filter(|line| line.contains("LOG:  execute ") || line.contains("LOG:  statement: "))
        .count() as u64
}
