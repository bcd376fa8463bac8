//! What a rule asks for.

use std::fmt;

use serde::Serialize;

use crate::analyze::{Confidence, Level};
use crate::diag::{Evidence, escape};

/// One need that a rule found. Whether it can be met depends on the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// `pack/rule`.
    pub rule: String,
    /// Index into the members that were evaluated.
    pub needed_by: usize,
    /// How much.
    pub level: Level,
    /// How it is known.
    pub confidence: Confidence,
    /// The symbols and strings that made the rule hold.
    pub evidence: Vec<Evidence>,
    /// What.
    pub want: Want,
    /// Name by which `--with NAME` includes it and `--without NAME` leaves it out.
    pub feature: Option<String>,
    /// One line for people, for example `looks up host names`.
    pub about: String,
}

/// What is wanted. All paths are absolute in the root; `..` in them is resolved there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Want {
    /// One of these files, the first that exists; each may be a link, an ELF file or a script. A directory is no answer.
    AnyOf(Vec<Vec<u8>>),
    /// All of these files that exist; at least one must.
    AllOf(Vec<Vec<u8>>),
    /// The first of these that is a directory, with all below it. Links inside stay links, and what they lead to is needed
    /// too, also outside of the directory; so are the libraries that ELF files in it need.
    Tree {
        /// Candidates.
        paths: Vec<Vec<u8>>,
        /// Globs of file names; empty for all files.
        only: Vec<String>,
    },
    /// A library by name, looked up as the loader would for a `dlopen` by the member; the first that is found.
    Library(Vec<Vec<u8>>),
    /// Another program that is executed, with its own closure: absolute, or a name looked up in the image's `PATH`; the
    /// first that exists.
    Program(Vec<Vec<u8>>),
    /// Something that coracle makes or chooses itself.
    Generated(Generated),
    /// The container runtime provides it; never packed.
    AtRunTime(Vec<u8>),
    /// A directory that the program writes to: absolute, or `~` for the home of the image's user.
    Writable(Vec<u8>),
}

/// What coracle makes or chooses itself, from the root's own files where these may be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generated {
    /// `/etc/nsswitch.conf`.
    Nsswitch,
    /// `/etc/passwd` and `/etc/group`.
    Passwd,
    /// A bundle of CA certificates.
    CaBundle {
        /// Where the program looks for a bundle file, the first choice first.
        paths: Vec<Vec<u8>>,
    },
    /// Time zone data.
    Zoneinfo {
        /// Directories in which the program looks, the first choice first.
        paths: Vec<Vec<u8>>,
    },
    /// Locales: those that `--with locale=NAME` names, else `C.utf8`, each a directory of the first of these
    /// directories that exists.
    Locale {
        /// Directories of locales.
        paths: Vec<Vec<u8>>,
    },
    /// Converters between character sets: `gconv-modules.cache` (or `gconv-modules` and `gconv-modules.d`) of the first
    /// of these directories that exists, with the modules of the sets that `--with gconv=CHARSET` names, else all.
    Gconv {
        /// Directories of converters.
        paths: Vec<Vec<u8>>,
    },
}

impl Want {
    /// The absolute paths and names it is about, as written; none where coracle makes it itself.
    #[must_use]
    pub fn names(&self) -> &[Vec<u8>] {
        match self {
            Self::AnyOf(names)
            | Self::AllOf(names)
            | Self::Tree { paths: names, .. }
            | Self::Library(names)
            | Self::Program(names) => names,
            Self::Generated(made) => made.paths(),
            Self::AtRunTime(path) | Self::Writable(path) => std::slice::from_ref(path),
        }
    }
}

impl Generated {
    /// The paths that it has wherever the program looks.
    #[must_use]
    pub const fn fixed_paths(&self) -> &'static [&'static [u8]] {
        match self {
            Self::Nsswitch => &[b"/etc/nsswitch.conf"],
            Self::Passwd => &[b"/etc/passwd", b"/etc/group"],
            Self::CaBundle { .. } | Self::Zoneinfo { .. } | Self::Locale { .. } | Self::Gconv { .. } => &[],
        }
    }

    /// The places where the program looks for it; empty where they are fixed.
    #[must_use]
    pub fn paths(&self) -> &[Vec<u8>] {
        match self {
            Self::Nsswitch | Self::Passwd => &[],
            Self::CaBundle { paths } | Self::Zoneinfo { paths } | Self::Locale { paths } | Self::Gconv { paths } => {
                paths
            }
        }
    }
}

/// One line, with bytes escaped.
impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::AnyOf(_) => "file",
            Self::AllOf(_) => "files",
            Self::Tree { .. } => "tree",
            Self::Library(_) => "library",
            Self::Program(_) => "program",
            Self::Generated(Generated::Nsswitch) => "nsswitch",
            Self::Generated(Generated::Passwd) => "passwd",
            Self::Generated(Generated::CaBundle { .. }) => "ca-bundle",
            Self::Generated(Generated::Zoneinfo { .. }) => "zoneinfo",
            Self::Generated(Generated::Locale { .. }) => "locale",
            Self::Generated(Generated::Gconv { .. }) => "gconv",
            Self::AtRunTime(_) => "at-run-time",
            Self::Writable(_) => "writable",
        };
        f.write_str(word)?;
        for name in self.names() {
            write!(f, " {}", escape(name))?;
        }
        if let Self::Tree { only, .. } = self
            && !only.is_empty()
        {
            write!(f, " only {}", only.join(" "))?;
        }
        Ok(())
    }
}
