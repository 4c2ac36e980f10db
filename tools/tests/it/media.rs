//! Pictures and sounds become handles, whatever tool brings them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::json;
use sojourn_tools::media::MAX_MEDIA_BYTES;
use sojourn_tools::{
    CallContext, CallLimits, Content, Effects, FixedSource, FunctionTool, Media, MediaInMemory, MediaStore,
    NoArguments, SourceSettings, Tool, ToolCall, ToolOutcome, Toolbox,
};
use std::path::Path;
use std::sync::Arc;

/// A GIF of 3 × 2 pixels, as far as its head goes.
const GIF: &[u8] = b"GIF89a\x03\0\x02\0\0\0\0;";
const GIF_BASE64: &str = "R0lGODlhAwACAAAAADs=";

fn giving(outcome: ToolOutcome) -> Toolbox {
    let give = move |_: NoArguments, _| std::future::ready(outcome.clone());
    let tool: Arc<dyn Tool> = Arc::new(FunctionTool::new("camera", "", Effects::default(), give));
    Toolbox::new(vec![Arc::new(FixedSource::new("camera", vec![tool]))], CallLimits::default())
}

async fn call(
    toolbox: &Toolbox,
    name: &str,
    args: serde_json::Value,
    store: &Arc<MediaInMemory>,
) -> ToolOutcome {
    let call = ToolCall { name: name.into(), args: args.as_object().unwrap().clone() };
    let context = CallContext { media: Some(store.clone()), ..CallContext::default() };
    toolbox.validate(&call).unwrap().run(context).await
}

fn image(data: &str) -> Content {
    Content::Image { data: data.into(), mime: "image/png".into() }
}

#[tokio::test]
async fn a_picture_in_base64_is_kept_and_shown_by_its_handle() {
    let store = Arc::new(MediaInMemory::default());
    let outcome =
        ToolOutcome { content: vec![image(GIF_BASE64), Content::text("snap")], ..ToolOutcome::done("") };
    let outcome = call(&giving(outcome), "camera", json!({}), &store).await;
    let [Content::Media(media), Content::Text { .. }] = &outcome.content[..] else { panic!("{outcome:?}") };
    // It lied about its kind.
    assert_eq!((media.mime.as_str(), media.width, media.height), ("image/gif", Some(3), Some(2)));
    assert_eq!(&*store.bytes(media).await.unwrap(), GIF);
    let text = outcome.to_text();
    assert_eq!(text, format!("[{}, image/gif, 3×2]\nsnap", media.handle()));
    assert!(!serde_json::to_string(&outcome).unwrap().contains(GIF_BASE64));
}

#[tokio::test]
async fn damaged_made_up_and_excess_pictures_are_left_out_and_the_rest_stays() {
    let store = Arc::new(MediaInMemory::default());
    let made_up = Media {
        blob: "0".repeat(64),
        mime: "image/png".into(),
        bytes: 1,
        width: None,
        height: None,
        duration_ms: None,
        source: "evil".into(),
    };
    let mut content = vec![image("not base64!"), Content::Media(made_up.clone()), Content::text("kept")];
    content.extend(std::iter::repeat_n(image(GIF_BASE64), 40));
    let outcome = ToolOutcome { content, about: vec![made_up], ..ToolOutcome::done("") };
    let outcome = call(&giving(outcome), "camera", json!({}), &store).await;
    let text = outcome.to_text();
    assert!(text.starts_with("[a picture was left out: its base64 is damaged"), "{text}");
    assert!(text.contains("there is no `media:0000") && text.contains("\nkept\n"), "{text}");
    assert!(text.ends_with("[a picture was left out: a result has at most 32]"), "{text}");
    assert!(outcome.about.is_empty());
}

fn files(root: &Path) -> Toolbox {
    let settings: SourceSettings = serde_json::from_value(json!({"kind": "files", "root": "."})).unwrap();
    Toolbox::new(vec![settings.open("it", root, None, None).unwrap()], CallLimits::default())
}

#[tokio::test]
async fn a_picture_among_files_is_read_as_a_handle_and_a_text_as_text() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(place.path().join(name), bytes).unwrap();
    write("photo.txt", GIF);
    write("about.txt", b"GIF89a is a format");
    write("other.bin", &[0xfe, 0xff, 0]);
    // Larger than a text may be, and than a result: only the handle is the result.
    write("large.gif", &[GIF, &vec![0; 11 << 20]].concat());
    write("huge.gif", &[GIF, &vec![0; MAX_MEDIA_BYTES]].concat());
    let (toolbox, store) = (files(place.path()), Arc::new(MediaInMemory::default()));
    let read = async |path: &str| call(&toolbox, "it_read", json!({"path": path}), &store).await;
    let outcome = read("photo.txt").await;
    let [Content::Media(media)] = &outcome.content[..] else { panic!("{outcome:?}") };
    assert_eq!((media.source.as_str(), &*store.bytes(media).await.unwrap()), ("it_read", GIF));
    assert_eq!(read("about.txt").await.to_text(), "GIF89a is a format");
    assert!(read("other.bin").await.message.contains("neither a text file nor"));
    assert!(read("large.gif").await.ok);
    assert!(read("huge.gif").await.message.contains("the limit is 25165824"));
    // Where nothing keeps them, the bytes themselves are the result.
    let ready = toolbox.validate(&ToolCall {
        name: "it_read".into(),
        args: json!({"path": "photo.txt"}).as_object().unwrap().clone(),
    });
    let outcome = ready.unwrap().run(CallContext::default()).await;
    assert_eq!(outcome.content, [Content::Image { data: GIF_BASE64.into(), mime: "image/gif".into() }]);
}
