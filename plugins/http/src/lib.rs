//! The `http` sink plugin.
