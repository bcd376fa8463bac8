//! Layer 8: the front door of the library: a request in, an outcome out.
