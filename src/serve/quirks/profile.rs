//! Profiles: which registry has which quirk, and who says so.

use std::fmt;
use std::str::FromStr;

use super::Quirks;

/// A registry to behave like, as far as its difference from the distribution-spec is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Amazon ECR.
    Ecr,
    /// GitHub Container Registry.
    Ghcr,
    /// Google Artifact Registry.
    Gar,
    /// Azure Container Registry.
    Acr,
    /// Docker Hub.
    Hub,
    /// Quay.
    Quay,
    /// docker-registry 2.8, the old reference implementation.
    Distribution2,
}

impl Profile {
    /// All profiles with their names.
    pub const ALL: [(&'static str, Self); 7] = [
        ("ecr", Self::Ecr),
        ("ghcr", Self::Ghcr),
        ("gar", Self::Gar),
        ("acr", Self::Acr),
        ("hub", Self::Hub),
        ("quay", Self::Quay),
        ("distribution2", Self::Distribution2),
    ];

    /// Its quirks.
    #[must_use]
    pub fn quirks(self) -> Quirks {
        let none = Quirks::default();
        match self {
            // PATCH answered by 201 (jdx/mise#11376, cirruslabs/tart#273), parts of 5 MiB and more (tart#273), tags that
            // cannot be pushed again (aws/containers-roadmap#2380), no `Location` of manifests by digest (oci-client's
            // sources), 1000 tags to a page (go-containerregistry's sources), `OCI-Subject` without referrers
            // (sigstore/sigstore-js#1183).
            Self::Ecr => Quirks {
                patch_status: Some(201),
                chunk_min: Some(5 << 20),
                immutable_tags: true,
                no_manifest_location: true,
                tags_page_max: Some(1000),
                no_referrers: true,
                ..none
            },
            // Chunks of at most 4 MiB (ocx-sh/ocx#237), no referrers.
            Self::Ghcr => Quirks { chunk_max: Some(4 << 20), no_referrers: true, no_subject_header: true, ..none },
            // No chunks (dotnet/sdk-container-builds#287).
            Self::Gar => Quirks { no_chunks: true, ..none },
            // No large PUT in some tiers, no body of unknown length (goharbor/harbor#23015, #23016).
            Self::Acr => Quirks { put_max: Some(20_000_000), needs_length: true, ..none },
            // `OCI-Subject` of manifests that are not listed later (docker/hub-feedback#2372); mounts across users fail
            // (go-containerregistry#1741).
            Self::Hub => Quirks { no_referrers: true, no_mount: true, ..none },
            // Mounts need a source (go-containerregistry's sources); empty blobs fail (opencontainers/image-spec#1025).
            Self::Quay => Quirks { mount_needs_from: true, no_empty_blob: true, ..none },
            // Measured: the order of chunks is not looked at, a cut upload is gone, neither SHA-512 nor referrers.
            Self::Distribution2 => Quirks {
                any_chunk_order: true,
                cut_ends_upload: true,
                sha256_only: true,
                no_referrers: true,
                no_subject_header: true,
                ..none
            },
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, profile)| profile == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, profile)| *profile).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(name, _)| *name).collect();
            format!("expected one of {}", names.join(", "))
        })
    }
}
