//! Layer 1: what one ELF file says about itself; bytes in, facts out, no I/O.
