//! From a request's path to what it names.

use crate::oci::{Digest, Tag};
use crate::store::Pointer;

use super::name::Name;
use super::refusal::{Code, Refusal};

/// What a path names (distribution-spec, "Endpoints"). Digests and tags of a path are checked when a route is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags(Name),
    /// `/v2/<name>/manifests/<tag-or-digest>`
    Manifest(Name, Pointer),
    /// `/v2/<name>/referrers/<digest>`
    Referrers(Name, Digest),
    /// `/v2/<name>/blobs/<digest>`
    Blob(Name, Digest),
    /// `/v2/<name>/blobs/uploads/`
    Uploads(Name),
    /// `/v2/<name>/blobs/uploads/<session>`
    Upload(Name, String),
}

impl Route {
    /// Reads a path as it stands in the request line.
    pub(super) fn parse(path: &str) -> Result<Self, Refusal> {
        let path = percent_decode(path)
            .ok_or_else(|| Refusal::bad(Code::Unsupported, "the path's percent-encoding is not valid UTF-8"))?;
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["", "v2"] | ["", "v2", ""] => Ok(Self::Base),
            ["", "v2", "_catalog"] => Ok(Self::Catalog),
            // Read from the right: a repository may itself be named `a/tags` or `a/blobs/uploads`.
            ["", "v2", repository @ .., "tags", "list"] => Ok(Self::Tags(name(repository)?)),
            ["", "v2", repository @ .., "manifests", pointer] => {
                Ok(Self::Manifest(name(repository)?, parse_pointer(pointer)?))
            }
            ["", "v2", repository @ .., "referrers", text] => Ok(Self::Referrers(name(repository)?, digest(text)?)),
            ["", "v2", repository @ .., "blobs", "uploads"] | ["", "v2", repository @ .., "blobs", "uploads", ""] => {
                Ok(Self::Uploads(name(repository)?))
            }
            ["", "v2", repository @ .., "blobs", "uploads", session] => {
                Ok(Self::Upload(name(repository)?, (*session).to_owned()))
            }
            ["", "v2", repository @ .., "blobs", text] => Ok(Self::Blob(name(repository)?, digest(text)?)),
            _ => Err(Refusal::unknown(Code::Unsupported, "no endpoint of the distribution-spec has this path")),
        }
    }
}

fn name(parts: &[&str]) -> Result<Name, Refusal> {
    Name::parse(&parts.join("/")).ok_or_else(|| {
        Refusal::bad(
            Code::NameInvalid,
            "a repository's name is lower-case letters and digits, joined by `.`, `_`, `__`, dashes and `/`, at most 255 \
             characters",
        )
    })
}

/// A digest of a path or a query.
pub(super) fn digest(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|e: crate::oci::Error| Refusal::bad(Code::DigestInvalid, e.to_string()))
}

fn parse_pointer(text: &str) -> Result<Pointer, Refusal> {
    if text.contains(':') { digest(text).map(Pointer::Digest) } else { tag(text).map(Pointer::Tag) }
}

/// A tag of a path or a query.
pub(super) fn tag(text: &str) -> Result<Tag, Refusal> {
    text.parse().map_err(|e: crate::oci::Error| Refusal::bad(Code::ManifestInvalid, e.to_string()))
}

fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// The parameters of a query, decoded.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query as it stands in the request line.
    pub(super) fn parse(query: Option<&str>) -> Self {
        Self(url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// The first value of a parameter.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Every value of a parameter.
    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_from_the_right() {
        let hex = "a".repeat(64);
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        let name = |text| Name::parse(text).unwrap();
        for (path, want) in [
            ("/v2", Route::Base),
            ("/v2/", Route::Base),
            ("/v2/_catalog", Route::Catalog),
            ("/v2/a/tags/list", Route::Tags(name("a"))),
            ("/v2/tags/tags/list", Route::Tags(name("tags"))),
            (
                "/v2/a/manifests/b/manifests/t",
                Route::Manifest(name("a/manifests/b"), Pointer::Tag("t".parse().unwrap())),
            ),
            (&format!("/v2/a/b/manifests/sha256:{hex}"), Route::Manifest(name("a/b"), Pointer::Digest(digest.clone()))),
            (&format!("/v2/a/blobs/sha256%3A{hex}"), Route::Blob(name("a"), digest.clone())),
            (&format!("/v2/a/referrers/sha256:{hex}"), Route::Referrers(name("a"), digest)),
            ("/v2/a/blobs/uploads", Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads/", Route::Uploads(name("a"))),
            ("/v2/blobs/uploads/blobs/uploads/x", Route::Upload(name("blobs/uploads"), "x".to_owned())),
        ] {
            assert_eq!(Route::parse(path).unwrap(), want, "{path}");
        }
    }

    #[test]
    fn refuses() {
        for (path, status) in [
            ("/", 404),
            ("/v1/", 404),
            ("/v2/a", 404),
            ("/v2//tags/list", 400),
            ("/v2/../tags/list", 400),
            ("/v2/a/%2e%2e/b/tags/list", 400),
            ("/v2/a%2F..%2Fb/tags/list", 400),
            ("/v2/A/tags/list", 400),
            ("/v2/a/blobs/sha256:abc", 400),
            ("/v2/a/manifests/-t", 400),
            ("/v2/a/tags/%ff", 400),
            ("/v2/a/tags/%zz", 400),
        ] {
            let refusal = Route::parse(path).unwrap_err();
            assert_eq!(refusal.into_response().status(), status, "{path}");
        }
    }
}
