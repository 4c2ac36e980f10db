//! Downloads that fail or are interrupted.

use super::server::{Answer, Server};
use super::{Cache, FILE, Log, NAME, content, sha256};
use sojourn_controller::Cancel;
use sojourn_controller::models::{ModelError, Progress};
use std::sync::{Arc, mpsc};

const LENGTH: usize = 300_000;
const HALF: usize = 150_000;

/// A server that sends half the body and then nothing, with the connection open.
fn hanging(body: &[u8]) -> Server {
    let answer = Answer { stop_after: Some(HALF), hang: true, ..Answer::with(body) };
    Server::start(move |_, _| answer.clone())
}

/// Records progress, and cancels when half the file has arrived.
fn cancel_at_half(log: &Log, cancel: &Cancel) -> impl Fn(Progress) + Send + Sync + 'static {
    let (keep, cancel) = (log.keeper(), cancel.clone());
    move |progress| {
        if progress == (Progress::Advanced { bytes: HALF as u64 }) {
            cancel.cancel();
        }
        keep(progress);
    }
}

#[tokio::test]
async fn pull_reports_progress_and_installs_the_file() {
    let body = content(LENGTH);
    let server = Server::good(&body);
    let cache = Cache::of_hub(&body, &server.url);
    let log = Log::default();
    let path = cache.models.pull(NAME, log.keeper()).await.unwrap();
    assert_eq!(path, cache.file());
    cache.assert_settled(&body);
    assert_eq!(server.requests()[0].path, format!("/owner/repo/resolve/main/{FILE}"));

    let mut said = log.entries();
    assert!(said.contains(&Progress::Advanced { bytes: LENGTH as u64 }));
    said.retain(|progress| !matches!(progress, Progress::Advanced { .. }));
    let source = Progress::Source { name: "Hugging Face".to_owned() };
    let started = Progress::Started { bytes: Some(LENGTH as u64) };
    assert_eq!(said, [started, source, Progress::Verifying, Progress::Done]);
}

#[tokio::test]
async fn present_file_is_not_downloaded_again() {
    let body = content(LENGTH);
    let server = Server::good(&body);
    let cache = Cache::of_hub(&body, &server.url);
    cache.pull().await.unwrap();
    let log = Log::default();
    cache.models.pull(NAME, log.keeper()).await.unwrap();
    assert_eq!(log.entries(), [Progress::Done]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn interrupted_download_resumes() {
    let body = content(LENGTH);
    let answer = Answer::with(&body);
    let server = Server::start(move |before, _| match before {
        0 => Answer { stop_after: Some(HALF), ..answer.clone() },
        _ => answer.clone(),
    });
    let cache = Cache::of_hub(&body, &server.url);
    cache.pull().await.unwrap();
    cache.assert_settled(&body);
    let from: Vec<_> = server.requests().iter().map(|request| request.from).collect();
    assert_eq!(from, [None, Some(HALF)]);
}

#[tokio::test]
async fn cancelled_pull_is_resumed_later() {
    let body = content(LENGTH);
    let server = hanging(&body);
    let cache = Cache::of_hub(&body, &server.url);
    let (log, cancel) = (Log::default(), Cancel::new());
    let ended = cache.models.pull_until(NAME, cancel_at_half(&log, &cancel), &cancel).await;
    assert!(matches!(ended, Err(ModelError::Cancelled)));
    cache.assert_absent();
    assert_eq!(cache.models.list()[0].bytes, HALF as u64);
    assert!(std::fs::read(cache.part()).unwrap() == body[..HALF]);

    let server = Server::good(&body);
    cache.models.clone().with_hub(&server.url).pull(NAME, |_| ()).await.unwrap();
    cache.assert_settled(&body);
    assert_eq!(server.requests()[0].from, Some(HALF));
}

#[tokio::test]
async fn dropped_pull_releases_its_lock() {
    let body = content(LENGTH);
    let server = hanging(&body);
    let cache = Cache::of_hub(&body, &server.url);
    let (half, at_half) = mpsc::channel();
    let models = cache.models.clone();
    let pull = tokio::spawn(async move {
        let report = move |progress| {
            if progress == (Progress::Advanced { bytes: HALF as u64 }) {
                let _ = half.send(());
            }
        };
        models.pull(NAME, report).await
    });
    tokio::task::spawn_blocking(move || at_half.recv().unwrap()).await.unwrap();
    pull.abort();

    let server = Server::good(&body);
    cache.models.clone().with_hub(&server.url).pull(NAME, |_| ()).await.unwrap();
    cache.assert_settled(&body);
}

#[tokio::test]
async fn server_without_ranges_is_read_from_the_start() {
    let body = content(LENGTH);
    let answer = Answer { whole_only: true, ..Answer::with(&body) };
    let server = Server::start(move |_, _| answer.clone());
    let cache = Cache::of_hub(&body, &server.url);
    std::fs::write(cache.part(), &body[..HALF]).unwrap();
    cache.pull().await.unwrap();
    cache.assert_settled(&body);
    assert_eq!(server.requests()[0].from, Some(HALF));
}

#[tokio::test]
async fn wrong_hash_leaves_no_usable_file() {
    let body = content(LENGTH);
    let mut other = body.clone();
    other[HALF] ^= 1;
    let server = Server::good(&other);
    let cache = Cache::of_hub(&body, &server.url);
    let error = cache.pull().await.unwrap_err();
    assert!(
        matches!(&error, ModelError::Hash { expected, got, .. } if *expected == sha256(&body) && *got == sha256(&other)),
        "{error}"
    );
    cache.assert_absent();
    assert!(!cache.part().exists());
}

#[tokio::test]
async fn foreign_partial_file_costs_one_more_pull() {
    let body = content(LENGTH);
    let server = Server::good(&body);
    let cache = Cache::of_hub(&body, &server.url);
    std::fs::write(cache.part(), vec![0; HALF]).unwrap();
    assert!(matches!(cache.pull().await, Err(ModelError::Hash { .. })));
    cache.assert_absent();
    cache.pull().await.unwrap();
    cache.assert_settled(&body);
}

#[tokio::test]
async fn too_long_partial_file_is_discarded() {
    let body = content(LENGTH);
    let server = Server::good(&body);
    let cache = Cache::of_hub(&body, &server.url);
    std::fs::write(cache.part(), content(LENGTH + 1)).unwrap();
    cache.pull().await.unwrap();
    cache.assert_settled(&body);
}

#[tokio::test]
async fn html_page_does_not_destroy_the_partial_file() {
    let body = content(LENGTH);
    let answer = Answer { whole_only: true, ..Answer::with(b"<html>please log in</html>") };
    let server = Server::start(move |_, _| answer.clone());
    let cache = Cache::of_hub(&body, &server.url);
    std::fs::write(cache.part(), &body[..HALF]).unwrap();
    let error = cache.pull().await.unwrap_err();
    let ModelError::NoSource { tried, .. } = &error else { panic!("{error}") };
    assert!(matches!(tried[0].error, ModelError::Size { expected: 300_000, got: 26, .. }), "{error}");
    assert!(std::fs::read(cache.part()).unwrap() == body[..HALF]);
}

#[tokio::test]
async fn client_errors_are_not_retried_but_server_errors_are() {
    let body = content(LENGTH);
    for (status, requests) in [("404 Not Found", 1), ("403 Forbidden", 1), ("503 Service Unavailable", 2)] {
        let answer = Answer::with(&body);
        let server = Server::start(move |before, _| Answer {
            status: (before == 0).then_some(status),
            ..answer.clone()
        });
        let cache = Cache::of_hub(&body, &server.url);
        let pulled = cache.pull().await;
        assert_eq!(pulled.is_ok(), requests > 1, "{status}");
        if let Err(error) = pulled {
            assert!(error.to_string().contains(status), "{error}");
        }
        assert_eq!(server.requests().len(), requests, "{status}");
    }
}

#[tokio::test]
async fn concurrent_pulls_download_once() {
    let body = content(LENGTH);
    let cache = Arc::new(Cache::of_hub(&body, ""));
    // The server answers the first pull only once the second one waits for it.
    let (waiting, waits) = mpsc::channel();
    let (waits, answer) = (std::sync::Mutex::new(waits), Answer::with(&body));
    let server = Server::start(move |before, _| {
        if before == 0 {
            waits.lock().unwrap().recv().unwrap();
        }
        answer.clone()
    });
    let report = {
        let log = Log::default();
        let keep = log.keeper();
        let report = move |progress: Progress| {
            if progress == Progress::Waiting {
                let _ = waiting.send(());
            }
            keep(progress);
        };
        (log, Arc::new(report))
    };
    let pulls: Vec<_> = (0..2)
        .map(|_| {
            let (models, report) = (cache.models.clone().with_hub(&server.url), report.1.clone());
            tokio::spawn(async move { models.pull(NAME, move |progress| report(progress)).await })
        })
        .collect();
    for pull in pulls {
        pull.await.unwrap().unwrap();
    }
    cache.assert_settled(&body);
    assert_eq!(server.requests().len(), 1);
    assert!(report.0.has(|progress| *progress == Progress::Waiting));
}

#[tokio::test]
async fn tampered_file_is_rejected_and_replaced() {
    let body = content(LENGTH);
    let server = Server::good(&body);
    let cache = Cache::of_hub(&body, &server.url);
    cache.pull().await.unwrap();
    let mut other = body.clone();
    other[7] ^= 1;
    std::fs::write(cache.file(), &other).unwrap();
    assert!(matches!(cache.models.path(NAME), Err(ModelError::Hash { .. })));
    assert!(matches!(cache.models.verify(NAME), Err(ModelError::Hash { .. })));
    std::fs::write(cache.file(), &body[..HALF]).unwrap();
    assert!(matches!(cache.models.path(NAME), Err(ModelError::Size { .. })));
    cache.pull().await.unwrap();
    cache.assert_settled(&body);
}

#[tokio::test]
async fn copied_file_is_verified_and_accepted() {
    let body = content(LENGTH);
    let cache = Cache::of_hub(&body, "http://127.0.0.1:1");
    std::fs::write(cache.file(), &body).unwrap();
    assert_eq!(cache.models.path(NAME).unwrap(), cache.file());
    cache.pull().await.unwrap();
    cache.assert_settled(&body);
}

#[tokio::test]
async fn unknown_models_are_errors_with_the_next_step() {
    let cache = Cache::of_hub(b"x", "");
    let said = |what: &str| cache.models.path(what).unwrap_err().to_string();
    assert!(said("tets-model").contains("did you mean `test-model`?"));
    assert!(said(NAME).contains("`sojourn models pull test-model`"));
    assert!(said("models/there-is-none.gguf").contains("no file `models/there-is-none.gguf`"));
    assert!(said("https://example.org/a.gguf").contains("sojourn models pull https://example.org/a.gguf"));
    let own = cache.dir.path().join("own.gguf");
    std::fs::write(&own, "anything").unwrap();
    let own = own.to_str().unwrap();
    assert_eq!(cache.models.path(own).unwrap().to_str(), Some(own));
    assert_eq!(cache.models.pull(own, |_| ()).await.unwrap().to_str(), Some(own));
}
