//! Which files the loader of a root maps for a program, decided from bytes alone.
//!
//! glibc and musl each by their own rules: the order of the walk, reuse of what is loaded already, search paths and their
//! inheritance, the cache, default directories. Sources of the rules: glibc `elf/dl-load.c`, `elf/dl-deps.c`,
//! `elf/dl-cache.c`, `elf/dl-version.c`; musl `ldso/dynlink.c`. *Invariant:* nothing is executed.

mod cache;
mod cache_write;
mod closure;
mod glibc;
mod musl;
mod object;
mod parsed;
mod profile;
mod remembered;
mod search;
mod target;
mod tokens;
mod versions;
mod walk;

pub use cache::{CacheEntry, CacheError, LdCache};
pub use cache_write::CacheLine;
pub use closure::{
    Alias, Answer, Attempt, Audit, Closure, Dlopen, Loaded, Missing, Search, Step, Undecidable, Verdict,
};
pub use object::{Abi, Candidate, Dependency, Found, NeededVersion, Object, Shape};
pub use parsed::ParsedObjects;
pub use profile::{Libc, Profile};
pub(in crate::analyze) use remembered::Windows;
pub use search::Objects;
pub use target::{Refusal, Target, path_file};
pub use versions::{VersionProblem, check_versions};
