//! coracle turns compiled programs into minimal container images.
//!
//! ```text
//!  binaries ─▶ ElfFacts ─▶ Requirements ─▶ Plan ─▶ Layers ─▶ Image / Index ─▶ Store ─▶ tags
//!  (bytes)     elf/        analyze/        plan/   layer/    image/           store/
//!                  ▲            ▲                                             registry/
//!                  └── rootfs/ ─┘  where files are looked up
//! ```
//!
//! Facts flow down, decisions are made once (in the [`plan`]), bytes are made last. Everything left of the plan is
//! judgement; everything right of it is a pure function of the plan and the file bytes.

pub mod analyze;
pub mod blob;
pub mod cli;
pub mod config;
pub mod diag;
pub mod elf;
pub mod image;
pub mod layer;
pub mod limits;
pub mod net;
pub mod observe;
pub mod oci;
pub mod pipeline;
pub mod plan;
pub mod registry;
pub mod rootfs;
pub mod serve;
pub mod store;
