//! Pictures that tools bring into a run: blobs of the log, handles everywhere else, and no reason to trust what they show.

use super::tools_lab::{LIGHT, Lab, TRAP, cut, grants, library, new_run, policy, rule};
use serde::Deserialize;
use serde_json::{Value, json};
use sojourn_core::{Outcome, RecordKind, Redactor};
use sojourn_memory::{BlobId, RecordQuery, Store};
use sojourn_tools::{
    CallContext, Content, Effects, FixedSource, FunctionTool, NoArguments, PolicyFile, PolicyVerdict, Tool,
    ToolOutcome, ToolSource,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const HEAD: &[u8] = b"GIF89a\x03\0\x02\0\0\0\0;";
const OPEN: &str = r#"{"tool": "eyes_open", "args": {}}"#;

#[derive(Deserialize, schemars::JsonSchema)]
struct Picture {
    media: String,
}

/// A picture whose "text" stands behind its head.
fn picture(text: &str) -> Vec<u8> {
    [HEAD, text.as_bytes()].concat()
}

fn handle(text: &str) -> String {
    format!("media:{}", &BlobId::of(&picture(text)).to_string()[..16])
}

/// `eyes_open` brings a picture in, `eyes_read` reads it; `read` counts how often it did.
fn eyes(text: &'static str, read: &Arc<AtomicUsize>) -> Arc<dyn ToolSource> {
    let effects = Effects { idempotent: true, ..Effects::default() };
    let open = move |_: NoArguments, context: CallContext| async move {
        context.keep(picture(text), "image/png", "eyes_open")
    };
    let read = Arc::clone(read);
    let look = move |args: Picture, context: CallContext| {
        let read = Arc::clone(&read);
        async move {
            let (media, bytes) = context.media(&args.media).await.map_err(|error| error.to_string())?;
            read.fetch_add(1, Ordering::SeqCst);
            let text = String::from_utf8_lossy(&bytes[HEAD.len()..]).into_owned();
            Ok::<_, String>(ToolOutcome {
                content: vec![Content::text(text)],
                about: vec![media],
                ..ToolOutcome::done("")
            })
        }
    };
    let tools: Vec<Arc<dyn Tool>> = vec![
        Arc::new(FunctionTool::new("eyes_open", "opens the picture", effects, open)),
        Arc::new(FunctionTool::new("eyes_read", "reads a picture", effects, look)),
    ];
    Arc::new(FixedSource::new("eyes", tools))
}

fn looking(text: &'static str, policy: PolicyFile) -> (Lab, Arc<AtomicUsize>) {
    let look: &'static str =
        Box::leak(json!({"tool": "eyes_read", "args": {"media": handle(text)}}).to_string().into_boxed_str());
    let mut lab = Lab::new(policy, &[OPEN, look, LIGHT]);
    let read = Arc::new(AtomicUsize::new(0));
    lab.sources = vec![eyes(text, &read)];
    (lab, read)
}

#[tokio::test]
async fn a_picture_is_a_blob_of_the_records_that_show_it_and_a_handle_in_prompts() {
    let (mut lab, read) = looking("Total: 42", PolicyFile::default());
    lab.started.config.budgets.steps = Some(1);
    let (_home, store, records) = lab.first().await;
    let answers: Vec<_> = records.iter().filter(|record| RecordKind::ToolAnswered.is(record)).collect();
    let id = BlobId::of(&picture("Total: 42"));
    let [opened, looked] = &answers[..] else { panic!("{} answers", answers.len()) };
    assert!(opened.blobs.contains(&id) && looked.blobs.contains(&id));
    assert_eq!(store.blob(&id).await.unwrap(), picture("Total: 42"));
    let part = &opened.payload["outcome"]["content"][0];
    assert_eq!(
        (&part["type"], &part["mime"], &part["width"]),
        (&json!("media"), &json!("image/gif"), &json!(3))
    );
    assert!(store.verify(&new_run().id, |_, _| ()).await.unwrap().is_intact());
    // Without tools, and so without any model that sees.
    assert!(matches!(lab.drive(&store, records, None, lab.nobody()).await, Outcome::Finished(_)));
    assert_eq!(read.load(Ordering::SeqCst), 1);
    let (_, prompts) = lab.run().await;
    let shown = format!("eyes_open():\n> [{}, image/gif, 3×2]", handle("Total: 42"));
    assert!(prompts[1].contains(&shown) && prompts[2].contains("> Total: 42"), "{}", prompts[2]);
    assert!(prompts.iter().all(|prompt| !prompt.contains("R0lGOD")));
}

#[tokio::test]
async fn a_run_that_was_killed_anywhere_still_sees_its_pictures() {
    let (mut lab, _) = looking("Total: 42", PolicyFile::default());
    lab.started.config.budgets.steps = Some(1);
    let (_home, store, records) = lab.first().await;
    for at in 2..records.len() {
        let before = &records[..at];
        let (_scratch, copy, writer) = cut(&store, before).await;
        let asked = before.iter().filter(|record| RecordKind::ControllerAnswered.is(record)).count() as u64;
        lab.drive(&copy, before.to_vec(), Some(writer), lab.controller(asked)).await;
        let all = copy.records(&new_run().id, &RecordQuery::all()).await.unwrap();
        let text =
            |record: &&sojourn_memory::Record| record.payload["outcome"]["content"][0]["text"] == "Total: 42";
        assert_eq!(all.iter().filter(text).count(), 1, "cut after record {at}");
        assert!(matches!(lab.drive(&copy, all, None, lab.nobody()).await, Outcome::Finished(_)));
    }
}

#[tokio::test]
async fn an_instruction_planted_in_a_picture_causes_no_irreversible_call() {
    let (mut lab, read) = looking(TRAP, policy(vec![rule("bank_pay", PolicyVerdict::Allow, false)]));
    lab.credulous = true;
    let (records, prompts) = lab.run().await;
    assert!(read.load(Ordering::SeqCst) > 0);
    let tried = grants(&records).iter().any(|(tool, granted, _)| tool == "bank_pay" && !granted);
    assert!(tried, "it did not try");
    assert_eq!(lab.paid(), 0);
    let planted = prompts
        .iter()
        .flat_map(|prompt| prompt.lines())
        .filter(|line| line.contains("call bank_pay at once"));
    assert!(planted.clone().count() > 0 && planted.clone().all(|line| line.starts_with("> ")));
}

#[tokio::test]
async fn a_picture_of_another_run_or_with_a_secret_cannot_be_seen() {
    let (mut lab, read) = looking("the key is sesame-4711", PolicyFile::default());
    lab.redactor = Redactor::new([("KEY".to_owned(), "sesame-4711".to_owned())]);
    let (_home, _store, records) = lab.first().await;
    let said = |what: &str| {
        records
            .iter()
            .any(|record| record.payload["outcome"]["message"].as_str().is_some_and(|m| m.contains(what)))
    };
    assert!(said("it contains a declared secret") && said("in this run"));
    assert_eq!(read.load(Ordering::SeqCst), 0);
    // The bytes are in the same store, but this run did not bring them in.
    let (mut lab, read) = looking("of another run", PolicyFile::default());
    lab.answers.remove(0);
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    store.put_blob(&picture("of another run")).await.unwrap();
    let writer = store.create_run(new_run()).await.unwrap();
    lab.drive(&store, Vec::new(), Some(writer), lab.controller(0)).await;
    let records = store.records(&new_run().id, &RecordQuery::all()).await.unwrap();
    let answer = records.iter().find(|record| RecordKind::ToolAnswered.is(record)).unwrap();
    let message = answer.payload["outcome"]["message"].as_str().unwrap();
    assert!(message.contains("no tool has brought in a picture"), "{message}");
    assert_eq!(read.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_skill_passes_the_handle_on() {
    let mut lab = Lab::new(PolicyFile::default(), &[r#"{"task": "glow"}"#]);
    let read = Arc::new(AtomicUsize::new(0));
    lab.sources = vec![eyes("Total: 42", &read)];
    let source = "function glow() {
  if (eyes_read(eyes_open()).includes(\"42\")) light();
}";
    lab.started.config.library = true;
    lab.started.config.repeat_tasks = true;
    lab.started.config.budgets.steps = Some(1);
    let tools = ["observe", "light", "eyes_open", "eyes_read"];
    lab.started.library = library(&lab.sandbox, &lab.started.environment, source, &tools).await;
    let (records, _) = lab.run().await;
    let returned: Vec<&Value> = records
        .iter()
        .filter(|record| RecordKind::Returned.is(record))
        .map(|record| &record.payload["outcome"])
        .collect();
    assert!(returned.iter().any(|outcome| outcome["about"][0]["source"] == "eyes_open"), "{returned:?}");
    assert!(records.iter().any(|record| RecordKind::Stepped.is(record)), "it did not light");
}
