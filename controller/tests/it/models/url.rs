//! Models that are pulled by URL.

use super::server::{Answer, Server};
use super::{Cache, content, sha256};
use sojourn_controller::Cancel;
use sojourn_controller::models::convert::{GgufWriter, TensorKind};
use sojourn_controller::models::{ModelError, Progress};

const CUT: usize = 20_000;

fn gguf() -> Vec<u8> {
    let mut gguf = GgufWriter::new("llama");
    gguf.tensor("weights", &[10_000], TensorKind::F32, content(40_000));
    let mut bytes = Vec::new();
    gguf.write_to(&mut bytes).unwrap();
    bytes
}

/// Pulls from a server that hangs after [`CUT`] bytes, and cancels the pull.
async fn pull_a_part(cache: &Cache, answer: Answer) -> Server {
    let server = Server::start(move |before, _| match before {
        0 => Answer { stop_after: Some(CUT), hang: true, ..answer.clone() },
        _ => answer.clone(),
    });
    let cancel = Cancel::new();
    let report = {
        let cancel = cancel.clone();
        move |progress| {
            if progress == (Progress::Advanced { bytes: CUT as u64 }) {
                cancel.cancel();
            }
        }
    };
    let ended = cache.models.pull_until(&format!("{}/m.gguf", server.url), report, &cancel).await;
    assert!(matches!(ended, Err(ModelError::Cancelled)));
    server
}

#[tokio::test]
async fn model_is_found_by_its_url() {
    let body = gguf();
    let server = Server::good(&body);
    let cache = Cache::of_hub(b"x", "");
    let address = format!("{}/some/model.gguf#sha256={}", server.url, sha256(&body));
    assert!(matches!(cache.models.path(&address), Err(ModelError::NotPulled { .. })));
    let path = cache.models.pull(&address, |_| ()).await.unwrap();
    assert!(std::fs::read(&path).unwrap() == body);
    assert_eq!(cache.models.path(&address).unwrap(), path);
    assert_eq!(cache.models.verify(&address).unwrap(), sha256(&body));
    cache.models.pull(&address, |_| ()).await.unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn other_files_are_rejected() {
    let page = b"<html>not found</html>".to_vec();
    let cut = gguf()[..CUT].to_vec();
    for body in [page, cut] {
        let server = Server::good(&body);
        let cache = Cache::of_hub(b"x", "");
        let address = format!("{}/model.gguf", server.url);
        assert!(matches!(cache.models.pull(&address, |_| ()).await, Err(ModelError::NotAModel { .. })));
        assert!(matches!(cache.models.path(&address), Err(ModelError::NotPulled { .. })));
    }
}

#[tokio::test]
async fn hash_in_the_url_is_enforced() {
    let server = Server::good(&gguf());
    let cache = Cache::of_hub(b"x", "");
    let address = format!("{}/model.gguf#sha256={}", server.url, sha256(b"another"));
    assert!(matches!(cache.models.pull(&address, |_| ()).await, Err(ModelError::Hash { .. })));
    assert!(matches!(cache.models.path(&address), Err(ModelError::NotPulled { .. })));
}

#[tokio::test]
async fn same_version_resumes_and_another_restarts() {
    let body = gguf();
    for (etag, from) in [(Some("\"one\""), Some(CUT)), (Some("W/\"weak\""), None), (None, None)] {
        let cache = Cache::of_hub(b"x", "");
        let server = pull_a_part(&cache, Answer { etag, ..Answer::with(&body) }).await;
        let path = cache.models.pull(&format!("{}/m.gguf", server.url), |_| ()).await.unwrap();
        assert!(std::fs::read(path).unwrap() == body, "{etag:?}");
        assert_eq!(server.requests()[1].from, from, "{etag:?}");
    }
}

#[tokio::test]
async fn versions_are_never_mixed() {
    let body = gguf();
    let mut newer = body.clone();
    newer[CUT / 2] ^= 1;
    let (old, new) = (
        Answer { etag: Some("\"old\""), stop_after: Some(CUT), hang: true, ..Answer::with(&body) },
        Answer { etag: Some("\"new\""), ..Answer::with(&newer) },
    );
    let cache = Cache::of_hub(b"x", "");
    let served = newer.clone();
    let server = {
        let cancel = Cancel::new();
        let server = Server::start(move |before, _| if before == 0 { old.clone() } else { new.clone() });
        let thrown = cancel.clone();
        let report = move |progress| {
            if progress == (Progress::Advanced { bytes: CUT as u64 }) {
                thrown.cancel();
            }
        };
        let ended = cache.models.pull_until(&format!("{}/m.gguf", server.url), report, &cancel).await;
        assert!(matches!(ended, Err(ModelError::Cancelled)));
        server
    };
    let path = cache.models.pull(&format!("{}/m.gguf", server.url), |_| ()).await.unwrap();
    assert!(std::fs::read(path).unwrap() == served);
    assert_eq!(server.requests()[1].if_range.as_deref(), Some("\"old\""));
}

#[tokio::test]
async fn response_without_length_is_rejected() {
    let answer = Answer { no_length: true, ..Answer::with(&gguf()) };
    let server = Server::start(move |_, _| answer.clone());
    let cache = Cache::of_hub(b"x", "");
    let error = cache.models.pull(&format!("{}/model.gguf", server.url), |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("did not report the length"), "{error}");
}
