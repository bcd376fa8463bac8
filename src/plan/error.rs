//! Why a plan cannot be made or read.

use crate::oci::ImagePath;
use crate::rootfs::walk;

/// Errors of planning. Every variant names the things that do not go together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No program was given.
    #[error("there is no program to put into the image")]
    NoProgram,
    /// A program's name that cannot be a file name.
    #[error("`{name}` cannot be the name of a program: {reason}")]
    ProgramName {
        /// The name, escaped.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Programs for different platforms in one image.
    #[error("{origin} is made for {actual}, but the image is for {expected}")]
    ProgramPlatform {
        /// The program.
        origin: String,
        /// What it is made for.
        actual: String,
        /// What the image is for.
        expected: String,
    },
    /// Two sources land on one path.
    #[error("{first} and {second} both land on `{path}`")]
    SamePath {
        /// Where.
        path: ImagePath,
        /// The source that came first.
        first: String,
        /// The source that came second.
        second: String,
    },
    /// Two sources want one directory with different owners or permissions.
    #[error("{first} and {second} want different owners or permissions for the directory `{path}`")]
    DirectoryAttributes {
        /// Where.
        path: ImagePath,
        /// The source that came first.
        first: String,
        /// The source that came second.
        second: String,
    },
    /// What cannot lie on the base.
    #[error("{origin} cannot lie on the base: `{path}` {reason}")]
    OnBase {
        /// The path of the base.
        path: ImagePath,
        /// What wants to lie there or below.
        origin: String,
        /// What the base has there.
        reason: &'static str,
    },
    /// The files of the base cannot be read.
    #[error("cannot read the base")]
    BaseRead(#[source] crate::rootfs::RootError),
    /// A directory for one source, something else for another.
    #[error("`{path}` is a directory for {directory}, but a file or link for {other}")]
    DirectoryOrNot {
        /// Where.
        path: ImagePath,
        /// The source that makes a directory of it.
        directory: String,
        /// The source that does not.
        other: String,
    },
    /// A path below something that is no directory.
    #[error("{origin} lands on `{path}`, but {above_origin} makes `{above}` a file or link")]
    BelowFile {
        /// Where.
        path: ImagePath,
        /// Its source.
        origin: String,
        /// The path above that is no directory.
        above: ImagePath,
        /// The source of that.
        above_origin: String,
    },
    /// A file or link in place of the root directory.
    #[error("{0} lands on `/`, which is a directory")]
    Root(String),
    /// A name that layers reserve for deletions (image-spec, layer.md, whiteouts).
    #[error("{origin} lands on `{path}`; names that begin with `.wh.` mean deletions in a layer")]
    Whiteout {
        /// Where.
        path: ImagePath,
        /// Its source.
        origin: String,
    },
    /// A path in a setting that is not a path of an image, or not absolute.
    #[error("`{text}` cannot be the {what}: {reason}")]
    Path {
        /// Which setting.
        what: &'static str,
        /// The refused text, escaped.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A symbolic link that leads out of the added directory or names a path that is not in the image.
    #[error("the symbolic link `{path}` to `{target}` (from {origin}) {reason}")]
    EscapingLink {
        /// The link.
        path: ImagePath,
        /// Its target, escaped.
        target: String,
        /// The source that brings the link.
        origin: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// The tree to add cannot be walked.
    #[error(transparent)]
    Walk(#[from] walk::Error),
    /// Not `SRC:DST[:MODE[:UID:GID]]`.
    #[error("`{text}` does not say what to add: {reason}")]
    Add {
        /// The refused text, escaped.
        text: String,
        /// Which part is wrong.
        reason: &'static str,
    },
    /// Not an octal mode.
    #[error("`{text}` is not a file mode: {reason}")]
    Mode {
        /// The refused text.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a user that an image can have.
    #[error("`{text}` cannot be the user: {reason}")]
    User {
        /// The refused text.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not `NAME=value`.
    #[error("`{text}` cannot be an environment variable: {reason}")]
    Env {
        /// The refused name.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not `port[/protocol]`.
    #[error("`{text}` is not a port: {reason}")]
    Port {
        /// The refused text.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a signal's name or number.
    #[error("`{text}` is not a signal: expected a name such as `SIGTERM` or a number from 1 to 64")]
    Signal {
        /// The refused text.
        text: String,
    },
    /// Not a key of a label or annotation.
    #[error("`{text}` cannot be the key of {what}: {reason}")]
    Key {
        /// `a label` or `an annotation`.
        what: &'static str,
        /// The refused text.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An entrypoint or argument that cannot be passed to a program.
    #[error("the {what} cannot be used: {reason}")]
    Command {
        /// `entrypoint` or `cmd`.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a list of capabilities.
    #[error("`{text}` does not say which file capabilities: {reason}")]
    Capability {
        /// The refused text.
        text: String,
        /// Which part is wrong.
        reason: &'static str,
    },
    /// No capability has this name.
    #[error("no capability is called `{name}`{}", nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownCapability {
        /// The refused name.
        name: String,
        /// The nearest name there is.
        nearest: Option<&'static str>,
    },
    /// File capabilities for something that is no regular file of the image.
    #[error("`{path}` cannot have file capabilities: {reason}")]
    CapabilityTarget {
        /// Where.
        path: ImagePath,
        /// Why not.
        reason: &'static str,
    },
    /// Content that coracle made itself cannot be read again.
    #[error("cannot show the content of `{path}`")]
    Content {
        /// Where.
        path: ImagePath,
        /// Why.
        #[source]
        source: crate::blob::Error,
    },
    /// A plan that cannot be encoded.
    #[error("cannot write the plan's text")]
    Encode(#[source] crate::oci::Error),
    /// A text that is not the text form of a plan.
    #[error("line {line} of the plan's text is not valid: {reason}")]
    Text {
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A text larger than [`crate::limits::MAX_PLAN_TEXT_BYTES`].
    #[error("the plan's text has {size} bytes, more than the limit of {limit}")]
    TextTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The bound in bytes.
        limit: usize,
    },
}
