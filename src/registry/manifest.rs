//! Manifests and tags.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Error;
use super::auth::Wants;
use super::host::{Call, Host, drain};
use crate::limits;
use crate::net::{Method, Payload, Response, StatusCode, header};
use crate::oci::media_type;
use crate::oci::{Descriptor, Digest, Hasher, RawManifest, RedactedUrl};
use crate::store::Pointer;

/// Everything that a registry may hold under a tag. Schema 1 is asked for so that it is refused by name and not
/// changed by the registry into something else.
const ACCEPT: &[&str] = &[
    media_type::OCI_INDEX,
    media_type::OCI_MANIFEST,
    media_type::DOCKER_MANIFEST_LIST,
    media_type::DOCKER_MANIFEST,
    media_type::DOCKER_SCHEMA1_SIGNED,
    media_type::DOCKER_SCHEMA1,
];

fn read_call(host: &Host, repository: &str, method: Method, pointer: &str, wants: Wants) -> Result<Call, Error> {
    let url = host.url(repository, &format!("manifests/{pointer}"))?;
    let mut call = Call::new(method, url, wants);
    for kind in ACCEPT {
        call.request.headers.append(header::ACCEPT, header::HeaderValue::from_static(kind));
    }
    Ok(call)
}

fn claimed_digest(response: &Response) -> Option<Digest> {
    response.header("docker-content-digest").and_then(|text| text.trim().parse().ok())
}

/// The descriptor by `HEAD`; where the answer does not tell type, digest and size, by `GET`.
pub(super) async fn head(
    host: &Host,
    repository: &str,
    pointer: &Pointer,
    wants: Wants,
) -> Result<Option<Descriptor>, Error> {
    let call = read_call(host, repository, Method::HEAD, &pointer.to_string(), wants.clone())?;
    let response = host.expect(&call, &[StatusCode::OK, StatusCode::NOT_FOUND]).await?;
    if response.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let size = response.header(header::CONTENT_LENGTH.as_str()).and_then(|text| text.trim().parse::<u64>().ok());
    let kind = response.header(header::CONTENT_TYPE.as_str()).map(media_type::essence).filter(|k| is_specific(k));
    let digest = match pointer {
        Pointer::Digest(digest) => Some(digest.clone()),
        Pointer::Tag(_) => claimed_digest(&response),
    };
    match (kind, digest, size) {
        (Some(kind), Some(digest), Some(size)) => Ok(Some(Descriptor::new(&kind, digest, size))),
        _ => Ok(get(host, repository, pointer, wants).await?.map(|manifest| manifest.descriptor())),
    }
}

/// Fetches and verifies; `None` when the registry has nothing under this name.
pub(super) async fn get(
    host: &Host,
    repository: &str,
    pointer: &Pointer,
    wants: Wants,
) -> Result<Option<RawManifest>, Error> {
    get_named(host, repository, &pointer.to_string(), wants).await
}

/// As [`get`], for a name that is a tag of our own making or a digest.
pub(super) async fn get_named(
    host: &Host,
    repository: &str,
    name: &str,
    wants: Wants,
) -> Result<Option<RawManifest>, Error> {
    let call = read_call(host, repository, Method::GET, name, wants)?;
    let good = [StatusCode::OK, StatusCode::NOT_FOUND];
    let (response, bytes) = host.document(&call, &good, limits::MAX_MANIFEST_BYTES).await?;
    if response.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let url = RedactedUrl::new(call.request.url.clone());
    let expected = name.parse::<Digest>().ok().or_else(|| claimed_digest(&response));
    let actual = match &expected {
        Some(expected) => {
            let mut hasher = Hasher::new(expected.algorithm());
            hasher.update(&bytes);
            hasher.finish()
        }
        None => Digest::of(&bytes),
    };
    if let Some(expected) = expected.filter(|expected| *expected != actual) {
        return Err(Error::DigestMismatch { url, expected, actual });
    }
    let declared = response.header(header::CONTENT_TYPE.as_str()).map(media_type::essence).unwrap_or_default();
    let kind = if is_specific(&declared) { declared } else { kind_of(&bytes).unwrap_or(declared) };
    RawManifest::with_digest(&kind, bytes, actual).map(Some).map_err(|source| Error::Document { url, source })
}

/// Whether a content type says more than that it is JSON or text.
fn is_specific(kind: &str) -> bool {
    !matches!(kind, "" | "application/json" | "text/plain" | "application/octet-stream")
}

/// The type that the document itself declares, or whose members it has.
fn kind_of(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape<'a> {
        media_type: Option<String>,
        #[serde(borrow)]
        manifests: Option<&'a RawValue>,
        #[serde(borrow)]
        config: Option<&'a RawValue>,
    }
    let shape: Shape = serde_json::from_slice(bytes).ok()?;
    match (shape.media_type, shape.manifests, shape.config) {
        (Some(kind), ..) => Some(kind),
        (None, Some(_), _) => Some(media_type::OCI_INDEX.to_owned()),
        (None, None, Some(_)) => Some(media_type::OCI_MANIFEST.to_owned()),
        _ => None,
    }
}

/// Puts a manifest under its digest or a tag and checks what the registry says it has taken. Says whether the registry
/// promises to list it among the referrers of its subject (`OCI-Subject`; distribution-spec, "Pushing Manifests with Subject").
pub(super) async fn put(host: &Host, repository: &str, name: &str, manifest: &RawManifest) -> Result<bool, Error> {
    let url = host.url(repository, &format!("manifests/{name}"))?;
    let mut call = Call::new(Method::PUT, url.clone(), Wants::push(repository));
    let kind = header::HeaderValue::from_str(manifest.media_type()).map_err(|_| Error::Document {
        url: RedactedUrl::new(url.clone()),
        source: crate::oci::Error::UnknownManifestType(crate::diag::escape(manifest.media_type().as_bytes())),
    })?;
    call.request.headers.insert(header::CONTENT_TYPE, kind);
    call.request.body = Payload::Bytes(Bytes::copy_from_slice(manifest.bytes()));
    let good = [StatusCode::CREATED, StatusCode::ACCEPTED, StatusCode::OK, StatusCode::NO_CONTENT];
    let mut response = host.expect(&call, &good).await?;
    let claimed = claimed_digest(&response).filter(|d| d.algorithm() == manifest.digest().algorithm());
    let lists = response.header("oci-subject").is_some();
    drain(&mut response).await;
    // Whoever answers 200 to everything, a proxy for example, has not taken it; 201 is what the distribution-spec demands.
    if claimed.is_none() && response.status() != StatusCode::CREATED {
        return Err(Error::NoHeader {
            method: Method::PUT,
            url: RedactedUrl::new(url),
            header: "Docker-Content-Digest",
        });
    }
    match claimed {
        Some(actual) if actual != *manifest.digest() => {
            let expected = manifest.digest().clone();
            Err(Error::DigestMismatch { url: RedactedUrl::new(url), expected, actual })
        }
        _ => Ok(lists),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_tell_their_type() {
        for (json, want) in [
            (r#"{"mediaType":"a/b","config":{}}"#, Some("a/b")),
            (r#"{"manifests":[]}"#, Some(media_type::OCI_INDEX)),
            (r#"{"config":{},"layers":[]}"#, Some(media_type::OCI_MANIFEST)),
            ("{}", None),
            ("[", None),
        ] {
            assert_eq!(kind_of(json.as_bytes()).as_deref(), want, "{json}");
        }
    }
}
