//! Pictures shown to a model in process. `SOJOURN_TEST_SHAPES` names a folder that `scripts/shapes_projector.py` has made for the catalogue's
//! `smollm2-135m-instruct`: a projector, and pictures of coloured shapes. Without it the tests print a note and pass.

#![cfg(feature = "llama")]

mod with_model {
    #![allow(
        clippy::unwrap_used,
        clippy::print_stdout,
        reason = "a test that cannot go on fails; one that is skipped says so"
    )]

    use sojourn_controller::llama::{LlamaController, LlamaOptions};
    use sojourn_controller::models::Models;
    use sojourn_controller::{
        Cancel, Constraint, Controller, ControllerError, Lens, Message, Part, PictureRef, PictureTokens,
        Pixels, Reply, Request,
    };
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    /// One test at a time computes.
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    /// Tokens of a picture: 16 × 16 patches, four of them together, and three for each of the marks `<img>` and `</img>` around.
    const ROWS: u32 = 64 + 6;
    const SHAPES: [&str; 5] = ["circle", "square", "triangle", "star", "cross"];

    /// Reads PNG files of 8-bit RGB.
    #[derive(Debug)]
    struct Png;

    impl Lens for Png {
        fn fit(&self, _: &[u8], _: u32) -> Result<Vec<u8>, String> {
            Err("a model in process takes pixels".into())
        }

        fn pixels(&self, bytes: &[u8], _: u32) -> Result<Pixels, String> {
            if let Some(size) = bytes.strip_prefix(b"white ") {
                let size = String::from_utf8_lossy(size).into_owned();
                let (width, height) = size.split_once('x').ok_or("no size")?;
                let side = |side: &str| side.parse::<u32>().map_err(|error| error.to_string());
                let (width, height) = (side(width)?, side(height)?);
                return Ok(Pixels { width, height, rgb: vec![255; (width * height * 3) as usize] });
            }
            let text = |error: &dyn std::fmt::Display| error.to_string();
            let mut reader =
                png::Decoder::new(std::io::Cursor::new(bytes)).read_info().map_err(|error| text(&error))?;
            let mut rgb = vec![0; reader.output_buffer_size().ok_or("too large")?];
            let info = reader.next_frame(&mut rgb).map_err(|error| text(&error))?;
            Ok(Pixels { width: info.width, height: info.height, rgb })
        }
    }

    fn files() -> Option<(PathBuf, PathBuf)> {
        let model = Models::open(None).ok()?.path("smollm2-135m-instruct").ok();
        let shapes = std::env::var_os("SOJOURN_TEST_SHAPES").map(PathBuf::from);
        if model.is_none() || shapes.is_none() {
            println!(
                "skipped: `SOJOURN_TEST_SHAPES` is not set or `smollm2-135m-instruct` is not downloaded"
            );
        }
        Some((model?, shapes?))
    }

    fn options(shapes: &Path) -> LlamaOptions {
        LlamaOptions {
            context_tokens: 1024,
            max_candidates: 1,
            threads: Some(1),
            prefill_threads: Some(2),
            mmproj: Some(shapes.join("mmproj.gguf")),
            ..LlamaOptions::default()
        }
    }

    fn about(bytes: &[u8], question: &str, constraint: Constraint) -> Request {
        let blob = hex(bytes);
        let picture = PictureRef { blob: blob.clone(), mime: "image/png".into(), width: None, height: None };
        let mut message = Message::user("Look at this: ");
        message.parts.extend([Part::picture(picture, "(no picture)"), Part::new(question)]);
        let mut request = Request::new(vec![message], constraint, 8);
        request.pictures.insert(blob, Arc::from(bytes));
        request
    }

    /// An address for these bytes.
    fn hex(bytes: &[u8]) -> String {
        let sum = bytes.iter().fold(17_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        format!("{sum:064x}")
    }

    async fn ask(model: &LlamaController, request: &Request) -> Reply {
        model.complete(request, &Cancel::new()).await.unwrap()
    }

    fn drawn(shapes: &Path, folder: &str) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(shapes.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let named = |path: PathBuf| {
            let name = path.file_stem().unwrap().to_string_lossy().rsplit('_').next().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        };
        files.into_iter().map(named).collect()
    }

    #[tokio::test]
    async fn pictures_are_counted_cached_and_told_apart() {
        let Some((model, shapes)) = files() else { return };
        let _turn = TURN.lock().await;
        let model =
            LlamaController::open(model, options(&shapes)).await.unwrap().with_lens(Some(Arc::new(Png)));
        assert!(model.sees());
        let drawn = drawn(&shapes, "shapes");
        let question = " The picture shows a coloured shape. Which?";
        let first = ask(&model, &about(&drawn[0].1, question, Constraint::choice(SHAPES))).await;
        assert_eq!(first.usage.pictures, Some(PictureTokens::Counted(ROWS)));
        assert_eq!(first.part_tokens[0][1], ROWS, "{:?}", first.part_tokens);
        let total: u32 = first.part_tokens.iter().flatten().sum();
        assert!(first.usage.prompt_tokens > total, "the template counts too");
        // The same picture with another question: its rows come from the cache.
        let again = ask(&model, &about(&drawn[0].1, " What colour is it?", Constraint::line(9))).await;
        assert!(again.usage.cached_tokens >= ROWS, "{:?}", again.usage);
        // Another picture shares the beginning of the prompt only.
        let other = ask(&model, &about(&drawn[1].1, question, Constraint::choice(SHAPES))).await;
        assert!(other.usage.cached_tokens < ROWS, "{:?}", other.usage);
        // A prompt that is found whole gives the same answer.
        let same = ask(&model, &about(&drawn[0].1, question, Constraint::choice(SHAPES))).await;
        assert_eq!(same.candidates[0].text, first.candidates[0].text);
        // Without bytes the text stands for the picture.
        let mut blind = about(&drawn[0].1, question, Constraint::choice(SHAPES));
        blind.pictures.clear();
        let blind = ask(&model, &blind).await;
        assert_eq!(blind.usage.pictures, None);
        assert!(blind.usage.prompt_tokens < first.usage.prompt_tokens - ROWS / 2);
        for size in ["white 1x1", "white 1024x1", "white 3x1000"] {
            let odd = ask(&model, &about(size.as_bytes(), question, Constraint::choice(SHAPES))).await;
            // Wide pictures are read in several tiles.
            let rows = odd.part_tokens[0][1];
            assert!(rows >= ROWS, "{size}: {rows}");
            assert_eq!(odd.usage.pictures, Some(PictureTokens::Counted(rows)), "{size}");
        }
        let damaged = ask(&model, &about(b"no picture", question, Constraint::choice(SHAPES))).await;
        assert_eq!(damaged.usage.pictures, None, "what cannot be decoded is not shown");
    }

    #[tokio::test]
    async fn a_wrong_absent_or_truncated_projector_is_a_clear_error() {
        let Some((model, shapes)) = files() else { return };
        let _turn = TURN.lock().await;
        let here = tempfile::tempdir().unwrap();
        let whole = std::fs::read(shapes.join("mmproj.gguf")).unwrap();
        let cut = here.path().join("cut.gguf");
        std::fs::write(&cut, &whole[..whole.len() - 1000]).unwrap();
        let other = here.path().join("other.gguf");
        // Another projector's kind, of the same length.
        let at = whole.windows(8).position(|window| window == b"internvl").unwrap();
        let mut changed = whole.clone();
        changed[at..at + 8].copy_from_slice(b"internxx");
        std::fs::write(&other, &changed).unwrap();
        for (path, expected) in [
            (here.path().join("absent.gguf"), "cannot read"),
            (cut, "download it again"),
            (model.clone(), "it is no projector (mmproj)"),
            (
                other,
                "its kind is not supported, or it is damaged; use the projector that was published with the model",
            ),
        ] {
            let options = LlamaOptions { mmproj: Some(path), ..options(&shapes) };
            let error = LlamaController::open(&model, options.clone()).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            let described = LlamaController::describe(&model, &options);
            assert_eq!(
                described.is_err(),
                !expected.starts_with("its kind"),
                "what the head shows is found without loading"
            );
        }
        let Some(wider) = Models::open(None).unwrap().path("qwen2.5-coder-1.5b-instruct").ok() else {
            return;
        };
        let error = LlamaController::open(wider, options(&shapes)).await.unwrap_err();
        assert!(matches!(error, ControllerError::Unloadable { .. }));
        assert!(error.to_string().contains("whose tokens have 576 numbers"), "{error}");
    }
}
