//! The `file` sink plugin.
