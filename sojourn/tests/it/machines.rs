//! Many machines: workers as separate processes with homes of their own, one server, and faults that are really caused.

#![cfg(target_os = "linux")]

use crate::support::place;
use rustix::process::Signal;
use serde_json::Value;
use sojourn_testkit::{Place, Postgres, Running, send_signal, until};
use std::process::Stdio;

mod with_postgres {
    use super::*;

    /// A server, and the machine of the person who submits runs.
    struct Cluster {
        server: Postgres,
        url: String,
        person: Place,
    }

    impl Cluster {
        /// `None`, said loudly, on a machine without `PostgreSQL`.
        fn start() -> Option<Self> {
            let server = Postgres::start()?;
            let url = server.database("agents");
            let person = place();
            person.write_agent("environment = \"crafter\"", "");
            Some(Self { server, url, person })
        }

        fn run(&self, args: &[&str]) -> Value {
            self.person.json(&[args, &["--store", &self.url]].concat())
        }

        fn submit(&self, steps: &str, options: &[&str]) -> String {
            let args = [&["run", "agent.toml", "--queue", "--steps", steps], options].concat();
            self.run(&args)["run"].as_str().unwrap().to_owned()
        }

        fn queue(&self) -> Vec<Value> {
            self.run(&["queue", "list"]).as_array().unwrap().clone()
        }

        fn states(&self) -> Vec<String> {
            self.queue().iter().map(|run| run["state"].as_str().unwrap().to_owned()).collect()
        }

        /// Records of all runs.
        fn records(&self) -> u64 {
            self.server.sql("agents", "SELECT count(*) FROM sojourn.records").parse().unwrap()
        }
    }

    /// A machine with a worker, and what the worker says in `worker.log`.
    struct Machine {
        place: Place,
        worker: Running,
    }

    impl Machine {
        fn start(cluster: &Cluster, options: &[&str]) -> Self {
            let place = place();
            let log = std::fs::File::create(place.path().join("worker.log")).unwrap();
            let args = [&["worker", "--store", &cluster.url], options].concat();
            let mut command = place.command(&args);
            let worker = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log));
            let machine = Self { place, worker };
            until("the worker listens", || machine.said().contains("waits for runs"));
            machine
        }

        fn said(&self) -> String {
            std::fs::read_to_string(self.place.path().join("worker.log")).unwrap()
        }

        /// Stops or continues the worker and all that it started, as a machine that sleeps.
        fn signal(&self, signal: Signal) {
            let of_it = std::process::Command::new("pgrep")
                .args(["-P", &self.worker.id().to_string()])
                .output()
                .unwrap();
            let children = String::from_utf8_lossy(&of_it.stdout).into_owned();
            send_signal(self.worker.id(), signal);
            for child in children.split_whitespace() {
                send_signal(child.parse().unwrap(), signal);
            }
        }
    }

    /// Every run has ended as it would have, nothing is lost or doubled, and every chain of hashes verifies.
    fn assert_whole(cluster: &Cluster, runs: &[String]) {
        for run in runs {
            let verdict = cluster.run(&["replay", run, "--verify"]);
            assert_eq!(verdict["matched"], true, "{verdict}");
            let verified = cluster.run(&["log", "verify", run]);
            assert_eq!(verified["intact"], true, "{verified}");
        }
        let gaps = "SELECT count(*) FROM sojourn.runs r WHERE last_seq != (SELECT count(*) FROM sojourn.records WHERE run = r.no)";
        assert_eq!(
            cluster.server.sql("agents", gaps),
            "0",
            "the records of each run are numbered without a gap"
        );
        assert_eq!(cluster.run(&["runs"]).as_array().unwrap().len(), runs.len());
    }

    #[test]
    fn a_run_is_carried_out_shown_replayed_and_forked_over_the_address_of_a_store() {
        let Some(mut cluster) = Cluster::start() else { return };
        let ran = cluster.run(&["run", "agent.toml", "--steps", "120"]);
        let run = ran["run"].as_str().unwrap();
        assert_whole(&cluster, &[run.to_owned()]);
        let records = cluster.run(&["runs"])[0]["records"].as_u64().unwrap();
        assert!(records > 20, "{records}");
        let fork = cluster.run(&["fork", run, "--at", "20", "--no-run"]);
        assert_whole(&cluster, &[run.to_owned(), fork["run"].as_str().unwrap().to_owned()]);
        cluster.run(&["skills", "list"]);
        cluster.run(&["memory", "stats"]);
        // The home's own tables have none of it.
        assert_eq!(cluster.person.json(&["runs"]).as_array().unwrap().len(), 0);
        // What does not work over an address says so before it does anything.
        for (command, what, instead) in [
            (&["up", "--install"][..], "`sojourn up --install`", "write a unit of your own"),
            (
                &["schedule", "gc", "--every", "1d", "--keep", "5"][..],
                "`sojourn schedule gc`",
                "`sojourn log gc`",
            ),
            (&["studio"][..], "`sojourn studio`", "`sojourn ps`"),
        ] {
            let refused = cluster.person.run(&[command, &["--store", &cluster.url]].concat());
            let says = format!("{what} does not work with the store");
            assert!(
                refused.code == 2 && refused.stderr.contains(&says) && refused.stderr.contains(instead),
                "{refused}"
            );
        }
        let refused = cluster.person.run(&["worker"]);
        assert!(refused.code == 2 && refused.stderr.contains("needs a store"), "{refused}");
        cluster.server.stop();
        let args = ["run", "agent.toml", "--steps", "5", "--unsupervised", "--store", &cluster.url];
        let refused = cluster.person.run(&args);
        assert!(refused.code == 69 && refused.stderr.contains("cannot be reached"), "{refused}");
    }

    #[test]
    fn a_run_is_lived_again_with_a_kill_in_every_worker_and_another_goes_on() {
        let Some(cluster) = Cluster::start() else { return };
        let ran = cluster.run(&["run", "agent.toml", "--steps", "60"]);
        let run = ran["run"].as_str().unwrap();
        let before = cluster.records();
        let verdict = cluster.run(&["simulate-crash", run, "--every", "40", "--at", "1"]);
        assert_eq!(
            (&verdict["lost"], &verdict["difference"]),
            (&Value::Bool(false), &Value::Null),
            "{verdict}"
        );
        let killed = verdict["killed_after"].as_array().unwrap().len();
        assert!(killed > 1 && killed == usize::try_from(before / 40).unwrap() + 1, "{verdict}");
        // The store has seen nothing of it, and nothing is left.
        assert_eq!(cluster.records(), before);
        assert_eq!(cluster.queue(), Vec::<Value>::new());
        let left = "SELECT count(*) FROM pg_database WHERE datname LIKE 'sojourn_scratch%'";
        assert_eq!(cluster.server.sql("agents", left), "0");
        // Without the right to a database of its own it says what is missing.
        cluster.server.sql("agents", "CREATE ROLE plain LOGIN; GRANT ALL ON DATABASE agents TO plain");
        cluster.server.sql("agents", "GRANT ALL ON SCHEMA sojourn, sojourn_library TO plain");
        for schema in ["sojourn", "sojourn_library"] {
            cluster.server.sql("agents", &format!("GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO plain"));
        }
        let plain = cluster.url.replace("postgres@", "plain@");
        let refused = cluster.person.run(&["simulate-crash", run, "--at", "5", "--store", &plain]);
        assert!(refused.code == 1 && refused.stderr.contains("CREATEDB"), "{refused}");
    }

    #[test]
    fn two_daemons_of_a_store_start_each_due_run_once_also_when_they_and_the_server_are_killed() {
        let Some(mut cluster) = Cluster::start() else { return };
        let every = ["--every", "5s", "--overlap", "queue", "--steps", "3"];
        cluster.run(&[&["schedule", "add", "agent.toml", "--name", "life"], &every[..]].concat());
        let once = ["--at", "now", "--labels", "gpu", "--steps", "3"];
        cluster.run(&[&["schedule", "add", "agent.toml", "--name", "special"], &once[..]].concat());
        // The daemons and the workers are on machines that do not have the file.
        std::fs::remove_file(cluster.person.path().join("agent.toml")).unwrap();
        let daemon = |cluster: &Cluster| {
            let place = place();
            let log = std::fs::File::create(place.path().join("daemon.log")).unwrap();
            let mut command = place.command(&["up", "--store", &cluster.url]);
            let running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log));
            (place, running)
        };
        let mut daemons = vec![daemon(&cluster), daemon(&cluster)];
        let _worker = Machine::start(&cluster, &["--runs", "2"]);
        let finished = |cluster: &Cluster| {
            let history = cluster.run(&["schedule", "history", "life", "-n", "1000"]);
            history.as_array().unwrap().iter().filter(|due| due["state"] == "finished").count()
        };
        until("runs are finished", || finished(&cluster) >= 2);
        daemons.remove(0);
        let before = finished(&cluster);
        until("the other daemon goes on", || finished(&cluster) > before + 1);
        cluster.server.restart();
        daemons.push(daemon(&cluster));
        let before = finished(&cluster);
        until("they go on with the server", || finished(&cluster) > before + 1);
        cluster.run(&["schedule", "pause", "life"]);
        let open = "SELECT count(*) FROM sojourn.jobs WHERE ended_ms IS NULL AND schedule = 1";
        until("what was due is settled", || cluster.server.sql("agents", open) == "0");

        // Every due time has one run, every run one due time, and none waits for a worker that has what it needs.
        let history = cluster.run(&["schedule", "history", "life", "-n", "1000"]);
        let history = history.as_array().unwrap();
        assert!(history.iter().all(|due| due["state"] == "finished"), "{history:?}");
        let runs = cluster.run(&["runs"]);
        assert_eq!(runs.as_array().unwrap().len(), history.len(), "each has run once");
        assert!(history.iter().all(|due| due["starts"] == 1), "{history:?}");
        let times: std::collections::BTreeSet<i64> =
            history.iter().map(|due| due["due_ms"].as_i64().unwrap()).collect();
        assert_eq!(times.len(), history.len());
        let queue = cluster.queue();
        let waiting: Vec<&Value> = queue.iter().filter(|run| run["state"] == "queued").collect();
        assert_eq!((waiting.len(), &waiting[0]["labels"]), (1, &serde_json::json!(["gpu"])), "{queue:?}");
        for (_place, mut daemon) in daemons {
            send_signal(daemon.id(), Signal::TERM);
            assert_eq!(daemon.wait().unwrap().code(), Some(0));
        }
        let refused =
            cluster.person.run(&["schedule", "add", "crafter", "--at", "now", "--store", &cluster.url]);
        assert!(refused.code != 0 && refused.stderr.contains("cannot read `crafter`"), "{refused}");
    }

    #[test]
    fn a_process_that_hangs_is_killed_and_its_run_goes_on() {
        let Some(cluster) = Cluster::start() else { return };
        let machine = Machine::start(&cluster, &["--hung-after", "20s"]);
        let run = cluster.submit("400", &[]);
        until("it is under way", || cluster.records() > 40);
        let process = cluster.run(&["ps"])["runs"][0]["process"].as_u64().unwrap();
        send_signal(process.try_into().unwrap(), Signal::STOP);
        until("the run is finished", || cluster.states() == ["finished"]);
        assert!(machine.said().contains("has reported nothing for 20 s"), "{}", machine.said());
        assert_eq!(cluster.queue()[0]["claims"], 2);
        assert_whole(&cluster, &[run]);
    }

    #[test]
    fn labels_decide_which_worker_gets_a_run_and_a_cancelled_run_stops() {
        let Some(cluster) = Cluster::start() else { return };
        let special = cluster.submit("60", &["--labels", "gpu"]);
        let plain = cluster.submit("60", &[]);
        let _one = Machine::start(&cluster, &[]);
        until("the run that needs nothing is finished", || cluster.states() == ["queued", "finished"]);
        let _other = Machine::start(&cluster, &["--labels", "web,gpu"]);
        until("the other run is finished too", || cluster.states() == ["finished", "finished"]);
        let endless = cluster.submit("1000000", &[]);
        until("it is under way", || {
            cluster.states()[2] == "running" && cluster.run(&["ps"])["runs"].get(0).is_some()
        });
        cluster.run(&["queue", "cancel", &endless]);
        until("nothing is under way", || cluster.run(&["ps"])["runs"].get(0).is_none());
        let ended = [special, plain];
        for run in &ended {
            assert_eq!(cluster.run(&["replay", run, "--verify"])["matched"], true);
        }
    }

    #[test]
    fn the_queue_keeps_no_secret_and_a_worker_keeps_agent_files_apart() {
        let Some(cluster) = Cluster::start() else { return };
        cluster.person.write_agent("environment = \"crafter\"\nsecrets = [\"DOOR\"]", "");
        let submit = |with: &[&str]| {
            let args = [&["run", "agent.toml", "--queue", "--store", &cluster.url], with].concat();
            let output = cluster.person.command(&args).env("DOOR", "hunter2-very-secret").output().unwrap();
            cluster.person.answer(&output)
        };
        for with in [["--goal", "say hunter2-very-secret"], ["--set", "model=\"hunter2-very-secret\""]] {
            let refused = submit(&with);
            assert!(refused.code == 2 && refused.stderr.contains("the queue would keep it"), "{refused}");
            assert!(!refused.stderr.contains("hunter2"), "{refused}");
        }
        assert_eq!(cluster.queue(), Vec::<Value>::new());
        let run = cluster.submit("60", &[]);
        std::fs::remove_file(cluster.person.path().join("agent.toml")).unwrap();
        let machine = Machine::start(&cluster, &[]);
        until("the run is finished", || cluster.states() == ["finished"]);
        assert_eq!(cluster.run(&["replay", &run, "--verify"])["matched"], true);
        let mut find = std::process::Command::new("find");
        let copies = find.arg(machine.place.path()).args(["-path", "*/agents/*"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&copies.stdout), "", "the copy of the agent file is removed");
    }

    #[test]
    fn a_home_is_copied_into_a_server_and_back_also_by_processes_that_are_killed() {
        let Some(cluster) = Cluster::start() else { return };
        let (person, server) = (&cluster.person, &cluster.server);
        let ran = person.json(&["run", "agent.toml", "--steps", "200"]);
        let run = ran["run"].as_str().unwrap();
        person.text(&["schedule", "add", "agent.toml", "--every", "6h", "--name", "life"]);
        // The tables are made; then the copy waits in the middle, and is killed there.
        cluster.run(&["queue", "list"]);
        server.sql(
            "agents",
            "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$; \
             CREATE TRIGGER wait BEFORE INSERT ON sojourn.blobs FOR EACH ROW EXECUTE FUNCTION public.wait()",
        );
        let copy = ["store", "copy", "home", &cluster.url];
        let mut killed = Running::start(
            person.command(&copy).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()),
        );
        until("the copy waits", || {
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
            server.sql("agents", waiting) == "1"
        });
        send_signal(killed.id(), Signal::KILL);
        killed.wait().unwrap();
        server.sql(
            "agents",
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
        );
        server.sql("agents", "DROP TRIGGER wait ON sojourn.blobs");
        let refused = person.run(&["runs", "--store", &cluster.url]);
        assert!(
            refused.code == 1 && refused.stderr.contains("is an unfinished copy of another store"),
            "{refused}"
        );

        let copied = person.json(&copy);
        let rows = |copied: &Value, table: &str| {
            let tables = copied["tables"].as_array().unwrap();
            tables.iter().find(|one| one["table"] == table).unwrap()["rows"].as_u64().unwrap()
        };
        let records = rows(&copied, "records");
        assert!(
            records > 20 && copied["copied_rows"].as_u64().unwrap() < records,
            "the rest was there: {copied}"
        );
        assert_eq!(copied["verified_runs"], 1, "{copied}");
        assert_whole(&cluster, &[run.to_owned()]);
        assert_eq!(cluster.run(&["skills", "list"]), person.json(&["skills", "list"]));
        assert_eq!(
            cluster.run(&["memory", "stats"])["memories"],
            person.json(&["memory", "stats"])["memories"]
        );

        // Back, into a new home.
        let back = person.json(&["store", "copy", &cluster.url, "again"]);
        assert_eq!((&back["tables"], &back["library"]), (&copied["tables"], &copied["library"]));
        let there = |args: &[&str]| person.json(&[args, &["--home", "again"]].concat());
        assert_eq!(there(&["replay", run, "--verify"])["matched"], true);
        assert_eq!(there(&["log", "verify"])["intact"], true);
        assert_eq!(there(&["schedule", "list"]), person.json(&["schedule", "list"]));
        assert_eq!(there(&["skills", "list"]), person.json(&["skills", "list"]));

        // Again there is nothing to do; and what has lived on is not overwritten.
        assert_eq!(person.json(&copy)["already"], true);
        there(&["run", "agent.toml", "--steps", "5"]);
        let refused = person.run(&["store", "copy", "home", "again"]);
        assert!(refused.code == 1 && refused.stderr.contains("has other content"), "{refused}");
        assert_eq!(there(&["runs"]).as_array().unwrap().len(), 2);
    }

    #[test]
    fn workers_that_are_killed_or_stopped_and_a_server_that_restarts_lose_and_double_nothing() {
        let Some(mut cluster) = Cluster::start() else { return };
        let runs: Vec<String> =
            (0..6).map(|seed| cluster.submit("700", &["--seed", &seed.to_string()])).collect();
        let mut machines: Vec<Machine> = (0..3).map(|_| Machine::start(&cluster, &["--runs", "2"])).collect();
        let further = |cluster: &Cluster, what: &str| {
            let before = cluster.records();
            until(what, || {
                cluster.records() > before + 60 || cluster.states().iter().all(|state| state == "finished")
            });
        };
        further(&cluster, "the runs are under way");
        // A machine sleeps for longer than its claims last, and wakes when others have its runs.
        machines[0].signal(Signal::STOP);
        // Another one is gone, without a word.
        machines.remove(1);
        further(&cluster, "the others go on");
        cluster.server.restart();
        until("no claim of the machine that sleeps is left", || {
            let left = "SELECT count(*) FROM sojourn.queue WHERE ended_ms IS NULL AND leased_until < now()";
            cluster.server.sql("agents", left) == "0"
        });
        machines.push(Machine::start(&cluster, &["--runs", "2"]));
        further(&cluster, "the new machine helps");
        machines[0].signal(Signal::CONT);
        until("every run is finished", || cluster.states().iter().all(|state| state == "finished"));
        assert_whole(&cluster, &runs);
        let claims: u64 = cluster.queue().iter().map(|run| run["claims"].as_u64().unwrap()).sum();
        assert!(claims > runs.len() as u64, "some runs were taken over: {claims}");
        for mut machine in machines {
            send_signal(machine.worker.id(), Signal::TERM);
            assert_eq!(machine.worker.wait().unwrap().code(), Some(0), "{}", machine.said());
        }
    }
}
