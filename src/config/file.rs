//! The keys of `coracle.yaml`. The comments of this file are the descriptions in its JSON schema.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What `coracle build` is told by a file. Flags override it. Paths are relative to the file's directory and stay in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "coracle.yaml")]
pub struct File {
    /// Name of the image; by default that of the first program.
    pub name: Option<String>,
    /// Programs of the image, a path or a table each. The first is the entrypoint.
    pub programs: Vec<TextOr<ProgramTable>>,
    /// Platforms to build for, as `os/arch[/variant]`; by default those of the programs.
    pub platforms: Vec<String>,
    /// Full references under which the image is pushed.
    pub tags: Vec<String>,
    /// Files and directories to add, as `SRC:DST[:MODE[:UID:GID]]` or a table each.
    pub add: Vec<TextOr<AddTable>>,
    /// Patterns of paths below added directories that stay out, as in `.gitignore`.
    pub exclude: Vec<String>,
    /// Environment variables.
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub env: BTreeMap<String, String>,
    /// `uid[:gid]` the program runs as; 65532:65532 by default.
    #[schemars(with = "Option<Scalar>")]
    pub user: Option<String>,
    /// Absolute path of the working directory; `/` by default.
    pub workdir: Option<String>,
    /// Command in exec form; by default the absolute path of the first program.
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments.
    pub cmd: Option<Vec<String>>,
    /// Ports the program listens on, as `port[/tcp|/udp|/sctp]`.
    #[schemars(with = "Vec<Scalar>")]
    pub ports: Vec<String>,
    /// Labels of the image config.
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest.
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub annotations: BTreeMap<String, String>,
    /// Absolute paths at which data is mounted.
    pub volumes: Vec<String>,
    /// Absolute paths of directories that the program's user can write to.
    pub writable: Vec<String>,
    /// Make the image for an arbitrary uid with group 0, as OpenShift gives it.
    pub openshift: bool,
    /// Make `/etc/passwd`, `/etc/group` and `/home/nonroot` as distroless has them.
    pub passwd: bool,
    /// File capabilities by path in the image, for example `cap_net_bind_service+ep`.
    pub file_caps: BTreeMap<String, String>,
    /// Image to build on, as a reference; no other place. Nothing by default.
    pub base: Option<String>,
    /// Needs to include that are not included by themselves: features such as `certs` or `locale=de_DE.UTF-8`, or `lib:NAME`; with
    /// `--root` also `file:PATH`, `program:PATH`, `link:PATH=TARGET`.
    pub with: Vec<String>,
    /// Needs to leave out, even required ones.
    pub without: Vec<String>,
    /// Fail when a required need cannot be met.
    pub strict: bool,
    /// How layers are compressed.
    pub compression: Option<Compression>,
    /// Where the image goes, as `oci:DIR` or `archive:FILE`.
    pub output: Vec<String>,
    /// Signal that stops the container, for example `SIGINT`.
    #[schemars(with = "Option<Scalar>")]
    pub stop_signal: Option<String>,
}

/// A program: one path, or one per platform.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProgramTable {
    /// File name in the image, below `/app`; by default that of the path.
    pub name: Option<String>,
    /// Path of the program.
    pub path: Option<String>,
    /// Path of the program by platform.
    pub paths: BTreeMap<String, String>,
}

/// A file or directory to add.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddTable {
    /// File or directory; a directory's content goes to `dst`.
    pub src: String,
    /// Absolute path in the image; with `/` at its end, a file goes below it.
    pub dst: String,
    /// Octal mode of files; directories get it with `x` wherever there is `r`.
    #[schemars(with = "Option<Scalar>")]
    pub mode: Option<String>,
    /// Owner; 0 by default.
    pub uid: Option<u32>,
    /// Group; 0 by default.
    pub gid: Option<u32>,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Readable everywhere; the default.
    Gzip,
    /// Smaller and faster, readable by containerd 1.5, podman 4, docker 23 and later.
    Zstd,
    /// Not compressed.
    None,
}

/// A YAML scalar that is taken as text.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "stands only for its JSON schema")]
enum Scalar {
    Text(String),
    Number(i64),
    Switch(bool),
}

/// A text for the simple case, or a table.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum TextOr<T> {
    /// The text.
    Text(String),
    /// The table.
    Table(T),
}

// Derived as an untagged enum it would lose which key of a table is wrong.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrTable<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrTable<T> {
            type Value = TextOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a table")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TextOr<T>, E> {
                Ok(TextOr::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextOr<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(TextOr::Table)
            }
        }
        deserializer.deserialize_any(TextOrTable(PhantomData))
    }
}
