use crate::media::MAX_MEDIA_BYTES;
use crate::subprocess::{ProcessTree, command};
use crate::{CallContext, Content, Effects, FixedSource, FunctionTool, Tool, ToolOutcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sojourn_subprocess::find;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The program that speaks, unless the settings name another.
const PROGRAM: &str = "espeak-ng";
/// Limit on a text, in characters: about six minutes of speech.
const MAX_TEXT: usize = 5000;
/// How much of the program's complaint an error quotes, in characters.
const QUOTED: usize = 200;
/// Lengths of the heads of a WAV file and of its first piece.
const RIFF_HEAD: usize = 12;
const PIECE_HEAD: usize = 8;

/// `[tools.NAME]` with `kind = "speak"`: speaks a text, by the program `espeak-ng` in a process of its own. The tool `NAME` gives a
/// sound in WAV.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpeakSettings {
    /// The program, which takes the options of `espeak-ng`. Default: `"espeak-ng"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The voice, of those that `espeak-ng --voices` lists: `"en-gb"`. Default: English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// Words a minute, 80 to 450. Default: 175.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words_per_minute: Option<u32>,
    /// Time limit of a call, in milliseconds. Default: 60,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// Why a text was not spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpeakError {
    /// The program is not on this machine.
    #[error(
        "`{program}`, which speaks, is not on this machine; on Debian or Ubuntu: apt-get install espeak-ng"
    )]
    Absent {
        /// Its name.
        program: String,
    },
    /// The text or a setting is unusable.
    #[error("{0}")]
    Unusable(String),
    /// The program failed.
    #[error("`{program}` failed: {reason}")]
    Failed {
        /// Its name.
        program: String,
        /// What it said, or the system.
        reason: String,
    },
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SpeakArguments {
    /// What is to be said.
    text: String,
}

impl SpeakSettings {
    /// Builds a source with one tool, `NAME`.
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn open(self, name: &str) -> Result<FixedSource, String> {
        self.options().map_err(|error| error.to_string())?;
        let limit = self.timeout_ms.unwrap_or(60_000);
        let settings = Arc::new(self);
        let source = name.to_owned();
        let call = move |args: SpeakArguments, context: CallContext| {
            let (settings, source) = (Arc::clone(&settings), source.clone());
            async move {
                let spoken = settings.speak(&args.text).await.map_err(|error| error.to_string())?;
                let sound = context.keep(spoken, "audio/wav", &source).map_err(|error| error.to_string())?;
                let value = match &sound {
                    Content::Media(media) => Some(media.handle().into()),
                    _ => None,
                };
                Ok::<_, String>(ToolOutcome { value, content: vec![sound], ..ToolOutcome::done("") })
            }
        };
        let effects = Effects { idempotent: true, ..Effects::default() };
        let tool = FunctionTool::new(name, "speaks a text and gives the sound", effects, call);
        Ok(FixedSource::new(name, vec![Arc::new(tool.with_timeout_ms(limit)) as Arc<dyn Tool>]))
    }

    /// The text as a WAV file of 16 bits. Dropping the future ends the program.
    ///
    /// # Errors
    /// [`SpeakError`].
    pub async fn speak(&self, text: &str) -> Result<Vec<u8>, SpeakError> {
        if text.trim().is_empty() {
            return Err(SpeakError::Unusable("there is no text to speak".to_owned()));
        }
        if text.chars().count() > MAX_TEXT {
            return Err(SpeakError::Unusable(format!("the text has more than {MAX_TEXT} characters")));
        }
        let program = self.program().to_owned();
        let here = Path::new("/");
        if find(OsStr::new(&program), here).is_err() {
            return Err(SpeakError::Absent { program });
        }
        let line: Vec<String> = [program.clone()].into_iter().chain(self.options()?).collect();
        run(&line, text).await
    }

    fn program(&self) -> &str {
        self.program.as_deref().unwrap_or(PROGRAM)
    }

    fn options(&self) -> Result<Vec<String>, SpeakError> {
        let mut options = vec!["--stdin".to_owned(), "--stdout".to_owned()];
        if let Some(voice) = &self.voice {
            let plain = |c: char| c.is_ascii_alphanumeric() || "+-_".contains(c);
            if voice.is_empty() || voice.starts_with('-') || !voice.chars().all(plain) {
                return Err(SpeakError::Unusable(format!(
                    "`{voice}` is no voice; `{PROGRAM} --voices` lists them"
                )));
            }
            options.extend(["-v".to_owned(), voice.clone()]);
        }
        if let Some(words) = self.words_per_minute {
            if !(80..=450).contains(&words) {
                return Err(SpeakError::Unusable(format!("`words_per_minute` is {words}; choose 80 to 450")));
            }
            options.extend(["-s".to_owned(), words.to_string()]);
        }
        Ok(options)
    }
}

/// Runs the program of `line`, which reads the text and writes a WAV file.
async fn run(line: &[String], text: &str) -> Result<Vec<u8>, SpeakError> {
    let program = line.first().cloned().unwrap_or_default();
    let failed = |reason: String| SpeakError::Failed { program: program.clone(), reason };
    let io = |error: std::io::Error| failed(error.to_string());
    let mut command = command(line, &[], Path::new("/")).map_err(io)?;
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().map_err(io)?;
    // Dropping the tree ends the program.
    let _tree = ProcessTree::of(child.id());
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(failed("its output is not captured".to_owned()));
    };
    let (mut sound, mut said) = (Vec::new(), Vec::new());
    let (most, quoted) = (MAX_MEDIA_BYTES as u64 + 1, QUOTED as u64 * 4);
    let (mut stdout, mut stderr) = (stdout.take(most), stderr.take(quoted));
    let tell = async {
        // A program that has failed reads nothing; its exit code says so.
        let _ = stdin.write_all(text.as_bytes()).await;
        drop(stdin);
    };
    let ((), heard, complained) =
        tokio::join!(tell, stdout.read_to_end(&mut sound), stderr.read_to_end(&mut said));
    heard.and(complained).map_err(io)?;
    if sound.len() > MAX_MEDIA_BYTES {
        return Err(SpeakError::Unusable("the text takes too long to speak".to_owned()));
    }
    let status = child.wait().await.map_err(io)?;
    if !status.success() {
        let said: String = String::from_utf8_lossy(&said).trim().chars().take(QUOTED).collect();
        return Err(failed(if said.is_empty() { status.to_string() } else { said }));
    }
    finished(sound).ok_or_else(|| failed("it gave no sound".to_owned()))
}

/// The WAV file with its true lengths: a program that writes to a pipe does not know them when it writes the head. `None` where it is
/// no WAV file, or silent for want of samples.
fn finished(mut wav: Vec<u8>) -> Option<Vec<u8>> {
    if !wav.starts_with(b"RIFF") || wav.get(8..RIFF_HEAD) != Some(b"WAVE") {
        return None;
    }
    let whole = u32::try_from(wav.len() - PIECE_HEAD).ok()?;
    let mut at = RIFF_HEAD;
    loop {
        let head = wav.get(at..at + PIECE_HEAD)?;
        if head.starts_with(b"data") {
            break;
        }
        let length = u32::from_le_bytes(head[4..].try_into().ok()?) as usize;
        at = at.checked_add(PIECE_HEAD)?.checked_add(length)?;
    }
    let samples = u32::try_from(wav.len() - at - PIECE_HEAD).ok().filter(|samples| *samples > 0)?;
    wav[4..8].copy_from_slice(&whole.to_le_bytes());
    wav[at + 4..at + PIECE_HEAD].copy_from_slice(&samples.to_le_bytes());
    Some(wav)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::described;
    use crate::{CallLimits, MediaInMemory, ToolCall, Toolbox};
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt as _;

    /// One second of silence as a program writes it to a pipe.
    const SPEAKS: &str = "#!/bin/sh\n[ \"$1 $2\" = '--stdin --stdout' ] || exit 9\ncat >/dev/null\n\
        printf 'RIFF\\377\\377\\377\\177WAVEfmt \\020\\000\\000\\000\\001\\000\\001\\000\\100\\037\\000\\000\\200\\076\\000\\000\\002\\000\\020\\000data\\377\\377\\377\\177'\n\
        head -c 16000 /dev/zero\n";

    fn speaker(folder: &Path, script: &str) -> SpeakSettings {
        let program = folder.join("speaker");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        SpeakSettings { program: Some(program.to_str().unwrap().to_owned()), ..SpeakSettings::default() }
    }

    #[tokio::test]
    async fn a_text_becomes_a_sound_with_a_handle_and_its_true_length() {
        let here = tempfile::tempdir().unwrap();
        let source = speaker(here.path(), SPEAKS).open("speak").unwrap();
        let toolbox = Toolbox::new(vec![Arc::new(source)], CallLimits::default());
        let store: Arc<MediaInMemory> = Arc::default();
        let context = CallContext { media: Some(store), ..CallContext::default() };
        let args = json!({"text": "--help; hello"}).as_object().cloned().unwrap();
        let outcome = toolbox.validate(&ToolCall { name: "speak".into(), args }).unwrap().run(context).await;
        assert!(outcome.ok, "{}", outcome.message);
        let [Content::Media(media)] = &outcome.content[..] else { panic!("{:?}", outcome.content) };
        assert_eq!((media.mime.as_str(), media.duration_ms), ("audio/wav", Some(1000)));
        assert_eq!(outcome.value, Some(json!(media.handle())));
    }

    #[tokio::test]
    async fn an_absent_or_failing_program_and_unusable_texts_are_clear_errors() {
        let here = tempfile::tempdir().unwrap();
        let absent = SpeakSettings { program: Some("no-such-speaker".into()), ..SpeakSettings::default() };
        let said =
            async |settings: &SpeakSettings, text: &str| settings.speak(text).await.unwrap_err().to_string();
        assert!(said(&absent, "hello").await.contains("apt-get install espeak-ng"));
        let failing = speaker(here.path(), "#!/bin/sh\necho 'no voice' >&2\nexit 3\n");
        assert!(said(&failing, "hello").await.ends_with("failed: no voice"));
        assert!(said(&failing, " \n").await.contains("no text"));
        assert!(said(&failing, &"a".repeat(5001)).await.contains("more than 5000"));
        let silent = speaker(here.path(), "#!/bin/sh\ncat >/dev/null\n");
        assert!(said(&silent, "hello").await.ends_with("gave no sound"));
        for settings in [
            SpeakSettings { voice: Some("-f/etc/passwd".into()), ..SpeakSettings::default() },
            SpeakSettings { words_per_minute: Some(5000), ..SpeakSettings::default() },
        ] {
            assert!(settings.open("speak").is_err());
        }
    }

    #[test]
    fn a_head_that_lies_is_mended_and_what_is_no_wav_is_refused() {
        assert_eq!(finished(b"RIFF....AVI LIST".to_vec()), None);
        assert_eq!(finished(b"RIFF\0\0\0\0WAVEdata\0\0\0\0".to_vec()), None);
        assert_eq!(finished(b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff".to_vec()), None);
        let wav = finished(b"RIFF\0\0\0\0WAVEdata\xff\xff\xff\xff12".to_vec()).unwrap();
        assert_eq!(wav, b"RIFF\x0e\0\0\0WAVEdata\x02\0\0\x0012");
        assert_eq!(described(&wav, "", "x").mime, "audio/wav");
    }
}
