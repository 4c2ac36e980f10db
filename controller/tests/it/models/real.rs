//! Downloads real models. This needs network and disk space, so it runs only on request:
//! `SOJOURN_TEST_PULL="all-minilm-l6-v2 gemma-3-270m" cargo test -p sojourn-controller --test it models::real -- --ignored`.

use sojourn_controller::models::{Models, Progress};
use std::time::Instant;

#[tokio::test]
#[ignore = "downloads models"]
async fn built_in_models_can_be_pulled() {
    let names = std::env::var("SOJOURN_TEST_PULL").unwrap_or_else(|_| "all-minilm-l6-v2".to_owned());
    let models = Models::open(None).unwrap();
    for name in names.split_whitespace() {
        let began = Instant::now();
        let report = |progress| {
            if !matches!(progress, Progress::Advanced { .. }) {
                eprintln!("{progress:?}");
            }
        };
        let path = models.pull(name, report).await.unwrap();
        eprintln!("{} in {:.1} s", path.display(), began.elapsed().as_secs_f64());
        let began = Instant::now();
        assert_eq!(models.path(name).unwrap(), path);
        eprintln!("found again in {:.3} s", began.elapsed().as_secs_f64());
        assert_eq!(models.verify(name).unwrap(), models.catalogue().get(name).unwrap().asset.sha256);
    }
}
