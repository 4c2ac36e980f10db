//! `sojourn replay`: watches a run again, draws it, verifies it, and rebuilds its skills and memories.

mod picture;
mod rebuild;
mod screen;
mod story;
mod verify;
mod viewer;

use crate::args::Replay;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::{logbook, output};
use anyhow::{Context as _, Result};
use std::io::{IsTerminal as _, stdin};
use std::process::ExitCode;

/// The default speed on a terminal, as a multiple of real time.
const SPEED: f64 = 8.0;

/// Shows a run again, or checks it.
pub async fn replay(home: Home, args: &Replay) -> Result<ExitCode> {
    if args.verify {
        return Box::pin(verify::verify(home, args)).await;
    }
    let store = home.store().await?;
    let info = logbook::find_run(&store, &args.run).await?;
    if args.rebuild {
        return rebuild::rebuild(&home, &store, &info, args.json).await;
    }
    if let Some(path) = &args.svg {
        let svg = picture::Picture::of(&store, &info).await?.to_svg();
        std::fs::write(path, svg).with_context(|| format!("cannot write `{}`", path.display()))?;
        output::note(format!("the run as a picture: {}", path.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let at = args.at.unwrap_or(1);
    if at == 0 || at > info.last_seq.0 {
        let (seq, last) = (sojourn_memory::EventSeq(at), info.last_seq);
        return Err(sojourn_memory::Error::NoSuchRecord { run: info.id, seq, last }.into());
    }
    if !args.json && output::is_terminal() && stdin().is_terminal() {
        let film = logbook::Film::of(&store, &info, home.environments()).await?;
        let pace = (!args.step).then(|| args.speed.unwrap_or(SPEED));
        let title = format!("{} · {}", info.id, info.environment);
        tokio::task::spawn_blocking(move || viewer::show(&film, &title, at, pace)).await??;
        return Ok(ExitCode::SUCCESS);
    }
    if args.step {
        return Err(Failure::new(Kind::Usage, "`--step` needs a terminal")
            .hint("without it, the story is printed")
            .into());
    }
    story::tell(&store, &info, at, args.speed, args.json).await?;
    Ok(ExitCode::SUCCESS)
}
