//! Real programs that judge our work. An absent one skips its check, except where the run promises it.

use std::io::Write;
use std::path::PathBuf;

/// Peers of the tiers `attest` and `kube` of `scripts/peers.sh`; all others are of tier `base`.
const TIERS: &[(&str, &[&str])] = &[
    ("attest", &["cosign", "syft", "grype", "trivy", "sigstore", "slsa-verifier", "apksums"]),
    ("kube", &["kubectl", "kube-apiserver", "etcd", "kind", "k3d", "helm"]),
];

/// The path of a peer. `None`, said on stdout, when it is absent; then the test returns.
///
/// # Panics
/// When `CI=true` and `CORACLE_PEERS` lists the peer's tier: such a run promises that its peers are there.
pub fn find(name: &str) -> Option<PathBuf> {
    let own = std::env::var_os("CORACLE_PEERS_DIR").map(PathBuf::from).or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
        cache.map(|cache| cache.join("coracle/peers"))
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = own.map(|own| own.join("bin")).into_iter().chain(std::env::split_paths(&path));
    let directories = directories.chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = directories.map(|directory| directory.join(name)).find(|candidate| candidate.is_file());
    if found.is_none() {
        let tier = TIERS.iter().find(|(_, names)| names.contains(&name)).map_or("base", |(tier, _)| tier);
        let promised = std::env::var("CORACLE_PEERS").unwrap_or_default();
        let required =
            std::env::var("CI").is_ok_and(|ci| ci == "true") && promised.split([',', ' ']).any(|t| t == tier);
        assert!(!required, "peer {name} of tier {tier} is absent, and CORACLE_PEERS promises it");
        skipped(&format!("peer {name} absent"));
    }
    found
}

/// Says why a check is left out.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stdout(), "skipped: {why}");
}

/// Whether this process may do everything.
#[allow(dead_code, reason = "few tests start daemons")]
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Whether daemons can be started, which need root; said on stdout when not.
#[allow(dead_code, reason = "few tests start daemons")]
pub fn root() -> bool {
    if !is_root() {
        skipped("the daemon needs root");
    }
    is_root()
}
