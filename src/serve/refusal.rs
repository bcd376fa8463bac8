//! What a client is told when it does not get what it wants: the JSON envelope of the distribution-spec
//! ("Error Codes").

use std::io::ErrorKind;

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::Error;
use super::body::{self, ReplyBody};

/// The codes of the distribution-spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    /// Not of the distribution-spec: what ACR says.
    ContentLengthInvalid,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    /// Not of the distribution-spec: what registries with immutable tags say.
    TagInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    TooManyRequests,
}

impl Code {
    const fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::ContentLengthInvalid => "CONTENT_LENGTH_INVALID",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TagInvalid => "TAG_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
        }
    }
}

/// A refused request. Messages speak of the request only: never of a path of this machine.
#[derive(Debug)]
pub(super) struct Refusal(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: Code,
    message: String,
    detail: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What the operator should know and the client should not.
    cause: Option<Error>,
}

impl Refusal {
    /// A refusal with a message.
    pub(super) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner { status, code, message, detail: None, headers: Vec::new(), cause: None }))
    }

    /// A 400 with a message.
    pub(super) fn bad(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A 404 that names what is not there.
    pub(super) fn unknown(code: Code, what: impl std::fmt::Display) -> Self {
        let mut refusal = Self::new(StatusCode::NOT_FOUND, code, "not known to this registry");
        refusal.0.detail = Some(what.to_string());
        refusal
    }

    /// The same refusal with one more header; a value that no header can hold is left out.
    pub(super) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.push((name, value));
        }
        self
    }

    /// The failure behind a 5xx, for the operator.
    pub(super) fn cause(&self) -> Option<&Error> {
        self.0.cause.as_ref()
    }

    /// The response.
    pub(super) fn into_response(self) -> Response<ReplyBody> {
        let Inner { status, code, message, detail, headers, .. } = *self.0;
        let mut error = json!({ "code": code.as_str(), "message": message });
        if let Some(detail) = detail {
            error["detail"] = detail.into();
        }
        let mut response = Response::new(body::full(json!({ "errors": [error] }).to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(headers);
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let mut refusal = match &error {
            Error::DigestMismatch { .. } => Self::bad(Code::DigestInvalid, error.to_string()),
            Error::ReferenceSize { .. } => Self::bad(Code::SizeInvalid, error.to_string()),
            Error::MissingReference(digest) => {
                let mut refusal = Self::new(
                    StatusCode::NOT_FOUND,
                    Code::ManifestBlobUnknown,
                    "the manifest refers to content that is not in the repository",
                );
                refusal.0.detail = Some(digest.to_string());
                refusal
            }
            Error::Precondition => Self::new(StatusCode::PRECONDITION_FAILED, Code::ManifestInvalid, error.to_string()),
            Error::IsManifest(_) => Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, error.to_string()),
            Error::IndexTooLarge { .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, Code::Denied, "the repository holds too many manifests")
            }
            Error::Full { .. } => Self::new(StatusCode::INSUFFICIENT_STORAGE, Code::Denied, error.to_string()),
            Error::Io { source, .. } if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, Code::Denied, "the registry's storage is full")
            }
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Denied, "the registry failed"),
        };
        if refusal.0.status.is_server_error() {
            refusal.0.cause = Some(error);
        }
        refusal
    }
}
