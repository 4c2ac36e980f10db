//! A private `PostgreSQL` server.

use crate::{Running, command, send_signal, skipped, until};
use rustix::process::Signal;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A `PostgreSQL` server in a temporary directory, reached by a socket in it. It ends with the test.
pub struct Postgres {
    programs: PathBuf,
    place: TempDir,
    user: Option<(u32, u32)>,
    /// The process in whose network the server listens; `None`: at its socket only.
    network: Option<u32>,
    running: Option<Running>,
}

impl Postgres {
    /// Starts a server; `None`, said loudly, where the machine has no `PostgreSQL`.
    pub fn start() -> Option<Self> {
        Self::start_in(None)
    }

    /// As [`start`](Self::start). The server also listens at port 5432 of every address in the network namespace of this process, and
    /// trusts whoever is there. Needs root.
    pub fn start_in_network_of(process: u32) -> Option<Self> {
        Self::start_in(Some(process))
    }

    fn start_in(network: Option<u32>) -> Option<Self> {
        let Some(programs) = programs() else {
            skipped(
                "there is no PostgreSQL here (`apt install postgresql`): nothing of the store in a server is tested",
            );
            return None;
        };
        let place = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        // The server does not start as root.
        let user = rustix::process::geteuid().is_root().then(|| user().expect("a user without rights"));
        if let Some((uid, gid)) = user {
            chown(place.path(), Some(uid), Some(gid)).unwrap();
        }
        let mut server = Self { programs, place, user, network, running: None };
        let data = server.data();
        server.run(
            "initdb",
            &["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale", "C", "--no-sync", "-D", &data],
        );
        if network.is_some() {
            let rules = server.place.path().join("data/pg_hba.conf");
            let known = fs::read_to_string(&rules).unwrap();
            fs::write(rules, known + "host all all 0.0.0.0/0 trust\n").unwrap();
        }
        server.restart();
        Some(server)
    }

    /// The address of the database with this name, which is created.
    pub fn database(&self, name: &str) -> String {
        self.run("createdb", &["-h", self.place.path().to_str().unwrap(), "-U", "postgres", name]);
        format!("postgres://postgres@localhost/{name}?host={}", self.place.path().display())
    }

    /// Runs a statement in a database and returns what it prints.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let socket = self.place.path().to_str().unwrap();
        self.run("psql", &["-h", socket, "-U", "postgres", "-d", database, "-At", "-c", statement])
    }

    /// Kills the server as a power failure would, and starts it again.
    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// What the server has said since it was started last.
    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    /// As [`restart`](Self::restart), with further variables.
    pub fn restart_with(&mut self, variables: &[(String, String)]) {
        self.stop();
        let (mut start, addresses) = match (self.network, self.user) {
            (Some(process), Some((uid, gid))) => {
                let mut start = command("nsenter");
                start.current_dir(self.place.path()).arg(format!("--net=/proc/{process}/ns/net"));
                start.args([format!("--setgid={gid}"), format!("--setuid={uid}")]);
                start.arg(self.programs.join("postgres"));
                (start, "*")
            }
            _ => (self.command("postgres"), ""),
        };
        start.args(["-D", &self.data(), "-h", addresses, "-F", "-k"]).arg(self.place.path());
        start.envs(variables.iter().map(|(name, value)| (name, value)));
        let log = fs::File::create(self.place.path().join("log")).unwrap();
        let running = Running::start(start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log));
        self.running = Some(running);
        let socket = self.place.path().to_str().unwrap().to_owned();
        until("the server", || {
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["-q", "-h", &socket, "-U", "postgres"])
                .status();
            ready.is_ok_and(|status| status.success())
        });
    }

    /// Kills the server as a power failure would: with all of its processes, and without a checkpoint.
    pub fn stop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // At this signal it kills its processes and ends at once, without a checkpoint.
        send_signal(running.id(), Signal::QUIT);
        running.wait().unwrap();
    }

    fn data(&self) -> String {
        self.place.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = command(self.programs.join(program));
        command.current_dir(self.place.path());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

thread_local! {
    /// The server that the tests of this thread use, and the databases that stand for homes.
    static SERVER: RefCell<Option<(Postgres, BTreeMap<PathBuf, String>)>> = const { RefCell::new(None) };
}

/// Runs a test with a private server, in which a database stands for each home. Where the machine has none, the test is skipped.
pub fn in_postgres(test: fn()) {
    let Some(server) = Postgres::start() else { return };
    SERVER.set(Some((server, BTreeMap::new())));
    test();
    SERVER.set(None);
}

/// The address of the database that stands for a home; `None` outside of [`in_postgres`].
pub fn database_of(home: &Path) -> Option<String> {
    SERVER.with_borrow_mut(|server| {
        let (server, databases) = server.as_mut()?;
        let name = format!("home{}", databases.len());
        Some(databases.entry(home.to_owned()).or_insert_with(|| server.database(&name)).clone())
    })
}

/// Tests of both engines: those named are here with a home's own tables, and in the module `with_postgres` with a server. They ask
/// [`database_of`](crate::database_of) which.
#[macro_export]
macro_rules! also_in_postgres {
    ($($test:ident),+ $(,)?) => {
        mod with_postgres {
            $(#[test]
            fn $test() {
                $crate::in_postgres(super::$test);
            })+
        }
    };
}

/// The folder with the newest server's programs.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    let mut folders: Vec<PathBuf> = debian.collect();
    folders.sort_by_key(|folder| {
        let version = folder.parent().and_then(|parent| parent.file_name()?.to_str()?.parse::<u32>().ok());
        std::cmp::Reverse(version)
    });
    folders.extend(std::env::split_paths(&path));
    folders.into_iter().find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// A user without rights: `postgres`, else `nobody`.
fn user() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody"))
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}
