//! Who the program runs as, and the account files.

use super::Error;
use super::add::parse_id;

/// The user nobody else has, as distroless images number it.
pub const NONROOT: u64 = 65532;

/// Accounts whose numbers are the same in every image, so that their names can be written as numbers.
const KNOWN: [(&str, u64); 3] = [("root", 0), ("nobody", 65534), ("nonroot", NONROOT)];

/// Numeric user and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub uid: u64,
    pub gid: u64,
}

impl User {
    /// What `USER` of the config says.
    pub fn to_config(self) -> String {
        format!("{}:{}", self.uid, self.gid)
    }
}

/// Parses `uid[:gid]`. A name other than the known ones is refused: Kubernetes cannot tell whether it is root
/// (`runAsNonRoot` fails with "non-numeric user"), and without account files no runtime can look it up.
pub(super) fn parse_user(text: &str) -> Result<User, Error> {
    let refuse = |reason| Error::User { text: text.to_owned(), reason };
    let id = |part: &str, what: &'static str| {
        let known = KNOWN.iter().find(|(name, _)| *name == part).map(|(_, id)| *id);
        known.or_else(|| parse_id(part)).ok_or_else(|| refuse(what))
    };
    let not_uid = "expected a number from 0 to 4294967294, or `root`, `nobody` or `nonroot`; \
                   other names fail `runAsNonRoot` and cannot be looked up in the image";
    let (uid, gid) = match text.split_once(':') {
        Some((uid, gid)) => (uid, Some(gid)),
        None => (text, None),
    };
    let uid = id(uid, not_uid)?;
    let gid = gid.map_or(Ok(uid), |gid| id(gid, "the group is not a number from 0 to 4294967294"))?;
    Ok(User { uid, gid })
}

/// `/etc/passwd` as distroless has it, with a line for a user it does not know.
pub(super) fn passwd(user: User) -> String {
    let mut text = "root:x:0:0:root:/root:/sbin/nologin\n\
                    nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n\
                    nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
        .to_owned();
    if KNOWN.iter().all(|(_, id)| *id != user.uid) {
        text.push_str(&format!("app:x:{}:{}:app:/:/sbin/nologin\n", user.uid, user.gid));
    }
    text
}

/// `/etc/group` as distroless has it, with a line for a group it does not know.
pub(super) fn group(user: User) -> String {
    let mut text = "root:x:0:\nnobody:x:65534:\ntty:x:5:\nstaff:x:50:\nnonroot:x:65532:\n".to_owned();
    if ![0, 5, 50, 65532, 65534].contains(&user.gid) {
        text.push_str(&format!("app:x:{}:\n", user.gid));
    }
    text
}
