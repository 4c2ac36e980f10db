//! Disks without space.

use super::server::Server;
use super::{Cache, FILE, NAME, content, hub_source, model_toml, models_in, sha256};
use sojourn_controller::models::{ModelError, Progress};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test]
async fn too_little_space_is_reported_before_download() {
    let server = Server::good(b"x");
    let catalogue = model_toml(1 << 60, &sha256(b"x")) + &hub_source("model.sources", FILE);
    let cache = Cache::new(&catalogue, &server.url);
    let error = cache.pull().await.unwrap_err();
    assert!(matches!(error, ModelError::Disk { needed, .. } if needed > 1 << 60), "{error}");
    assert!(error.to_string().contains("SOJOURN_MODELS"));
    assert_eq!(server.requests(), []);
    cache.assert_absent();
}

/// A file system of 48 MiB, unmounted on drop.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` unless this user may mount file systems.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"]).arg(dir.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// Writes until the disk is full.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    let megabyte = vec![0; 1 << 20];
    while file.write_all(&megabyte).is_ok() {}
}

#[tokio::test]
async fn full_disk_keeps_the_partial_file_for_a_later_pull() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    };
    let body = content(20 << 20);
    let server = Server::good(&body);
    let catalogue = model_toml(body.len() as u64, &sha256(&body)) + &hub_source("model.sources", FILE);
    let dir = disk.path().join("models");
    let models = models_in(&dir, &catalogue, &server.url);
    let filler = disk.path().join("filler");

    let report = {
        let (filler, full) = (filler.clone(), AtomicBool::new(false));
        move |progress| {
            let under_way = matches!(progress, Progress::Advanced { bytes } if bytes > 1 << 20);
            if under_way && !full.swap(true, Ordering::Relaxed) {
                fill(&filler);
            }
        }
    };
    let error = models.pull(NAME, report).await.unwrap_err();
    assert!(matches!(error, ModelError::Full { .. }), "{error}");
    assert!(matches!(models.path(NAME), Err(ModelError::NotPulled { .. })));
    let kept = models.list()[0].bytes;
    assert!(kept > 0);

    std::fs::remove_file(filler).unwrap();
    let path = models.pull(NAME, |_| ()).await.unwrap();
    assert!(std::fs::read(path).unwrap() == body);
    assert_eq!(server.requests()[1].from, Some(kept as usize));
}
