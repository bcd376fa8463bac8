//! Layer 6: the embedded registry.
