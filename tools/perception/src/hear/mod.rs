//! Hearing as tools: `NAME_transcribe` and `NAME_speech`.

mod lengths;
mod listen;
mod math;
mod mel;
mod resample;
mod sound;
mod tokens;
mod vad;
mod weights;
mod whisper;

pub use listen::{EarError, EarFiles, Ears, Segment};
pub use sound::{MAX_SECONDS, SoundError, SoundReader};

use crate::kept::Kept;
use crate::networks::Networks;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sojourn_tools::outside::offload::{GiveUp, offload};
use sojourn_tools::schema::identifier;
use sojourn_tools::{CallContext, Content, Effects, FixedSource, FunctionTool, Media, Tool, ToolOutcome};
use std::sync::Arc;
use std::time::Duration;

/// How much longer the toolbox waits than the work may take, so that the error says which work took too long.
const GRACE: Duration = Duration::from_secs(5);

/// What a source of tools that hear works with.
#[derive(Debug, Clone)]
pub struct Hearing {
    /// The networks. They are loaded at the first call that needs them.
    pub files: EarFiles,
    /// Limit on the networks that stay loaded, in MiB, by the size of their files.
    pub memory_mib: u64,
    /// Time limit of a call.
    pub within: Duration,
}

/// A sound by its handle.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HearArguments {
    /// Handle of the sound.
    media: String,
}

/// What was heard in a sound.
#[derive(Serialize)]
struct Heard {
    segments: Vec<Segment>,
    /// Length of the sound.
    duration_ms: u64,
}

/// The source `name` of tools that hear. A result is kept by the content of its sound, so a sound is heard once.
pub fn hear(name: &str, hearing: Hearing) -> FixedSource {
    let limit = (hearing.within + GRACE).as_millis().try_into().unwrap_or(u64::MAX);
    let networks = Networks::new(hearing.memory_mib);
    let own = Arc::new(Own { hearing, networks, written: Kept::default(), found: Kept::default() });
    let effects = Effects { idempotent: true, ..Effects::default() };
    let tool = |verb: &str, about: &str, writes: bool| {
        let own = Arc::clone(&own);
        let tool = FunctionTool::new(
            &identifier(name, verb),
            about,
            effects,
            move |args: HearArguments, context: CallContext| {
                let own = Arc::clone(&own);
                async move { own.hear(&args, &context, writes).await }
            },
        );
        Arc::new(tool.with_timeout_ms(limit)) as Arc<dyn Tool>
    };
    let tools = vec![
        tool("transcribe", "writes down what is said in a sound, by its handle", true),
        tool("speech", "finds when somebody speaks in a sound, by its handle", false),
    ];
    FixedSource::new(name, tools)
}

struct Own {
    hearing: Hearing,
    networks: Networks,
    written: Kept<Heard>,
    found: Kept<Heard>,
}

impl Own {
    async fn hear(
        self: &Arc<Self>,
        args: &HearArguments,
        context: &CallContext,
        writes: bool,
    ) -> Result<ToolOutcome, String> {
        let (media, bytes) = context.media(&args.media).await.map_err(|error| error.to_string())?;
        if media.is_picture() {
            return Err(format!("{media} is no sound"));
        }
        let kept = if writes { &self.written } else { &self.found };
        let heard = match kept.get(&media.blob) {
            Some(known) => known,
            None => kept.put(media.blob.clone(), self.listen(&media, bytes, writes).await?),
        };
        let lines: Vec<String> = heard.segments.iter().map(line).collect();
        let message = if lines.is_empty() { "no speech was heard" } else { "" };
        let value = serde_json::to_value(&*heard).map_err(|error| error.to_string())?;
        let content = if lines.is_empty() { Vec::new() } else { vec![Content::text(lines.join("\n"))] };
        Ok(ToolOutcome { value: Some(value), content, about: vec![media], ..ToolOutcome::done(message) })
    }

    /// Listens on a thread of its own, within the time limit.
    async fn listen(
        self: &Arc<Self>,
        media: &Media,
        bytes: Arc<[u8]>,
        writes: bool,
    ) -> Result<Heard, String> {
        let (handle, own) = (media.handle(), Arc::clone(self));
        let what = format!("the sound {handle}");
        let work = move |wanted: &GiveUp| -> Result<Heard, String> {
            let mut sound = SoundReader::of(bytes).map_err(|error| error.to_string())?;
            let ears = own.ears(writes)?;
            let mut segments = Vec::new();
            let duration_ms = ears
                .listen(&mut sound, writes, &|| wanted.is_asked(), &mut |segment| segments.push(segment))
                .map_err(|error| error.to_string())?;
            Ok(Heard { segments, duration_ms })
        };
        let done = offload(&what, self.hearing.within, work).await;
        done.map_err(|error| error.to_string())?.map_err(|reason| format!("{handle}: {reason}"))
    }

    /// The networks; those that write down find speech, too.
    fn ears(&self, writes: bool) -> Result<Arc<Ears>, String> {
        let files = &self.hearing.files;
        let open = || Ears::open(files, writes).map_err(|error| error.to_string());
        match self.networks.known("writing") {
            Some(ears) => Ok(ears),
            None if writes => self.networks.get("writing", &[&files.voice, &files.writer], open),
            None => self.networks.get("finding", &[&files.voice], open),
        }
    }
}

/// `0:01.2–0:03.4 the words`
pub(crate) fn line(segment: &Segment) -> String {
    let Segment { start_ms, end_ms, text, .. } = segment;
    format!("{}–{} {text}", clock(*start_ms), clock(*end_ms)).trim_end().to_owned()
}

fn clock(ms: u64) -> String {
    let (seconds, tenths) = (ms / 1000, ms % 1000 / 100);
    match seconds / 3600 {
        0 => format!("{}:{:02}.{tenths}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}.{tenths}", seconds / 60 % 60, seconds % 60),
    }
}

/// `0:01.2–0:03.4 the words`
impl std::fmt::Display for Segment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&line(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sojourn_testkit::wav;
    use sojourn_tools::{CallLimits, MediaInMemory, MediaStore, ToolCall, Toolbox};
    use std::path::PathBuf;

    #[tokio::test]
    async fn what_cannot_be_heard_is_a_clear_failure() {
        let nowhere = PathBuf::from("/nowhere/at/all");
        let files = EarFiles {
            voice: nowhere.clone(),
            writer: nowhere.clone(),
            vocabulary: nowhere.clone(),
            settings: nowhere,
        };
        let source = hear("hear", Hearing { files, memory_mib: 1024, within: Duration::from_mins(1) });
        let toolbox = Toolbox::new(vec![Arc::new(source)], CallLimits::default());
        let store = Arc::new(MediaInMemory::default());
        let hear = async |bytes: Vec<u8>, name: &str| {
            let handle = store.put(bytes, "audio/wav", "mic").unwrap().handle();
            let args = json!({"media": handle}).as_object().cloned().unwrap();
            let context = CallContext { media: Some(store.clone()), ..CallContext::default() };
            toolbox.validate(&ToolCall { name: name.into(), args }).unwrap().run(context).await.message
        };
        assert!(hear(b"GIF89a\x03\0\x02\0\0\0\0;".to_vec(), "hear_speech").await.ends_with("is no sound"));
        let message = hear(b"OggS but nothing after it".to_vec(), "hear_transcribe").await;
        assert!(message.contains("no WAV, FLAC, MP3 or Ogg Vorbis"), "{message}");
        let message = hear(wav(8000, 1, [0; 800]), "hear_speech").await;
        assert!(message.contains("cannot read `/nowhere/at/all`"), "{message}");
    }

    #[test]
    fn times_are_shown_as_on_a_clock() {
        assert_eq!(clock(62_340), "1:02.3");
        assert_eq!(clock(3_723_900), "1:02:03.9");
    }
}
