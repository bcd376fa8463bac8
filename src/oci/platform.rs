//! `os/arch[/variant]` with the Go names that the image-spec prescribes (config.md, index.md).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Error;
use super::digest::shorten;

/// What an image runs on. Unknown members of a foreign platform object live on in the raw bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Platform {
    /// `GOARCH` value, for example `amd64`.
    pub architecture: String,
    /// `GOOS` value, `linux` for all that coracle makes.
    pub os: String,
    /// CPU variant, for example `v7` of `arm`; absent where the architecture has one meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// A Linux platform without variant.
    #[must_use]
    pub fn linux(architecture: &str) -> Self {
        Self { architecture: architecture.to_owned(), os: "linux".to_owned(), variant: None }
    }

    /// The same with a variant.
    #[must_use]
    pub fn with_variant(mut self, variant: &str) -> Self {
        self.variant = Some(variant.to_owned());
        self
    }

    /// The canonical form: common aliases mapped to Go names, `arm64/v8` and `amd64/v1` without their default
    /// variant, bare `arm` as `arm/v7` (the same rules as containerd's platform database).
    #[must_use]
    pub fn normalized(&self) -> Self {
        let lower = self.architecture.to_ascii_lowercase();
        let (architecture, implied) = match lower.as_str() {
            "x86_64" | "x86-64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "i386" | "i686" | "x86" => ("386", None),
            "armhf" => ("arm", Some("v7")),
            "armel" => ("arm", Some("v6")),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        let variant = self.variant.as_deref().map(str::to_ascii_lowercase).or(implied.map(str::to_owned));
        let variant = match (architecture, variant.as_deref()) {
            ("arm64", Some("v8" | "8")) | ("amd64", Some("v1")) => None,
            ("arm", None) => Some("v7".to_owned()),
            ("arm", Some(digit @ ("5" | "6" | "7" | "8"))) => Some(format!("v{digit}")),
            _ => variant,
        };
        Self { architecture: architecture.to_owned(), os: self.os.to_ascii_lowercase(), variant }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |reason| Error::Platform { text: shorten(text), reason };
        let parts: Vec<&str> = text.split('/').collect();
        let word = |s: &&str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if !parts.iter().all(word) {
            return Err(refuse("each part is letters, digits, `_`, `-` or `.`"));
        }
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (*os, *architecture, None),
            [os, architecture, variant] => (*os, *architecture, Some((*variant).to_owned())),
            _ => return Err(refuse("expected `os/arch` or `os/arch/variant`")),
        };
        Ok(Self { architecture: architecture.to_owned(), os: os.to_owned(), variant }.normalized())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizes() {
        for (text, want) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/amd64/v3", "linux/amd64/v3"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), want);
        }
        assert!("linux".parse::<Platform>().is_err());
        assert!("linux//v7".parse::<Platform>().is_err());
        assert!("linux/arm/v7/x".parse::<Platform>().is_err());
    }
}
