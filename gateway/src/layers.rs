//! The layers, read from the sources: which module uses which.
//!
//! Fails on an import that runs up, on modules of one folder of the outbox that use each other
//! in a circle, and on an engine whose README.md does not name all its files. Reads `use` and
//! written-out paths; what is re-exported counts for the module that it comes from. Tests are
//! left out: they may look up.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use self::imports::{Module, Modules};

/// A module uses only modules on lines below its own. Those of one line do not know each other.
const LINES: [&[&str]; 14] = [
    &["cli"],
    &["daemon"],
    &["console"],
    // What the command line and the console call the codes of all below.
    &["words"],
    &["admin"],
    // Jobs meet the sinks in the outbox.
    &["bulk"],
    &["ingress", "delivery"],
    // Which sinks a lead goes to is said in the outbox's words.
    &["route"],
    &["source", "plugin"],
    &["outbox"],
    &["telemetry"],
    &["config"],
    &["lead"],
    &["clock", "lang", "seal", "swap", "terminal"],
];

/// Folders of the outbox that are no engine.
const NO_ENGINE: [&str; 2] = ["state", "conformance"];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn line(module: &str) -> Option<usize> {
    LINES.iter().position(|line| line.contains(&module))
}

/// Imports that do not run down, as sentences.
fn running_up(modules: &Modules) -> Vec<String> {
    let mut wrong = Vec::new();
    for (from, to) in modules.edges() {
        let (Some(upper), Some(lower)) = (from.first(), to.first()) else {
            continue;
        };
        let (above, below) = (line(upper), line(lower));
        if above.is_none() || below.is_none() {
            wrong.push(format!("`{upper}` or `{lower}` is on no line"));
        } else if upper != lower && above >= below {
            wrong.push(format!("`{}` uses `{}`", from.join("::"), to.join("::")));
        }
    }
    wrong
}

/// The first circle between the modules that are directly in `folder`, if there is one.
fn circle(modules: &Modules, folder: &[&str]) -> Option<String> {
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let depth = folder.len();
    let within = |module: &Module| {
        module.len() > depth && module.iter().zip(folder).all(|(one, other)| one == other)
    };
    for (from, to) in modules.edges() {
        if within(from) && within(to) && from[depth] != to[depth] {
            uses.entry(&from[depth]).or_default().insert(&to[depth]);
        }
    }
    // Whoever uses nothing that is left is in no circle.
    loop {
        let free: Vec<&str> = uses
            .iter()
            .filter(|(_, used)| used.iter().all(|one| !uses.contains_key(one)))
            .map(|(one, _)| *one)
            .collect();
        if free.is_empty() {
            break;
        }
        for one in free {
            uses.remove(one);
        }
    }
    let (first, _) = uses.first_key_value()?;
    let mut way = vec![*first];
    loop {
        let last = way.last()?;
        let next = uses.get(last)?.iter().find(|one| uses.contains_key(*one))?;
        if let Some(at) = way.iter().position(|one| one == next) {
            way.push(next);
            return Some(way[at..].join(" → "));
        }
        way.push(next);
    }
}

/// The folders in a folder, and the folders in those.
fn folders(within: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(within).expect("reads") {
        let path = entry.expect("reads").path();
        if path.is_dir() {
            all.extend(folders(&path));
            all.push(path);
        }
    }
    all.sort();
    all
}

/// Files of a folder, but for tests, that its README.md does not name.
fn unnamed(folder: &Path) -> Vec<String> {
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap_or_default();
    let mut all = vec![folder.to_owned()];
    all.extend(folders(folder));
    let mut files = Vec::new();
    for entry in all
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).expect("reads"))
    {
        let path = entry.expect("reads").path();
        let name = path.strip_prefix(folder).expect("is in it");
        let name = name.to_string_lossy().into_owned();
        // As a word of its own: `frame.rs` is not named by `old_frame.rs`.
        let named = readme
            .split(|letter: char| !letter.is_alphanumeric() && !"/._-".contains(letter))
            .any(|word| word.trim_end_matches('.') == name);
        let is_test = name
            .split('/')
            .any(|part| part == "tests" || part == "tests.rs");
        if path.is_file() && !is_test && name != "README.md" && !named {
            files.push(name);
        }
    }
    files.sort();
    files
}

#[test]
fn no_import_runs_up() {
    let modules = Modules::read(&sources());
    assert!(modules.edges().len() > 500, "the sources were not read");
    assert_eq!(running_up(&modules), Vec::<String>::new());
}

#[test]
fn every_module_is_on_a_line() {
    let modules = Modules::read(&sources());
    let top: BTreeSet<&str> = modules
        .names()
        .filter_map(|one| one.first())
        .map(String::as_str)
        .collect();
    let lines: BTreeSet<&str> = LINES.iter().flat_map(|line| line.iter().copied()).collect();
    assert_eq!(top, lines);
}

#[test]
fn no_folder_of_the_outbox_has_a_circle() {
    let modules = Modules::read(&sources());
    let outbox = sources().join("outbox");
    let mut circles = Vec::new();
    for folder in [vec![outbox.clone()], folders(&outbox)].concat() {
        let path = folder.strip_prefix(sources()).expect("is in it");
        let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        circles.extend(circle(&modules, &names).map(|way| (path.to_owned(), way)));
    }
    assert_eq!(circles, Vec::new());
}

#[test]
fn the_readme_of_an_engine_names_every_file() {
    let outbox = sources().join("outbox");
    for entry in std::fs::read_dir(&outbox).expect("reads") {
        let folder = entry.expect("reads").path();
        let name = folder.file_name().expect("has one").to_string_lossy();
        if !folder.is_dir() || NO_ENGINE.contains(&name.as_ref()) {
            continue;
        }
        assert_eq!(unnamed(&folder), Vec::<String>::new(), "{name}/README.md");
    }
}

#[test]
fn an_import_that_runs_up_and_a_circle_are_seen() {
    let modules = Modules::of(&[
        ("outbox/mod.rs", "mod a; mod b; pub use b::Borne;"),
        ("outbox/a.rs", "use super::{Borne, Other}; fn f() {}"),
        (
            "outbox/b/mod.rs",
            "pub struct Borne; mod deep; #[cfg(test)] mod tests { use crate::cli::X; }",
        ),
        (
            "outbox/b/deep.rs",
            "// use crate::cli::X;\nfn f() { \"crate::cli\"; crate::outbox::a::go::<'a'>(); }",
        ),
        (
            "lead/mod.rs",
            "use std::fmt; use crate::outbox::{self, Borne as _};",
        ),
        ("cli/mod.rs", "use crate::daemon::{one::{Two}, three};"),
        (
            "daemon/mod.rs",
            "#[cfg(test)]\nmod tests;\nuse crate::{lead, cli};",
        ),
        ("daemon/tests.rs", "use crate::cli::X;"),
    ]);
    assert_eq!(
        running_up(&modules),
        [
            "`daemon` uses `cli`",
            "`lead` uses `outbox`",
            "`lead` uses `outbox::b`"
        ]
    );
    assert_eq!(circle(&modules, &["outbox"]).as_deref(), Some("a → b → a"));
    assert_eq!(circle(&modules, &["outbox", "b"]), None);
}

#[test]
fn what_a_type_captures_is_no_import() {
    let modules = Modules::of(&[
        ("outbox/mod.rs", ""),
        (
            "lead/mod.rs",
            "fn f() -> impl Fn() + use<'a> { { g(); } match x { _ => {} } } use crate::outbox;",
        ),
    ]);
    assert_eq!(running_up(&modules), ["`lead` uses `outbox`"]);
}

#[test]
fn a_file_that_the_readme_leaves_out_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("writes");
    };
    std::fs::create_dir(folder.path().join("journal")).expect("makes it");
    write("frame.rs", "");
    write("tests.rs", "");
    write("journal/mod.rs", "");
    write("README.md", "| `journal/mod.rs` | |\n| `old_frame.rs` |");
    assert_eq!(unnamed(folder.path()), ["frame.rs"]);
    write(
        "README.md",
        "| `journal/mod.rs` | |\nFrames are in frame.rs.",
    );
    assert!(unnamed(folder.path()).is_empty());
}
