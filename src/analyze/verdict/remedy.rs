//! What a person can add to the command line to mend a finding.

use std::fmt;

use crate::diag::escape;

/// Something that mends a finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Remedy {
    /// A symbolic link in the image, as a package's script would have made it.
    Link {
        /// Absolute path of the link.
        link: Vec<u8>,
        /// Absolute path of the file that it leads to, in the root and in the image.
        target: Vec<u8>,
    },
}

/// The flag that does it.
impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link { link, target } => write!(f, "--with link:{}={}", escape(link), escape(target)),
        }
    }
}
