//! The readers of `registries.conf` and `hosts.toml`.
#![cfg_attr(fuzzing, no_main)]

use std::path::Path;

use coracle::registry::{HostsToml, RegistriesConf};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// No input makes a reader panic; a refusal names the file and stays on one line.
pub fn run(data: &[u8]) {
    for refusal in [RegistriesConf::parse(data, "r.conf").err(), HostsToml::parse(data, Path::new("/d")).err()]
        .into_iter()
        .flatten()
    {
        assert!(refusal.path == "r.conf" || refusal.path == "/d/hosts.toml");
        assert!(!refusal.reason.contains('\n'), "{refusal}");
    }
}
