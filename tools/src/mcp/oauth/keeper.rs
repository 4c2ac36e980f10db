//! Where tokens are kept between runs: a file that only its owner may read.

use async_trait::async_trait;
use rmcp::transport::auth::{AuthError, CredentialRefreshGuard, CredentialStore, StoredCredentials};
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// How the authorization server knows this client.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    pub client_id: String,
    pub client_secret: Option<String>,
    pub redirect_uri: String,
    /// The authorization server: nothing of this is shown to another.
    pub issuer: Option<String>,
}

/// What is kept.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    registration: Option<Registration>,
    credentials: Option<StoredCredentials>,
}

/// Keeps tokens in a file, or without one as long as the process lives.
#[derive(Clone)]
pub struct Keeper {
    file: Option<PathBuf>,
    now: Arc<Mutex<Kept>>,
}

impl Keeper {
    pub fn new(file: Option<PathBuf>) -> Self {
        Self { file, now: Arc::default() }
    }

    /// How this client is known, as of the last token.
    pub fn registration(&self) -> Option<Registration> {
        self.read().ok()?.registration
    }

    /// From now on tokens belong to this registration.
    pub fn register(&self, registration: Registration) -> Result<(), AuthError> {
        self.change(|kept| *kept = Kept { registration: Some(registration), credentials: None })
    }

    /// Another process may have changed it: the file is the truth.
    fn read(&self) -> Result<Kept, AuthError> {
        let Some(file) = &self.file else { return Ok(self.now().clone()) };
        match std::fs::read(file) {
            // What cannot be understood is as good as nothing: somebody signs in again.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
            Err(error) => Err(failed(&error)),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) -> Result<(), AuthError> {
        let mut kept = self.read()?;
        change(&mut kept);
        if let Some(file) = &self.file {
            let bytes = serde_json::to_vec(&kept).map_err(|error| failed(&error.into()))?;
            write(file, &bytes).map_err(|error| failed(&error))?;
        }
        *self.now() = kept;
        Ok(())
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: &io::Error) -> AuthError {
    AuthError::CredentialStoreError(format!("the tokens cannot be kept: {error}"))
}

/// Replaces the file at once, and nobody else may read it at any time.
fn write(file: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        builder.mode(0o700);
        options.mode(0o600);
    }
    if let Some(directory) = file.parent() {
        builder.recursive(true).create(directory)?;
    }
    let draft = file.with_extension(format!("{}.new", std::process::id()));
    // What an earlier process left may have been made with other permissions.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = options.write(true).create_new(true).open(&draft)?;
    new.write_all(bytes)?;
    new.sync_all()?;
    std::fs::rename(&draft, file)
}

#[async_trait]
impl CredentialStore for Keeper {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        Ok(self.read()?.credentials)
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        self.change(|kept| kept.credentials = Some(credentials))
    }

    async fn clear(&self) -> Result<(), AuthError> {
        self.change(|kept| *kept = Kept::default())
    }

    /// A refresh token is often good for one use: two processes must not use the same.
    async fn acquire_refresh_guard(&self) -> Result<Option<CredentialRefreshGuard>, AuthError> {
        let Some(file) = &self.file else { return Ok(None) };
        let lock = file.with_extension("lock");
        let locked = tokio::task::spawn_blocking(move || {
            let file = File::options().create(true).truncate(false).write(true).open(lock)?;
            file.lock()?;
            io::Result::Ok(file)
        });
        let file = locked
            .await
            .map_err(|error| failed(&io::Error::other(error)))?
            .map_err(|error| failed(&error))?;
        Ok(Some(CredentialRefreshGuard::new(file)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(client: &str) -> StoredCredentials {
        StoredCredentials::new(client.to_owned(), None, vec!["read".to_owned()], None)
    }

    #[tokio::test]
    async fn what_is_kept_is_its_owners_and_is_found_again() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("oauth/one.json");
        let keeper = Keeper::new(Some(file.clone()));
        assert!(keeper.load().await.unwrap().is_none());
        keeper.save(credentials("it")).await.unwrap();
        let again = Keeper::new(Some(file.clone()));
        assert_eq!(again.load().await.unwrap().unwrap().client_id, "it");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(
                std::fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777,
                0o700
            );
        }
        std::fs::write(&file, "{ no").unwrap();
        assert!(again.load().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn another_registration_forgets_the_tokens_of_the_first() {
        let keeper = Keeper::new(None);
        keeper.save(credentials("first")).await.unwrap();
        let registration = Registration {
            client_id: "second".to_owned(),
            client_secret: None,
            redirect_uri: "http://127.0.0.1/callback".to_owned(),
            issuer: None,
        };
        keeper.register(registration).unwrap();
        assert!(keeper.load().await.unwrap().is_none());
        assert_eq!(keeper.registration().unwrap().client_id, "second");
    }
}
