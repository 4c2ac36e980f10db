use super::log::export::beside;
use crate::args::Speak;
use crate::error::{Failure, Kind};
use crate::output;
use anyhow::{Context as _, Result};
use sojourn_tools::builtin::{SpeakError, SpeakSettings};
use std::io::{self, Read as _, Write as _};

/// Limit on what is read from standard input, in bytes; the limit on characters is lower.
const MAX_STDIN_BYTES: u64 = 1 << 20;

/// Speaks a text, to a file or to standard output.
pub async fn speak(args: Speak) -> Result<()> {
    if args.out.is_none() && output::is_terminal() {
        return Err(Failure::new(Kind::Usage, "a sound is not for a terminal")
            .hint("name a file with `--out`, or redirect stdout")
            .into());
    }
    let text = if args.text == "-" {
        let mut text = String::new();
        io::stdin().take(MAX_STDIN_BYTES).read_to_string(&mut text).context("cannot read standard input")?;
        text
    } else {
        args.text
    };
    let settings = SpeakSettings {
        voice: args.voice,
        words_per_minute: args.words_per_minute,
        ..SpeakSettings::default()
    };
    let wav = settings.speak(&text).await.map_err(|error| {
        let kind = match error {
            SpeakError::Absent { .. } => Kind::NotFound,
            SpeakError::Unusable(_) => Kind::Usage,
            SpeakError::Failed { .. } => Kind::Failure,
        };
        Failure::new(kind, error.to_string())
    })?;
    let Some(path) = &args.out else { return Ok(output::binary(&wav)?) };
    let unwritable = || format!("cannot write `{}`", path.display());
    let mut file = beside(path).with_context(unwritable)?;
    file.write_all(&wav).with_context(unwritable)?;
    file.persist(path).with_context(unwritable)?;
    output::note(format!("wrote `{}`", path.display()));
    Ok(())
}
