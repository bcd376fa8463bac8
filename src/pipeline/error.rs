//! What can stop the pipeline.

use std::path::PathBuf;

use crate::diag::Diagnostic;
use crate::{image, layer, net, oci, plan, registry, store};

/// Errors of the pipeline. Those of lower layers pass through with their own words.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// As the user wrote it.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A place that holds an image alone.
    #[error("`{0}` cannot hold what refers to an image")]
    NoReferrers(String),
    /// Nothing lies at this path of the root.
    #[error("the root has no `{}`", .0.display())]
    Absent(PathBuf),
    /// A directory where a program is expected.
    #[error("`{}` is a directory, not a program", .0.display())]
    Directory(PathBuf),
    /// A FIFO, socket or device where a program is expected.
    #[error("`{}` is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// A file name that cannot name a program of an image.
    #[error("the file name of `{}` cannot name a program", .0.display())]
    ProgramName(PathBuf),
    /// Nothing was named.
    #[error("there is no program to build an image from")]
    NoProgram,
    /// Programs that no image can be made from; each has a finding of severity `error`.
    #[error("no image can be made from what was found")]
    Refused(Vec<Diagnostic>),
    /// The programs need something else than the lock says.
    #[error("what the programs need is not what `{}` says", file.display())]
    LockDiffers {
        /// The lock's file.
        file: PathBuf,
        /// How.
        difference: Box<plan::LockDifference>,
    },
    /// An image with which no plan travels.
    #[error("no plan travels with `{0}`, so nobody wrote down why its paths are there")]
    NoPlan(String),
    /// A program whose libraries are not looked up by a loader, or cannot be.
    #[error("no loader looks up libraries for `{}`: {reason}", path.display())]
    NoLoader {
        /// The program.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A program that is made for something else than the user said.
    #[error("`{}` is made for `{actual}`, not for `{said}`", path.display())]
    OtherPlatform {
        /// The program.
        path: PathBuf,
        /// What the user said.
        said: Box<oci::Platform>,
        /// What it is.
        actual: Box<oci::Platform>,
    },
    /// A platform was asked for that no program is made for.
    #[error("no program is made for `{wanted}`; there are programs for {}", list(have))]
    NoPlatform {
        /// What was asked.
        wanted: Box<oci::Platform>,
        /// What there is.
        have: Vec<oci::Platform>,
    },
    /// Pushing was asked for, but no name.
    #[error("there is no name to push to")]
    NoTag,
    /// A name with a digest, which only the content can have.
    #[error("`{0}` has a digest, but a new image has its own")]
    TagWithDigest(Box<oci::Reference>),
    /// Two outputs are the same place.
    #[error("`{0}` is named twice as an output")]
    SameOutput(String),
    /// An output that would be written over what is read, or into the middle of it.
    #[error("the output `{output}` would change `{}`, which goes into the image", input.display())]
    OutputIsInput {
        /// The output.
        output: String,
        /// The file.
        input: PathBuf,
    },
    /// An output with a digest, which only the content can have.
    #[error("`{0}` has a digest, but a new image has its own")]
    PinnedOutput(String),
    /// A registry among the outputs.
    #[error("`{0}` is a place in a registry, which is pushed to and not written")]
    RegistryOutput(String),
    /// zstd layers for an archive or daemon.
    #[error("`{0}` cannot have layers compressed with zstd, which `docker load` cannot read")]
    ZstdForDocker(String),
    /// A place that takes images and gives none.
    #[error("`{0}` cannot be read from")]
    OnlyForWriting(String),
    /// A destination that names another digest than the image has.
    #[error("`{to}` cannot hold this image, whose digest is `{actual}`")]
    OtherDigest {
        /// The destination.
        to: Box<oci::Reference>,
        /// What the image has.
        actual: oci::Digest,
    },
    /// A layer of a kind that cannot be read.
    #[error("layer `{digest}` has the media type `{media_type}`, which is none that coracle reads")]
    LayerType {
        /// The layer.
        digest: oci::Digest,
        /// Its media type.
        media_type: String,
    },
    /// An image of which nobody knows what it was built on.
    #[error("`{image}` does not say which base it was built on")]
    NoBaseKnown {
        /// The image.
        image: String,
    },
    /// An image that does not stand on the base.
    #[error("the layers of `{image}` do not begin with those of the base that it is said to have")]
    NotOnBase {
        /// The image.
        image: String,
    },
    /// A path that cannot lie on another base as it is.
    #[error("`{path}` cannot lie on the new base as it is: there `{at}` {reason}")]
    DoesNotFit {
        /// The path of the image.
        path: oci::ImagePath,
        /// The path of the base.
        at: oci::ImagePath,
        /// What the base has there.
        reason: &'static str,
    },
    /// What the new base does not have and the image did not bring.
    #[error("on the new base the program lacks {}", paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", "))]
    NeedsMore {
        /// Paths.
        paths: Vec<String>,
    },
    /// A root without a name.
    #[error("the name of the root is empty")]
    EmptyRoot,
    /// A directory that cannot be a root.
    #[error("cannot use `{}` as a root", path.display())]
    RootDirectory {
        /// As the user wrote it.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// An index with several images, of which one has to be the root.
    #[error("`{root}` has images for {}, and one of them has to be chosen", list(available))]
    RootPlatforms {
        /// The root.
        root: String,
        /// What there is.
        available: Vec<oci::Platform>,
    },
    /// An artifact, or an index of nothing.
    #[error("`{0}` is not an image with files")]
    RootNotAnImage(String),
    /// A config that is about other layers than the manifest.
    #[error("image `{manifest}` has {layers} layers, but its config names {diff_ids}")]
    RootLayers {
        /// The image.
        manifest: oci::Digest,
        /// Layers of the manifest.
        layers: usize,
        /// Diff IDs of the config.
        diff_ids: usize,
    },
    /// A layer's tar is damaged.
    #[error("the tar of a layer is damaged")]
    Tar(#[from] layer::tar::Error),
    /// Planning failed.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// The root cannot be read.
    #[error(transparent)]
    Root(#[from] crate::rootfs::RootError),
    /// Reading the tree to add failed.
    #[error(transparent)]
    Walk(#[from] crate::rootfs::walk::Error),
    /// Packing failed.
    #[error(transparent)]
    Layer(#[from] layer::Error),
    /// Assembling failed.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The registry client cannot be set up.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Network(#[from] net::Error),
    /// A background task ended before its time.
    #[error("a background task did not finish")]
    Task(#[from] tokio::task::JoinError),
}

fn list(platforms: &[oci::Platform]) -> String {
    platforms.iter().map(|platform| format!("`{platform}`")).collect::<Vec<_>>().join(", ")
}
