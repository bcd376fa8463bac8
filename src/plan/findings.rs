//! The planner's findings, with their codes.

use crate::diag::{Code, Diagnostic, Evidence, Severity, escape};

/// setuid, setgid and sticky bits are not taken over.
pub const SPECIAL_BITS: Code = Code("P001");
/// File capabilities are not taken over.
pub const CAPABILITIES: Code = Code("P002");
/// A symbolic link leads nowhere.
pub const DANGLING_LINK: Code = Code("P003");
/// The program runs as root.
pub const ROOT_USER: Code = Code("P004");
/// A user or group is written as its number.
pub const NAMED_USER: Code = Code("P005");
/// The entrypoint is not a file of the image.
pub const ENTRYPOINT: Code = Code("P006");
/// The user cannot write to a volume.
pub const VOLUME: Code = Code("P007");
/// An exclude pattern matched nothing.
pub const UNUSED_EXCLUDE: Code = Code("P008");
/// A group other than 0 where any uid shall do.
pub const OPENSHIFT_GROUP: Code = Code("P009");
/// File capabilities and `no_new_privs`.
pub const SET_CAPABILITIES: Code = Code("P010");
/// The entrypoint has no execute bit.
pub const NOT_EXECUTABLE: Code = Code("P011");

/// A program needs a file that is not in the image.
pub const MISSING: Code = Code("P012");
/// An added file takes the place of what a loader maps.
pub const REPLACED: Code = Code("P013");
/// An added program or library is for another machine.
pub const FOREIGN: Code = Code("P014");
/// An added program or library needs what is not in the image.
pub const LACKING: Code = Code("P015");

/// What is added takes the place of a file of the base.
pub const OVER_BASE: Code = Code("P016");
/// The base runs as a user that its account files do not have.
pub const BASE_USER: Code = Code("P017");

/// Most pieces of evidence that one finding lists.
const SHOWN: usize = 10;

/// One finding about many paths, of which some are listed.
pub(super) fn about_paths(code: Code, subject: &str, message: &str, what: &str, paths: &[Vec<u8>]) -> Diagnostic {
    let mut evidence: Vec<Evidence> = paths.iter().take(SHOWN).map(|path| Evidence::new(what, escape(path))).collect();
    if paths.len() > SHOWN {
        evidence.push(Evidence::new(what, format!("and {} more", paths.len() - SHOWN)));
    }
    Diagnostic::new(code, Severity::Warning, subject, message).with_evidence(evidence)
}
