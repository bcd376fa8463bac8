//! Layer 4: deterministic tar, compression, and the one pass that packs a layer.
