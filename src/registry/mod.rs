//! Layer 6: the registry client.
