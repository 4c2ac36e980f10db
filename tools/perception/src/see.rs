//! Seeing as tools: `NAME_look`, `NAME_read`, `NAME_find` and `NAME_compare`, with an encoder `NAME_similar`,
//! `NAME_recognise` and `NAME_teach`, and with a describer `NAME_describe` and `NAME_ask`.

mod describe;
mod teach;
mod words;

pub use describe::{DESCRIBE, Describer};
pub use teach::ImageMemory;

use crate::kept::Kept;
use crate::networks::Networks;
use crate::{Comparison, Encoder, Line, Picture, Reader, ReaderFiles, compare, find, recognised};
use async_trait::async_trait;
use describe::{AskArguments, DescribeArguments};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sojourn_tools::media::{MAX_MEDIA_OF_A_RESULT, described};
use sojourn_tools::outside::offload::{GiveUp, offload};
use sojourn_tools::schema::identifier;
use sojourn_tools::{
    CallContext, Content, Effects, FixedSource, Frame, FunctionTool, Media, NoArguments, PictureReader, Tool,
    ToolOutcome,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use teach::TeachArguments;
use words::{ClassifyArguments, MatchArguments, SimilarArguments, Words};

/// How much longer the toolbox waits than the work may take, so that the error says which work took too long.
const GRACE: Duration = Duration::from_secs(5);
/// Limit on the examples of one recognition.
const MAX_EXAMPLES: usize = 256;
/// Boxes of a comparison that its text lists.
const LISTED: usize = 20;

/// What a source of tools that see works with.
#[derive(Debug, Clone)]
pub struct Eyes {
    /// The networks that read text. They are loaded at the first call that needs them.
    pub files: ReaderFiles,
    /// The network that compares what pictures show; without one these tools are not offered. It is loaded at the first call.
    pub encoder: Option<PathBuf>,
    /// Folder of the dual encoder; without one `NAME_classify` is not offered.
    pub dual: Option<PathBuf>,
    /// Folder of the fusion encoder; without one `NAME_match` is not offered.
    pub matcher: Option<PathBuf>,
    /// Keeps the examples of `NAME_teach`.
    pub images: Option<Arc<dyn ImageMemory>>,
    /// The model that answers questions about pictures; without one these tools are not offered.
    pub describer: Option<Arc<dyn Describer>>,
    /// Limit on the networks that stay loaded, in MiB, by the size of their files.
    pub memory_mib: u64,
    /// Time limit of a call.
    pub within: Duration,
}

/// Media by its handle.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadArguments {
    /// Handle of the picture.
    media: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FindArguments {
    /// Handle of the picture.
    media: String,
    /// The words, in any case.
    text: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CompareArguments {
    /// Handle of the earlier picture.
    a: String,
    /// Handle of the later picture.
    b: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RecogniseArguments {
    /// Handle of the picture.
    media: String,
    /// What it may be: labels, each with handles of example pictures. Without them: the labels that were taught.
    #[serde(default)]
    examples: Option<BTreeMap<String, Vec<String>>>,
}

/// The source `name` of tools that see. A result is kept by the content of its pictures, so a picture is read once.
pub fn see(name: &str, eyes: Eyes) -> FixedSource {
    let (recognises, describes) = (eyes.encoder.is_some(), eyes.describer.is_some());
    let (classifies, matches) = (eyes.dual.is_some(), eyes.matcher.is_some());
    let sight = Arc::new(Sight::new(eyes));
    let limit = (sight.eyes.within + GRACE).as_millis().try_into().unwrap_or(u64::MAX);
    let mut tools = Vec::new();
    // Each tool calls the method of its name.
    macro_rules! offer {
        ($method:ident, $Arguments:ty, $about:literal) => {
            offer!($method, $Arguments, $about, Effects { idempotent: true, ..Effects::default() });
        };
        ($method:ident, $Arguments:ty, $about:literal, writes) => {
            offer!(
                $method,
                $Arguments,
                $about,
                Effects { idempotent: true, write: true, ..Effects::default() }
            );
        };
        ($method:ident, $Arguments:ty, $about:literal, $effects:expr) => {
            let own = Arc::clone(&sight);
            let call = move |args: $Arguments, context: CallContext| {
                let sight = Arc::clone(&own);
                async move { sight.$method(&args, &context).await }
            };
            let verb = stringify!($method).trim_start_matches("r#");
            let tool = FunctionTool::new(&identifier(name, verb), $about, $effects, call);
            tools.push(Arc::new(tool.with_timeout_ms(limit)) as Arc<dyn Tool>);
        };
    }
    offer!(read, ReadArguments, "reads the text in a picture, by its handle");
    offer!(find, FindArguments, "finds where a text stands in a picture, by its handle");
    offer!(
        compare,
        CompareArguments,
        "shows what differs between two pictures of one size, by their handles"
    );
    offer!(look, NoArguments, "gives the handle of the latest picture of the world");
    if recognises || classifies {
        offer!(
            similar,
            SimilarArguments,
            "says how similar a picture is to another one, or to a text, in what it shows, from -1 to 1"
        );
    }
    if classifies {
        offer!(classify, ClassifyArguments, "says which label fits a picture best, of labels in words");
    }
    if matches {
        offer!(r#match, MatchArguments, "says how probable it is that a sentence belongs to a picture");
    }
    if recognises {
        offer!(recognise, RecogniseArguments, "says which label a picture fits best, by examples of each");
        offer!(teach, TeachArguments, "keeps pictures as examples of a label, for all later runs", writes);
    }
    if describes {
        offer!(describe, DescribeArguments, "describes what a picture shows, by its handle");
        offer!(ask, AskArguments, "answers a question about a picture, by its handle");
    }
    FixedSource::new(name, tools)
}

/// Reads the text in pictures, outside of any run: for a world whose state has the text in its picture.
pub fn picture_reader(eyes: Eyes) -> Arc<dyn PictureReader> {
    Arc::new(SharedSight(Arc::new(Sight::new(eyes))))
}

struct Sight {
    eyes: Eyes,
    networks: Networks,
    read: Kept<Vec<Line>>,
    compared: Kept<Comparison>,
    /// Features.
    encoded: Kept<Vec<f32>>,
    /// Answers to questions.
    answered: Kept<String>,
    words: Words,
}

type Bytes = Arc<[u8]>;

/// Sight that is shared by the calls of one reader.
struct SharedSight(Arc<Sight>);

#[async_trait]
impl PictureReader for SharedSight {
    async fn read(&self, picture: Frame) -> Result<String, String> {
        let media = described(&picture.bytes, &picture.mime, "world");
        let lines = self.0.lines(&media, picture.bytes.into()).await?;
        let words: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        Ok(words.join("\n"))
    }
}

impl Sight {
    fn new(eyes: Eyes) -> Self {
        Self {
            networks: Networks::new(eyes.memory_mib),
            eyes,
            read: Kept::default(),
            compared: Kept::default(),
            encoded: Kept::default(),
            answered: Kept::default(),
            words: Words::default(),
        }
    }

    async fn read(
        self: &Arc<Self>,
        args: &ReadArguments,
        context: &CallContext,
    ) -> Result<ToolOutcome, String> {
        let (media, bytes) = picture(&args.media, context).await?;
        let lines = self.lines(&media, bytes).await?;
        let words: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        let text = words.join("\n");
        let message = if lines.is_empty() { "no text was found" } else { "" };
        let value = json!({"text": text, "lines": &*lines});
        Ok(outcome(message, value, text, vec![media]))
    }

    async fn find(
        self: &Arc<Self>,
        args: &FindArguments,
        context: &CallContext,
    ) -> Result<ToolOutcome, String> {
        let (media, bytes) = picture(&args.media, context).await?;
        let found = find(&self.lines(&media, bytes).await?, &args.text);
        if found.is_empty() {
            let words: String = args.text.chars().take(80).collect();
            let handle = media.handle();
            let failed = ToolOutcome::failed(format!("`{words}` does not stand in {handle}"));
            return Ok(ToolOutcome { about: vec![media], ..failed });
        }
        let shown: Vec<String> =
            found.iter().map(|found| format!("{} in \"{}\"", found.area, found.line)).collect();
        let matches: Vec<Value> = found
            .iter()
            .map(|found| {
                let (x, y) = found.area.middle();
                json!({"line": found.line, "box": found.area, "confidence": found.confidence, "middle": {"x": x, "y": y}})
            })
            .collect();
        Ok(outcome("", json!({"matches": matches}), shown.join("\n"), vec![media]))
    }

    async fn compare(
        self: &Arc<Self>,
        args: &CompareArguments,
        context: &CallContext,
    ) -> Result<ToolOutcome, String> {
        let (one, one_bytes) = picture(&args.a, context).await?;
        let (other, other_bytes) = picture(&args.b, context).await?;
        let key = format!("{} {}", one.blob, other.blob);
        let comparison = if let Some(known) = self.compared.get(&key) {
            known
        } else {
            let compared = self.work(&one, move |_, _| {
                let decode = |bytes: &Bytes| Picture::decode(bytes).map_err(|error| error.to_string());
                compare(&decode(&one_bytes)?, &decode(&other_bytes)?).map_err(|error| error.to_string())
            });
            self.compared.put(key, compared.await?)
        };
        let boxes = &comparison.boxes;
        let mut text = match boxes.len() {
            0 => "nothing differs".to_owned(),
            1 => format!("one box differs, {:.2} % of the pixels:", comparison.changed * 100.0),
            count => format!("{count} boxes differ, {:.2} % of the pixels:", comparison.changed * 100.0),
        };
        for area in boxes.iter().take(LISTED) {
            let _ = write!(text, "\n{area}");
        }
        let value = serde_json::to_value(&*comparison).map_err(|error| error.to_string())?;
        Ok(outcome("", value, text, vec![one, other]))
    }

    #[allow(clippy::unused_async, reason = "tools are asynchronous functions")]
    async fn look(self: &Arc<Self>, _: &NoArguments, context: &CallContext) -> Result<ToolOutcome, String> {
        let frame = context.media.as_ref().and_then(|media| media.frame());
        let frame = frame.ok_or("there is no picture of the world; `run.frames = \"step\"` takes them")?;
        let value = json!(frame.handle());
        Ok(ToolOutcome { value: Some(value), content: vec![Content::Media(frame)], ..ToolOutcome::done("") })
    }

    async fn recognise(
        self: &Arc<Self>,
        args: &RecogniseArguments,
        context: &CallContext,
    ) -> Result<ToolOutcome, String> {
        let Some(examples) = &args.examples else { return self.recognise_taught(&args.media, context).await };
        let count: usize = examples.values().map(Vec::len).sum();
        if count == 0 {
            return Err("there are no examples: give at least one picture for each label".to_owned());
        }
        if count > MAX_EXAMPLES {
            return Err(format!("there are {count} examples; the limit is {MAX_EXAMPLES}"));
        }
        let (media, features) = self.features(&args.media, context).await?;
        let (mut about, mut known) = (vec![media], Vec::with_capacity(examples.len()));
        for (label, handles) in examples {
            let mut examples = Vec::with_capacity(handles.len());
            for handle in handles {
                let (media, features) = self.features(handle, context).await?;
                if about.len() < MAX_MEDIA_OF_A_RESULT && !about.contains(&media) {
                    about.push(media);
                }
                examples.push(features);
            }
            known.push((label.as_str(), examples));
        }
        let borrowed =
            known.iter().map(|(label, all)| (*label, all.iter().map(|one| one.as_slice()).collect()));
        Ok(labelled(&recognised(&features, borrowed), about))
    }

    /// Recognises a picture by the examples of earlier calls and runs.
    async fn recognise_taught(
        self: &Arc<Self>,
        handle: &str,
        context: &CallContext,
    ) -> Result<ToolOutcome, String> {
        let taught = self.images()?.taught().await?;
        if taught.is_empty() {
            return Err("nothing was taught yet: give examples of each label, or teach some first".to_owned());
        }
        let (media, features) = self.features(handle, context).await?;
        let borrowed = taught
            .iter()
            .map(|(label, all)| (label.as_str(), all.iter().map(Vec::as_slice).collect::<Vec<_>>()));
        Ok(labelled(&recognised(&features, borrowed), vec![media]))
    }

    /// The features of a picture by its handle.
    async fn features(
        self: &Arc<Self>,
        handle: &str,
        context: &CallContext,
    ) -> Result<(Media, Arc<Vec<f32>>), String> {
        let (media, bytes) = picture(handle, context).await?;
        if let Some(known) = self.encoded.get(&media.blob) {
            return Ok((media, known));
        }
        let features = self.work(&media, move |sight, _| {
            let picture = Picture::decode(&bytes).map_err(|error| error.to_string())?;
            sight.encoder()?.features(&picture).map_err(|error| error.to_string())
        });
        let features = self.encoded.put(media.blob.clone(), features.await?);
        Ok((media, features))
    }

    fn encoder(&self) -> Result<Arc<Encoder>, String> {
        let path = self.eyes.encoder.as_ref().ok_or("no encoder is set")?;
        self.networks.get("encoder", &[path], || Encoder::open(path).map_err(|error| error.to_string()))
    }

    /// The lines of text in a picture.
    async fn lines(self: &Arc<Self>, media: &Media, bytes: Bytes) -> Result<Arc<Vec<Line>>, String> {
        if let Some(known) = self.read.get(&media.blob) {
            return Ok(known);
        }
        let lines = self.work(media, move |sight, wanted| {
            let picture = Picture::decode(&bytes).map_err(|error| error.to_string())?;
            let reader = sight.reader()?;
            reader.read(&picture, &|| wanted.is_asked()).map_err(|error| error.to_string())
        });
        Ok(self.read.put(media.blob.clone(), lines.await?))
    }

    /// Works on a picture on a thread of its own, within the time limit.
    async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        media: &Media,
        work: impl FnOnce(&Self, &GiveUp) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let (handle, sight) = (media.handle(), Arc::clone(self));
        let what = format!("the picture {handle}");
        let done = offload(&what, self.eyes.within, move |wanted| work(&sight, wanted)).await;
        done.map_err(|error| error.to_string())?.map_err(|reason| format!("{handle}: {reason}"))
    }

    fn reader(&self) -> Result<Arc<Reader>, String> {
        let files = &self.eyes.files;
        let open = || Reader::open(files).map_err(|error| error.to_string());
        self.networks.get("reader", &[&files.detector, &files.recogniser], open)
    }
}

/// The picture that a handle means, and its bytes.
async fn picture(handle: &str, context: &CallContext) -> Result<(Media, Bytes), String> {
    let (media, bytes) = context.media(handle).await.map_err(|error| error.to_string())?;
    if media.is_picture() { Ok((media, bytes)) } else { Err(format!("{media} is no picture")) }
}

/// Labels with their similarities, the best first.
fn labelled(found: &[(&str, f32)], about: Vec<Media>) -> ToolOutcome {
    let text: Vec<String> = found.iter().map(|(label, score)| format!("{label}: {score:.3}")).collect();
    let labels: Vec<Value> =
        found.iter().map(|(label, score)| json!({"label": label, "similarity": score})).collect();
    let value = json!({"label": found.first().map(|(label, _)| *label), "labels": labels});
    outcome("", value, text.join("\n"), about)
}

fn outcome(message: &str, value: Value, text: String, about: Vec<Media>) -> ToolOutcome {
    let content = if text.is_empty() { Vec::new() } else { vec![Content::text(text)] };
    ToolOutcome { value: Some(value), content, about, ..ToolOutcome::done(message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, Rgb, RgbImage};
    use sojourn_tools::{CallLimits, MediaInMemory, MediaStore, ToolCall, Toolbox};
    use std::io::Cursor;

    fn eyes() -> (Toolbox, Arc<MediaInMemory>) {
        eyes_with(None, Duration::from_mins(1))
    }

    pub(super) fn eyes_with(
        describer: Option<Arc<dyn Describer>>,
        within: Duration,
    ) -> (Toolbox, Arc<MediaInMemory>) {
        blind_eyes(describer, None, within)
    }

    pub(super) fn eyes_that_remember(images: Option<Arc<dyn ImageMemory>>) -> (Toolbox, Arc<MediaInMemory>) {
        blind_eyes(None, images, Duration::from_mins(1))
    }

    /// Eyes with the small networks of the fixtures that compare pictures with words.
    pub(super) fn eyes_of_words() -> (Toolbox, Arc<MediaInMemory>) {
        let fixtures = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let nowhere = std::path::PathBuf::from("/nowhere/at/all");
        let files =
            ReaderFiles { detector: nowhere.clone(), recogniser: nowhere.clone(), dictionary: nowhere };
        let eyes = Eyes {
            files,
            encoder: None,
            dual: Some(fixtures.join("clip")),
            matcher: Some(fixtures.join("blip")),
            images: None,
            describer: None,
            memory_mib: 1024,
            within: Duration::from_mins(1),
        };
        (Toolbox::new(vec![Arc::new(see("see", eyes))], CallLimits::default()), Arc::default())
    }

    /// Eyes whose networks are missing.
    fn blind_eyes(
        describer: Option<Arc<dyn Describer>>,
        images: Option<Arc<dyn ImageMemory>>,
        within: Duration,
    ) -> (Toolbox, Arc<MediaInMemory>) {
        let nowhere = std::path::PathBuf::from("/nowhere/at/all");
        let files =
            ReaderFiles { detector: nowhere.clone(), recogniser: nowhere.clone(), dictionary: nowhere };
        let (dual, matcher) = (None, None);
        let encoder = Some("/nowhere/else".into());
        let eyes = Eyes { files, encoder, dual, matcher, images, describer, memory_mib: 1024, within };
        let source = see("see", eyes);
        (Toolbox::new(vec![Arc::new(source)], CallLimits::default()), Arc::default())
    }

    pub(super) async fn call(
        toolbox: &Toolbox,
        store: &Arc<MediaInMemory>,
        name: &str,
        args: Value,
    ) -> ToolOutcome {
        let Value::Object(args) = args else { panic!("not an object") };
        let context = CallContext { media: Some(store.clone()), ..CallContext::default() };
        toolbox.validate(&ToolCall { name: name.into(), args }).unwrap().run(context).await
    }

    pub(super) fn png(dot: bool) -> Vec<u8> {
        let mut picture = RgbImage::from_pixel(40, 30, Rgb([255; 3]));
        if dot {
            picture.put_pixel(10, 20, Rgb([0; 3]));
        }
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[tokio::test]
    async fn pictures_are_compared_by_their_handles() {
        let (toolbox, store) = eyes();
        let keep = |dot| store.put(png(dot), "image/png", "camera").unwrap();
        let (clean, dotted) = (keep(false), keep(true));
        let args = json!({"a": clean.handle(), "b": dotted.handle()});
        for _ in 0..2 {
            let outcome = call(&toolbox, &store, "see_compare", args.clone()).await;
            assert_eq!(outcome.to_text(), "one box differs, 0.08 % of the pixels:\n10,20 1x1");
            assert_eq!(outcome.value.unwrap()["boxes"], json!([{"x": 10, "y": 20, "width": 1, "height": 1}]));
            assert_eq!(outcome.about, [clean.clone(), dotted.clone()]);
        }
        let args = json!({"a": clean.handle(), "b": clean.handle()});
        assert_eq!(call(&toolbox, &store, "see_compare", args).await.to_text(), "nothing differs");
    }

    #[tokio::test]
    async fn a_wrong_handle_a_sound_a_damaged_picture_and_a_missing_model_are_clear_failures() {
        let (toolbox, store) = eyes();
        let read =
            async |handle: &str| call(&toolbox, &store, "see_read", json!({"media": handle})).await.message;
        assert!(read("photo.png").await.contains("`photo.png` is no handle"));
        assert!(read("media:0123456789abcdef").await.contains("no tool has brought in"));
        let sound = store.put(b"OggS\0...".to_vec(), "image/png", "mic").unwrap();
        assert!(read(&sound.handle()).await.ends_with("audio/ogg, 8 bytes is no picture"));
        let damaged = store.put(png(true)[..40].to_vec(), "", "camera").unwrap();
        let message = read(&damaged.handle()).await;
        assert!(
            message.starts_with(&format!("{}: the PNG file cannot be decoded", damaged.handle())),
            "{message}"
        );
        let whole = store.put(png(true), "", "camera").unwrap();
        assert!(read(&whole.handle()).await.contains("cannot read `/nowhere/at/all`"));
        let message = call(&toolbox, &store, "see_look", json!({})).await.message;
        assert!(message.contains("`run.frames = \"step\"`"), "{message}");
        let examples = |examples: Value| json!({"media": whole.handle(), "examples": examples});
        let message = call(&toolbox, &store, "see_recognise", examples(json!({"a": []}))).await.message;
        assert!(message.contains("no examples"), "{message}");
        let message =
            call(&toolbox, &store, "see_recognise", examples(json!({"a": [whole.handle()]}))).await.message;
        assert!(message.contains("cannot read `/nowhere/else`"), "{message}");
    }
}
