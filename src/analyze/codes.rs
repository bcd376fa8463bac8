//! Codes of findings about programs: area `B`. `docs/diagnostics.md` explains each.

use crate::diag::Code;

pub(super) const EMPTY: Code = Code("B001");
pub(super) const SCRIPT: Code = Code("B002");
pub(super) const WASM: Code = Code("B003");
pub(super) const PE: Code = Code("B004");
pub(super) const MACH_O: Code = Code("B005");
pub(super) const JAVA: Code = Code("B006");
pub(super) const ARCHIVE: Code = Code("B007");
pub(super) const PACKED: Code = Code("B008");
pub(super) const TEXT: Code = Code("B009");
pub(super) const UNKNOWN: Code = Code("B010");
pub(super) const UNREADABLE: Code = Code("B011");

pub(super) const TRUNCATED: Code = Code("B020");
pub(super) const IMPOSSIBLE_HEADER: Code = Code("B021");
pub(super) const PROGRAM_HEADERS: Code = Code("B022");
pub(super) const DYNAMIC_SECTION: Code = Code("B023");

pub(super) const RELOCATABLE: Code = Code("B030");
pub(super) const CORE: Code = Code("B031");
pub(super) const SHARED_LIBRARY: Code = Code("B032");
pub(super) const OBJECT_TYPE: Code = Code("B033");
pub(super) const NO_ENTRY: Code = Code("B034");

pub(super) const OTHER_SYSTEM: Code = Code("B040");
pub(super) const NO_PLATFORM: Code = Code("B041");

pub(super) const NO_INTERPRETER: Code = Code("B051");

pub(super) const ARM_VERSION_GUESSED: Code = Code("B060");
pub(super) const X86_LEVEL: Code = Code("B061");
pub(super) const STATIC_NSS: Code = Code("B062");
pub(super) const BROKEN_SECTIONS: Code = Code("B063");
pub(super) const WRITABLE_CODE: Code = Code("B064");
pub(super) const TEXT_RELOCATIONS: Code = Code("B065");
pub(super) const EXECUTABLE_STACK: Code = Code("B066");
