//! Stores OAuth tokens between runs, in a file that only its owner can read.

use async_trait::async_trait;
use rmcp::transport::auth::{self, AuthError, CredentialRefreshGuard, StoredCredentials};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Client registration at an authorization server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    pub client_id: String,
    pub client_secret: Option<String>,
    pub redirect_uri: String,
    /// Issuer of the registration. Its credentials are never sent to another server.
    pub issuer: Option<String>,
}

/// Content of the file.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Stored {
    registration: Option<Registration>,
    credentials: Option<StoredCredentials>,
}

/// Stores one registration and its tokens, in a file or else in memory.
#[derive(Clone)]
pub struct CredentialStore {
    file: Option<PathBuf>,
    now: Arc<Mutex<Stored>>,
}

impl CredentialStore {
    pub fn new(file: Option<PathBuf>) -> Self {
        Self { file, now: Arc::default() }
    }

    /// The stored registration.
    pub fn registration(&self) -> Option<Registration> {
        self.read().ok()?.registration
    }

    /// Replaces the registration and drops the tokens of the previous one.
    pub fn register(&self, registration: Registration) -> Result<(), AuthError> {
        self.change(|stored| *stored = Stored { registration: Some(registration), credentials: None })
    }

    /// Reads the file on every access, because another process may have changed it.
    fn read(&self) -> Result<Stored, AuthError> {
        let Some(file) = &self.file else { return Ok(self.now().clone()) };
        let stored = match std::fs::read(file) {
            // A damaged file counts as empty; the user signs in again.
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Stored::default(),
            Err(error) => return Err(failed(&error)),
        };
        Self::keep_secret(&stored);
        Ok(stored)
    }

    /// Keeps tokens and client secrets out of logs and prompts.
    fn keep_secret(stored: &Stored) {
        fn learn(value: &Value) {
            const SECRET: [&str; 4] = ["access_token", "refresh_token", "id_token", "client_secret"];
            let Value::Object(fields) = value else { return };
            for (key, field) in fields {
                match field {
                    Value::String(text) if SECRET.contains(&key.as_str()) => crate::secrets::learn(key, text),
                    other => learn(other),
                }
            }
        }
        learn(&serde_json::to_value(stored).unwrap_or_default());
    }

    fn change(&self, change: impl FnOnce(&mut Stored)) -> Result<(), AuthError> {
        let mut stored = self.read()?;
        change(&mut stored);
        Self::keep_secret(&stored);
        if let Some(file) = &self.file {
            let bytes = serde_json::to_vec(&stored).map_err(|error| failed(&error.into()))?;
            write(file, &bytes).map_err(|error| failed(&error))?;
        }
        *self.now() = stored;
        Ok(())
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Stored> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: &io::Error) -> AuthError {
    AuthError::CredentialStoreError(format!("the tokens cannot be stored: {error}"))
}

/// Replaces the file atomically, with owner-only permissions from the start.
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
    // A leftover file could have other permissions.
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
impl auth::CredentialStore for CredentialStore {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        Ok(self.read()?.credentials)
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        self.change(|stored| stored.credentials = Some(credentials))
    }

    async fn clear(&self) -> Result<(), AuthError> {
        self.change(|stored| *stored = Stored::default())
    }

    /// A refresh token is often valid for one use, so two processes must not refresh at the same time.
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
    use rmcp::transport::auth::CredentialStore as _;

    fn credentials(client: &str) -> StoredCredentials {
        StoredCredentials::new(client.to_owned(), None, vec!["read".to_owned()], None)
    }

    #[tokio::test]
    async fn a_stored_token_is_private_and_is_found_again() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("oauth/one.json");
        let store = CredentialStore::new(Some(file.clone()));
        assert!(store.load().await.unwrap().is_none());
        store.save(credentials("it")).await.unwrap();
        let again = CredentialStore::new(Some(file.clone()));
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
    async fn a_new_registration_drops_the_tokens_of_the_previous_one() {
        let store = CredentialStore::new(None);
        store.save(credentials("first")).await.unwrap();
        let registration = Registration {
            client_id: "second".to_owned(),
            client_secret: None,
            redirect_uri: "http://127.0.0.1/callback".to_owned(),
            issuer: None,
        };
        store.register(registration).unwrap();
        assert!(store.load().await.unwrap().is_none());
        assert_eq!(store.registration().unwrap().client_id, "second");
    }
}
