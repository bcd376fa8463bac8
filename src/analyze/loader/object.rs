//! What the loader looks at in one object.

use crate::oci::ImagePath;

/// Class, byte order, machine and ABI flags: what an object must share with the program to be loaded with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Abi {
    /// 64-bit class.
    pub is_64: bool,
    /// Big-endian.
    pub big_endian: bool,
    /// `e_machine`.
    pub machine: u16,
}

/// A version that an object demands from a library (`DT_VERNEED`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NeededVersion {
    /// The library's name as recorded at link time.
    pub library: Vec<u8>,
    /// The version, for example `GLIBC_2.34`.
    pub version: Vec<u8>,
    /// `VER_FLG_WEAK`: its absence is no error.
    pub weak: bool,
}

/// An entry of the dynamic section that makes the loader load something, in the section's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dependency {
    /// `DT_NEEDED`.
    Needed(Vec<u8>),
    /// `DT_AUXILIARY`: loaded before the object when it can be.
    Auxiliary(Vec<u8>),
    /// `DT_FILTER`: loaded before the object.
    Filter(Vec<u8>),
}

/// Whether an object can be loaded for the sake of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A shared library.
    Library,
    /// `ET_EXEC`: glibc refuses it, musl does not.
    Executable,
    /// `DF_1_PIE`: glibc refuses it, musl does not.
    PositionIndependentExecutable,
    /// Neither `ET_DYN` nor `ET_EXEC`, or without dynamic section, as separate debug files are: no loader takes it.
    Unloadable,
}

/// The loader's view of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it runs on.
    pub abi: Abi,
    /// Whether a loader can load it for another object, and if not, why.
    pub shape: Shape,
    /// What it makes the loader load.
    pub dependencies: Vec<Dependency>,
    /// `DT_SONAME`.
    pub soname: Option<Vec<u8>>,
    /// `DT_RPATH`; dropped by the loader when there is a `DT_RUNPATH`.
    pub rpath: Option<Vec<u8>>,
    /// `DT_RUNPATH`.
    pub runpath: Option<Vec<u8>>,
    /// `DF_1_NODEFLIB`.
    pub nodeflib: bool,
    /// `PT_INTERP`.
    pub interpreter: Option<Vec<u8>>,
    /// Versions it demands.
    pub needed_versions: Vec<NeededVersion>,
    /// Versions it defines; `None` without `DT_VERDEF`.
    pub defined_versions: Option<Vec<Vec<u8>>>,
    /// `DT_AUDIT` and `DT_DEPAUDIT`, split at colons.
    pub audit: Vec<Vec<u8>>,
    /// `DT_RELR`: a loader that does not know it leaves pointers as they are, and the program crashes.
    pub packed_relocations: bool,
}

/// What reading a candidate file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidate {
    /// An object that can be loaded.
    Object(std::sync::Arc<Object>),
    /// Not an ELF file, or a damaged one: the loader gives up, but for a file that says it is of the other class.
    Garbage {
        /// What is wrong with it.
        reason: String,
        /// Its class byte, where it has one: whether it is of the 64-bit class.
        is_64: Option<bool>,
    },
    /// It may not be read, or it is gone since it was looked up: for the loader it is not there.
    Absent,
}

/// How an object came to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The program itself.
    Program,
    /// The program interpreter.
    Interpreter,
    /// A name with a slash, opened as it is.
    Direct,
    /// A directory of the `DT_RPATH` of an object.
    Rpath {
        /// Whose, by its path.
        of: ImagePath,
        /// The directory after expansion.
        directory: Vec<u8>,
    },
    /// A directory of `LD_LIBRARY_PATH` of the image's environment.
    LibraryPath {
        /// The directory.
        directory: Vec<u8>,
    },
    /// A directory of the requester's `DT_RUNPATH`.
    Runpath {
        /// The directory after expansion.
        directory: Vec<u8>,
    },
    /// `ld.so.cache`.
    Cache,
    /// A default directory, or musl's path file.
    Default {
        /// The directory.
        directory: Vec<u8>,
    },
}
