//! Layer 1: file trees in which things are looked up.

pub mod walk;
