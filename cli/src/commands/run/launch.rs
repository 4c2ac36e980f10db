//! Starts `sojourn run` as a process of its own, for a person who is not at a terminal.

use super::{budgets_of, check, command_line};
use crate::args::Run;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::session::new_run;
use anyhow::{Context as _, Result};
use sojourn_memory::{EventSeq, RunId, Store};
use sojourn_primitives::create_private_dir;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often the log is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(50);
/// The last bytes of the process's messages that are looked at for its error.
const LAST_BYTES: u64 = 4096;

/// Starts a run, or resumes the one in `args.resume`; returns its id once it has a new record,
/// or after `patience`: a large model takes longer to load, and the run begins all the same. The process is
/// no child of the terminal: it goes on when this process ends. Its messages are in the home, in `messages/RUN.log`.
///
/// # Errors
/// When the agent file is wrong, another process writes to the run, or the process ends before its first record.
pub async fn launch(home: &Home, args: Run, patience: Duration) -> Result<RunId> {
    let store = home.store().await?;
    let environment = check(home, &args).await?;
    let args = Run { unattended: true, ..args };
    let run = match &args.resume {
        Some(asked) => {
            let wanted = super::Wanted { environment: &environment, name: asked.as_deref(), args: &args };
            wanted.find(&store).await?.id
        }
        None => new_run(),
    };
    if store.is_live(&run).await? {
        return Err(Failure::new(Kind::Usage, format!("another process runs `{run}` already")).into());
    }
    let before = last(&store, &run).await;
    let messages = messages_of(home, &run);
    let mut child = start(home, &args, &run, &messages)?;
    let since = Instant::now();
    let ended = loop {
        if let Some(status) = child.try_wait().context("cannot look after the run's process")? {
            break Some(status);
        }
        if last(&store, &run).await > before || since.elapsed() > patience {
            break None;
        }
        tokio::time::sleep(LOOK).await;
    };
    if let Some(status) = ended.filter(|status| !status.success())
        && last(&store, &run).await <= before
    {
        let why = error_in(&messages).unwrap_or_else(|| format!("its process ended with {status}"));
        return Err(Failure::new(Kind::Failure, format!("the run did not begin: {why}"))
            .hint(format!("`{}` has all of its messages", messages.display()))
            .into());
    }
    // A process that has ended stays a zombie until somebody waits for it.
    let wait = move || drop(child.wait());
    std::thread::Builder::new().name("launched".to_owned()).spawn(wait).context("cannot start a thread")?;
    Ok(run)
}

/// The file with the messages of a run's process.
pub fn messages_of(home: &Home, run: &RunId) -> PathBuf {
    home.path().join("messages").join(format!("{run}.log"))
}

async fn last(store: &Store, run: &RunId) -> EventSeq {
    store.run(run.as_str()).await.map_or(EventSeq(0), |info| info.last_seq)
}

fn start(home: &Home, args: &Run, run: &RunId, messages: &Path) -> Result<Child> {
    let unwritable = || format!("cannot write `{}`", messages.display());
    create_private_dir(messages.parent().unwrap_or(home.path())).with_context(unwritable)?;
    let file = File::options().create(true).append(true).open(messages).with_context(unwritable)?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut words = command_line(args);
    if args.resume.is_some() {
        // The worker's `--resume` takes the run from its supervisor.
        words.retain(|word| word != "--resume");
        words.extend(["--resume".to_owned(), run.to_string()]);
    } else {
        words.extend(["--id".to_owned(), run.to_string()]);
    }
    words.extend(budgets_of(args));
    let path = std::path::absolute(home.path()).unwrap_or_else(|_| PathBuf::from(home.path()));
    Command::new(program)
        .arg("--home")
        .arg(path)
        .envs(home.variables())
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        // Ctrl-C at this process's terminal is not for the run.
        .process_group(0)
        .spawn()
        .context("cannot start the run's process")
}

/// The last error that the process told.
pub fn error_in(messages: &Path) -> Option<String> {
    let mut file = File::open(messages).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().rev().find_map(|line| line.trim().strip_prefix("error: ").map(str::to_owned))
}
