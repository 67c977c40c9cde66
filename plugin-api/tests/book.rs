//! The book's blocks in C compile, as C and as C++ sees the header; each block has a language
//! that some test compiles or runs.

use std::path::Path;
use std::process::Command;

const BOOK: &str = include_str!("../README.md");

/// Blocks with their languages.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let mut blocks = Vec::new();
    let mut parts = BOOK.split("\n```");
    parts.next();
    while let (Some(block), Some(_)) = (parts.next(), parts.next()) {
        let (language, text) = block.split_once('\n').expect("a block has lines");
        blocks.push((language, text));
    }
    blocks
}

#[test]
fn each_block_is_of_a_language_that_is_tried() {
    let blocks = blocks();
    for (language, text) in &blocks {
        // Rust by the doc tests, sh and toml by the end to end tests, C below.
        assert!(
            ["rust", "sh", "toml", "c"].contains(language),
            "`{language}`: {text}"
        );
    }
    for language in ["rust", "sh", "toml", "c"] {
        assert!(blocks.iter().any(|(one, _)| *one == language), "{language}");
    }
}

#[test]
fn each_block_in_c_is_a_plugin_that_compiles() {
    let folder = tempfile::tempdir().expect("a folder");
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    for (number, (_, text)) in blocks().iter().filter(|(one, _)| *one == "c").enumerate() {
        let source = folder.path().join(format!("{number}.c"));
        let library = folder.path().join(format!("{number}.so"));
        std::fs::write(&source, text).expect("writes");
        let output = Command::new("cc")
            .args(["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror"])
            .args(["-shared", "-fPIC", "-I"])
            .arg(&include)
            .arg("-o")
            .arg(&library)
            .arg(&source)
            .output()
            .expect("cc runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}
