//! Lists, page by page; tags.

use std::collections::BTreeSet;

use serde::Deserialize;
use url::Url;

use super::auth::Wants;
use super::host::{Call, Host};
use super::{Error, error::printable};
use crate::limits;
use crate::net::{Method, Response, StatusCode, header, resolve_link};
use crate::observe::Event;
use crate::oci::{RedactedUrl, Tag};

/// Tags asked for per page; what Amazon ECR takes at most.
const TAGS_PER_PAGE: &str = "1000";

#[derive(Deserialize)]
struct TagPage {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

/// All tags, sorted; `None` when the repository does not exist.
pub(super) async fn tags(host: &Host, repository: &str) -> Result<Option<Vec<Tag>>, Error> {
    let mut url = host.url(repository, "tags/list")?;
    url.query_pairs_mut().append_pair("n", TAGS_PER_PAGE);
    let mut found = BTreeSet::new();
    let mut pages = Pages::new(url);
    while let Some(url) = pages.next.take() {
        let call = Call::new(Method::GET, url.clone(), Wants::pull(repository));
        let good = [StatusCode::OK, StatusCode::NOT_FOUND];
        let (response, bytes) = host.document(&call, &good, limits::MAX_TAG_PAGE_BYTES).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let page: TagPage = serde_json::from_slice(&bytes).map_err(|e| pages.fail(&url, printable(&e.to_string())))?;
        for text in page.tags.unwrap_or_default() {
            match text.parse::<Tag>() {
                Ok(tag) => {
                    found.insert(tag);
                }
                Err(error) => {
                    let text = format!("a tag of `{}/{repository}` is left out: {error}", host.name);
                    host.client.observer().event(Event::Message { text: &text });
                }
            }
        }
        pages.turn(host, &url, &response, found.len())?;
    }
    Ok(Some(found.into_iter().collect()))
}

/// Turns pages and sees to it that they end.
pub(super) struct Pages {
    pub(super) next: Option<Url>,
    seen: BTreeSet<String>,
}

impl Pages {
    pub(super) fn new(first: Url) -> Self {
        Self { next: Some(first), seen: BTreeSet::new() }
    }

    fn fail(&self, url: &Url, reason: String) -> Error {
        Error::List { url: RedactedUrl::new(url.clone()), reason }
    }

    pub(super) fn turn(&mut self, host: &Host, url: &Url, response: &Response, entries: usize) -> Result<(), Error> {
        self.seen.insert(url.to_string());
        if entries > limits::MAX_LIST_ENTRIES {
            return Err(self.fail(url, format!("it has more than {} entries", limits::MAX_LIST_ENTRIES)));
        }
        let Some(link) = response.header(header::LINK.as_str()).and_then(next_link) else { return Ok(()) };
        let next = resolve_link(response.url(), link)?;
        if !host.is_own(&next) {
            return Err(self.fail(url, "its next page is on another host".to_owned()));
        }
        if self.seen.contains(next.as_str()) || self.seen.len() >= limits::MAX_PAGES {
            return Err(self.fail(url, "its pages do not end".to_owned()));
        }
        self.next = Some(next);
        Ok(())
    }
}

/// The target of `<…>; rel="next"` (RFC 8288); other relations are passed over.
fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (target, after) = rest.trim_start_matches([' ', ',']).strip_prefix('<')?.split_once('>')?;
        let end = after.find(", <").or_else(|| after.find(",<")).unwrap_or(after.len());
        let (parameters, more) = after.split_at(end);
        let is_next = parameters.split(';').any(|p| {
            let p = p.trim();
            p.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("rel=")) && p[4..].trim_matches('"') == "next"
        });
        if is_next {
            return Some(target);
        }
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_headers() {
        for (header, want) in [
            ("</v2/a/tags/list?n=1&last=x>; rel=\"next\"", Some("/v2/a/tags/list?n=1&last=x")),
            ("<a>;rel=next", Some("a")),
            ("<a>; Rel=\"next\"", Some("a")),
            ("<a>; rel=\"prev\", <b>; rel=\"next\"", Some("b")),
            ("<a>; rel=\"prev\"", None),
            ("<a>", None),
            ("a; rel=next", None),
            ("<a; rel=next", None),
            ("", None),
            ("<a>; é", None),
        ] {
            assert_eq!(next_link(header), want, "{header}");
        }
    }
}
