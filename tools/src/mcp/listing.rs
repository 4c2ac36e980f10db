//! Reads the pages of a server's lists, within limits. A server may announce a next page for ever.

use super::handler::Client;
use super::lenient::left_out;
use rmcp::RoleClient;
use rmcp::model::{MetaObject, PaginatedRequestParams, Prompt, Resource, Tool as ServerTool};
use rmcp::service::{RunningService, ServiceError};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// Limit on the pages of one list.
const MAX_PAGES: usize = 100;
/// Limit on the items of one list.
const MAX_ITEMS: usize = 2000;
/// Limit on the items of one list together, as JSON, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// Limit on the notes of one list.
const MAX_NOTES: usize = 20;
/// Time limit of one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

type Service = RunningService<RoleClient, Client>;

/// The part of a list that was read.
pub struct Listing<T> {
    pub items: Vec<T>,
    /// The omissions and their reasons: "its list of tools is cut after 2000".
    pub notes: Vec<String>,
}

/// One page of a list.
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
    notes: Vec<String>,
}

impl<T> Page<T> {
    fn new(items: Vec<T>, next: Option<String>, meta: Option<&MetaObject>) -> Self {
        Self { items, next, notes: left_out(meta) }
    }
}

/// The server's tools.
///
/// # Errors
/// The first page cannot be read.
pub async fn tools(service: &Service) -> Result<Listing<ServerTool>, String> {
    read_pages("tools", |params| async move {
        let page = service.list_tools(params).await?;
        Ok(Page::new(page.tools, page.next_cursor, page.meta.as_ref()))
    })
    .await
}

/// The server's prompts.
///
/// # Errors
/// The first page cannot be read.
pub async fn prompts(service: &Service) -> Result<Listing<Prompt>, String> {
    read_pages("prompts", |params| async move {
        let page = service.list_prompts(params).await?;
        Ok(Page::new(page.prompts, page.next_cursor, page.meta.as_ref()))
    })
    .await
}

/// The server's resources.
///
/// # Errors
/// The first page cannot be read.
pub async fn resources(service: &Service) -> Result<Listing<Resource>, String> {
    read_pages("resources", |params| async move {
        let page = service.list_resources(params).await?;
        Ok(Page::new(page.resources, page.next_cursor, page.meta.as_ref()))
    })
    .await
}

async fn read_pages<T: Serialize, F>(
    what: &str,
    fetch: impl Fn(Option<PaginatedRequestParams>) -> F,
) -> Result<Listing<T>, String>
where
    F: Future<Output = Result<Page<T>, ServiceError>>,
{
    let mut listing = Listing { items: Vec::new(), notes: Vec::new() };
    let (mut cursor, mut seen, mut bytes): (Option<String>, BTreeSet<String>, usize) = Default::default();
    for number in 0..MAX_PAGES {
        let params = cursor.take().map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
        let page = match tokio::time::timeout(PAGE_TIMEOUT, fetch(params)).await {
            Ok(Ok(page)) => page,
            failure => {
                let reason = match failure {
                    Ok(Err(error)) => super::session::service_error(&error),
                    _ => format!("it did not answer within {} s", PAGE_TIMEOUT.as_secs()),
                };
                // The pages before it are kept.
                if number == 0 {
                    return Err(reason);
                }
                listing.note(format!("the rest of its {what} could not be listed: {reason}"));
                return Ok(listing);
            }
        };
        for note in page.notes {
            listing.note(format!("left out: {note}"));
        }
        for item in page.items {
            bytes += serde_json::to_vec(&item).map_or(0, |json| json.len());
            if listing.items.len() == MAX_ITEMS || bytes > MAX_BYTES {
                let kept = listing.items.len();
                listing.note(format!(
                    "its list of {what} is cut after {kept}: at most {MAX_ITEMS} and {MAX_BYTES} bytes are read"
                ));
                return Ok(listing);
            }
            listing.items.push(item);
        }
        match page.next {
            None => return Ok(listing),
            Some(next) if !seen.insert(next.clone()) => {
                listing.note(format!("its list of {what} names the same next page again, so it was ended"));
                return Ok(listing);
            }
            Some(next) => cursor = Some(next),
        }
    }
    listing.note(format!("its list of {what} goes on after {MAX_PAGES} pages, which are all that are read"));
    Ok(listing)
}

impl<T> Listing<T> {
    fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(
        page: impl Fn(usize) -> Result<(Vec<String>, Option<String>), ServiceError>,
    ) -> (usize, Listing<String>) {
        let asked = std::cell::Cell::new(0);
        let listing = read_pages("tools", |_| {
            asked.set(asked.get() + 1);
            std::future::ready(page(asked.get()).map(|(items, next)| Page::new(items, next, None)))
        });
        let listing = listing.await.unwrap();
        (asked.get(), listing)
    }

    #[tokio::test]
    async fn a_list_without_an_end_is_cut_by_pages_items_and_bytes() {
        let (asked, list) = read(|number| Ok((Vec::new(), Some(number.to_string())))).await;
        assert_eq!((asked, list.notes.len()), (MAX_PAGES, 1));
        let (asked, list) = read(|number| Ok((vec!["x".to_owned(); 500], Some(number.to_string())))).await;
        assert_eq!((asked, list.items.len()), (5, MAX_ITEMS));
        let (asked, list) = read(|number| Ok((vec!["x".repeat(1 << 20)], Some(number.to_string())))).await;
        assert_eq!((asked, list.items.len()), (4, 3));
        assert!(list.notes[0].contains("is cut after 3"), "{:?}", list.notes);
    }

    #[tokio::test]
    async fn a_cursor_that_comes_again_ends_the_list() {
        let (asked, list) = read(|_| Ok((vec!["x".to_owned()], Some("same".to_owned())))).await;
        assert_eq!((asked, list.items.len()), (2, 2));
        assert!(list.notes[0].contains("the same next page"), "{:?}", list.notes);
    }

    #[tokio::test]
    async fn pages_before_one_that_fails_are_kept() {
        let (asked, list) = read(|number| match number {
            1 => Ok((vec!["x".to_owned()], Some("2".to_owned()))),
            _ => Err(ServiceError::TransportClosed),
        })
        .await;
        assert_eq!((asked, list.items.len(), list.notes.len()), (2, 1, 1));
    }
}
