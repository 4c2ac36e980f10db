//! The pictures of a request as a chat endpoint takes them: data URLs of a bounded size.

use crate::{Lens, Request, Role};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Formats that every server with sight reads.
const COMMON: [&str; 4] = ["image/png", "image/jpeg", "image/webp", "image/gif"];
/// Largest file that is sent as it is, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// Data URLs by the address of the picture.
pub(super) type Urls = BTreeMap<String, String>;

/// The data URLs of the pictures that a request shows, each with a longest side of at most `most` pixels. A picture that cannot be
/// sent has none, so the text of its part stands for it.
pub(super) async fn urls(request: &Request, most: Option<u32>, lens: Option<&Arc<dyn Lens>>) -> Urls {
    let mut urls = Urls::new();
    let Some(most) = most else { return urls };
    let users = request.messages.iter().filter(|message| message.role == Role::User);
    for picture in users.flat_map(|message| &message.parts).filter_map(|part| part.picture.as_ref()) {
        let Some(bytes) = request.pictures.get(&picture.blob).filter(|_| !urls.contains_key(&picture.blob))
        else {
            continue;
        };
        let fits = |side: Option<u32>| side.is_some_and(|side| side <= most);
        let as_it_is = COMMON.contains(&picture.mime.as_str())
            && fits(picture.width)
            && fits(picture.height)
            && bytes.len() <= MAX_BYTES;
        let url = if as_it_is {
            Ok(url(&picture.mime, bytes))
        } else {
            fitted(lens, Arc::clone(bytes), most).await.map(|png| url("image/png", &png))
        };
        match url {
            Ok(url) => drop(urls.insert(picture.blob.clone(), url)),
            Err(reason) => tracing::warn!(%reason, "a picture is not shown to the model"),
        }
    }
    urls
}

fn url(mime: &str, bytes: &[u8]) -> String {
    format!("data:{mime};base64,{}", STANDARD.encode(bytes))
}

async fn fitted(lens: Option<&Arc<dyn Lens>>, bytes: Arc<[u8]>, most: u32) -> Result<Vec<u8>, String> {
    let lens = lens.cloned().ok_or("this program was built without perception and cannot scale pictures")?;
    let fitting = tokio::task::spawn_blocking(move || lens.fit(&bytes, most));
    fitting.await.unwrap_or_else(|error| Err(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Constraint, Message, Part, PictureRef, Pixels};

    /// Notes what it was asked for.
    #[derive(Debug)]
    struct Noting;

    impl Lens for Noting {
        fn fit(&self, bytes: &[u8], most: u32) -> Result<Vec<u8>, String> {
            if bytes == b"broken" { Err("it is damaged".into()) } else { Ok(format!("{most}").into_bytes()) }
        }

        fn pixels(&self, _: &[u8], _: u32) -> Result<Pixels, String> {
            Err("a server takes files".into())
        }
    }

    fn asking(role: Role, mime: &str, width: Option<u32>, bytes: &[u8]) -> Request {
        let picture = PictureRef { blob: "5e".into(), mime: mime.into(), width, height: Some(9) };
        let message = Message { role, parts: vec![Part::picture(picture, "(no picture)")] };
        let mut request = Request::new(vec![message], Constraint::line(3), 5);
        request.pictures.insert("5e".into(), Arc::from(bytes));
        request
    }

    #[tokio::test]
    async fn a_picture_is_sent_as_it_is_where_it_fits_and_else_through_the_lens() {
        let lens: Arc<dyn Lens> = Arc::new(Noting);
        let png = "data:image/png;base64,";
        for (role, mime, width, bytes, expected) in [
            (Role::User, "image/gif", Some(64), b"GIF".as_slice(), Some("data:image/gif;base64,R0lG".into())),
            (Role::User, "image/gif", Some(65), b"GIF", Some(format!("{png}NjQ="))),
            (Role::User, "image/gif", None, b"GIF", Some(format!("{png}NjQ="))),
            (Role::User, "image/bmp", Some(8), b"BM", Some(format!("{png}NjQ="))),
            (Role::User, "image/bmp", Some(8), b"broken", None),
            (Role::System, "image/gif", Some(64), b"GIF", None),
        ] {
            let request = asking(role, mime, width, bytes);
            let sent = urls(&request, Some(64), Some(&lens)).await;
            assert_eq!(sent.get("5e"), expected.as_ref(), "{role:?} {mime} {width:?}");
            assert!(urls(&request, None, Some(&lens)).await.is_empty());
        }
        let large = asking(Role::User, "image/png", Some(65), b"PNG");
        assert!(urls(&large, Some(64), None).await.is_empty(), "nothing can scale it");
    }
}
