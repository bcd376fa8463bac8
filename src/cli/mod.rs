//! Layer 9: the command line: clap types, settings, one file per verb, rendering.
