//! Codes of findings about closures: area `L`. `docs/diagnostics.md` explains each.

use crate::diag::Code;

pub(super) const MISSING: Code = Code("L001");
pub(super) const ELSEWHERE: Code = Code("L002");
pub(super) const OTHER_MACHINE: Code = Code("L003");
pub(super) const ONLY_FOR_LEVEL: Code = Code("L004");
pub(super) const GARBAGE: Code = Code("L005");

pub(super) const NO_INTERPRETER: Code = Code("L010");
pub(super) const BAD_INTERPRETER: Code = Code("L011");
pub(super) const NOT_LOADABLE: Code = Code("L012");

pub(super) const VERSION: Code = Code("L020");
pub(super) const MIXED_LIBCS: Code = Code("L021");
pub(super) const CPU_LEVEL: Code = Code("L022");
pub(super) const CPU_LEVEL_NOTED: Code = Code("L023");
pub(super) const KERNEL: Code = Code("L024");
pub(super) const PACKED_RELOCATIONS: Code = Code("L025");

pub(super) const AUDIT: Code = Code("L030");
pub(super) const PRELOAD: Code = Code("L031");
pub(super) const NOT_IN_CACHE: Code = Code("L032");
pub(super) const GONE_FROM_CACHE: Code = Code("L033");
pub(super) const BAD_CACHE: Code = Code("L034");

pub(super) const WORKING_DIRECTORY: Code = Code("L040");
pub(super) const WORLD_WRITABLE: Code = Code("L041");
pub(super) const BUILD_PATH: Code = Code("L042");
pub(super) const TEXT_RELOCATIONS: Code = Code("L043");
pub(super) const EXECUTABLE_STACK: Code = Code("L044");

pub(super) const CUT_OFF: Code = Code("L050");
pub(super) const UNDECIDABLE: Code = Code("L051");
pub(super) const VARIANTS: Code = Code("L052");
