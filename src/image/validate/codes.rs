//! The codes of the validator, all of area `V`. `docs/diagnostics.md` explains them to people.

use crate::diag::{Code, Severity};

/// A code with the weight that its findings have.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The code.
    pub code: Code,
    /// The weight.
    pub severity: Severity,
}

macro_rules! rules {
    ($($name:ident = Code($code:literal) $severity:ident, $doc:literal;)*) => {
        $(#[doc = $doc] pub(super) const $name: Rule = Rule { code: Code($code), severity: Severity::$severity };)*
        /// Every rule with a line on what it means, in the order of the codes.
        pub const RULES: &[(Rule, &str)] = &[$(($name, $doc)),*];
    };
}

rules! {
    UNREADABLE = Code("V001") Error, "content that a manifest names is not there or cannot be read";
    DIGEST = Code("V002") Error, "content does not have the digest under which it is stored";
    SIZE = Code("V003") Error, "content does not have the size that its descriptor gives";
    DIFF_ID = Code("V004") Error, "an unpacked layer does not have the diff ID that the config gives";
    DOCUMENT = Code("V005") Error, "a manifest, index or config cannot be parsed";
    MANIFEST_TYPE = Code("V006") Error, "a manifest has a media type that is neither an image manifest nor an index";
    SCHEMA_VERSION = Code("V007") Error, "a manifest or index does not have `schemaVersion` 2";
    NO_MEDIA_TYPE = Code("V008") Note, "a manifest or index does not say its own media type";
    OTHER_MEDIA_TYPE = Code("V009") Error, "a manifest says another media type than its descriptor";
    MIXED_TYPES = Code("V010") Error, "a manifest mixes media types of Docker and OCI";
    LAYER_TYPE = Code("V011") Error, "a layer has a media type that no runtime unpacks";
    LAYER_COUNT = Code("V012") Error, "config and manifest disagree on the number of layers";
    HISTORY_COUNT = Code("V013") Error, "the history's entries that are not empty are not as many as the layers";
    ROOTFS_TYPE = Code("V014") Error, "the type of the config's `rootfs` is not `layers`";
    PLATFORM_DIFFERS = Code("V015") Error, "an index entry names another platform than the image's config";
    PLATFORM_TWICE = Code("V016") Error, "two entries of an index are for one platform, so that the second is never chosen";
    NO_PLATFORM = Code("V017") Warning, "an index entry of an image names no platform";
    TOO_DEEP = Code("V018") Error, "indexes nest deeper or have more children than any client follows";
    PLATFORM_INVALID = Code("V019") Error, "the config does not name an operating system and an architecture";
    CREATED = Code("V020") Error, "the config's `created` is not an RFC 3339 time";
    USER = Code("V021") Warning, "the user is a name, which `runAsNonRoot` of Kubernetes refuses";
    NO_COMMAND = Code("V022") Warning, "the image has neither entrypoint nor command";
    COMMAND_MISSING = Code("V023") Error, "the entrypoint is not in the image";
    COMMAND_NOT_EXECUTABLE = Code("V024") Error, "the image's user cannot execute the entrypoint";
    WORKING_DIR = Code("V025") Error, "the working directory is not an absolute path";
    ENVIRONMENT = Code("V026") Error, "an environment variable has no `=`, no name, or stands twice";
    NO_USER = Code("V027") Error, "the user or group is a name that `/etc/passwd` or `/etc/group` of the image does not have";
    DAMAGED = Code("V030") Error, "the compressed stream of a layer is damaged";
    OTHER_COMPRESSION = Code("V031") Error, "a layer is compressed in another way than its media type says";
    BOMB = Code("V032") Error, "a layer unpacks to more bytes than any image needs";
    NOT_TAR = Code("V033") Error, "a layer is not a tar archive, or a damaged one";
    TRAILING = Code("V034") Warning, "something stands behind the end of a layer's archive";
    NO_END = Code("V035") Warning, "a layer's archive does not end with two blocks of zeros";
    ABSOLUTE = Code("V040") Error, "a path of a layer is absolute";
    DOT_DOT = Code("V041") Error, "a path of a layer has a `..` component";
    PATH_INVALID = Code("V042") Error, "a path of a layer is empty, too long, or has a NUL byte";
    DUPLICATE = Code("V043") Error, "a path stands twice in one layer";
    PARENT = Code("V044") Error, "a path lies below something that is not a directory";
    NO_PARENT = Code("V045") Note, "a directory is only implied by what it holds, so that runtimes choose its mode";
    HARD_LINK = Code("V046") Error, "a hard link names a file that is not there before it";
    DEVICE = Code("V047") Error, "a layer has a device node, which needs privileges to unpack";
    FIFO = Code("V048") Warning, "a layer has a named pipe";
    SET_ID = Code("V049") Warning, "a file has the setuid or setgid bit";
    LOWEST_WHITEOUT = Code("V050") Error, "the lowest layer has a whiteout, though there is nothing below to hide";
    IDLE_WHITEOUT = Code("V051") Warning, "a whiteout hides nothing";
    BAD_WHITEOUT = Code("V052") Error, "a whiteout names no file";
    LINK_TARGET = Code("V053") Error, "a symbolic link has no target";
    UNCLEAR_HEADER = Code("V054") Warning, "a header is read differently by different programs";
    KIND = Code("V055") Error, "an entry has a type that no runtime unpacks";
    WRITABLE = Code("V056") Warning, "everyone may write to a file, or to a directory without the sticky bit";
    OWNER_NAME = Code("V057") Note, "an entry names its owner; runtimes use the number";
    UNSORTED = Code("V060") Note, "the entries of a layer are not sorted";
    TIMES = Code("V061") Note, "entries of a layer have times other than the image's creation";
}
