//! Layer 5: finished images and indexes, and the validator that recomputes every digest.
