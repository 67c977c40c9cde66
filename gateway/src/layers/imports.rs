//! Imports: the modules of a folder of sources, and which uses which.
//!
//! No parser of Rust, but of as much of it as imports need: texts, comments and tests are taken
//! out, then `use` trees and paths that begin with `crate`, `super` or `self` are read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module by its names from the crate on; the crate itself is empty.
pub(super) type Module = Vec<String>;

/// What one file says.
struct Source {
    /// Words and signs, without tests.
    words: Vec<String>,
    /// What `use` calls what, each a path as it is written.
    uses: Vec<(String, Vec<String>)>,
}

/// All modules of a crate.
pub(super) struct Modules {
    sources: BTreeMap<Module, Source>,
    edges: BTreeSet<(Module, Module)>,
}

impl Modules {
    /// Reads a crate's sources.
    pub(super) fn read(folder: &Path) -> Self {
        let mut files = Vec::new();
        gather(folder, folder, &mut files);
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        Self::of(&files)
    }

    /// The same of files by their names.
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let mut sources = BTreeMap::new();
        let mut tests = Vec::new();
        for (name, text) in files {
            let module = module_of(name);
            let (words, only_tests) = without_tests(&words(text));
            tests.extend(
                only_tests
                    .into_iter()
                    .map(|one| [&module[..], &[one]].concat()),
            );
            let uses = trees(&words);
            sources.insert(module, Source { words, uses });
        }
        sources.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        let mut modules = Self {
            sources,
            edges: BTreeSet::new(),
        };
        let edges = modules.sources.iter().flat_map(|(from, source)| {
            let written = source.uses.iter().map(|(_, path)| path.clone());
            let all: Vec<_> = written.chain(paths(&source.words)).collect();
            all.into_iter().filter_map(|path| {
                let to = modules.resolve(from, &path, 0)?;
                let apart = !to.starts_with(from) && !from.starts_with(&to);
                apart.then(|| (from.clone(), to))
            })
        });
        modules.edges = edges.collect();
        modules
    }

    /// Who uses whom, but for modules and those within them.
    pub(super) fn edges(&self) -> &BTreeSet<(Module, Module)> {
        &self.edges
    }

    /// All modules.
    pub(super) fn names(&self) -> impl Iterator<Item = &Module> {
        self.sources.keys()
    }

    /// The module that a path written in `within` comes from; none if it is another crate's.
    fn resolve(&self, within: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut at = within.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                at.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {}
            first => {
                let child = [&at[..], &[first.to_owned()]].concat();
                if !self.is_module(&child) {
                    return None;
                }
            }
        }
        while let Some(name) = rest.first() {
            if name == "super" {
                at.pop()?;
            } else if name == "self" {
                return Some(at);
            } else {
                let child = [&at[..], std::slice::from_ref(name)].concat();
                if !self.is_module(&child) {
                    break;
                }
                at = child;
            }
            rest = &rest[1..];
        }
        // What the module itself has from elsewhere.
        if let (Some(name), Some(source), true) = (rest.first(), self.sources.get(&at), depth < 8)
            && at != *within
            && let Some((_, path)) = source.uses.iter().find(|(called, _)| called == name)
            && let Some(module) = self.resolve(&at, path, depth + 1)
        {
            return Some(module);
        }
        Some(at)
    }

    fn is_module(&self, path: &Module) -> bool {
        self.sources.contains_key(path)
    }
}

fn gather(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("reads") {
        let path = entry.expect("reads").path();
        // A folder with a crate of its own is a template.
        if path.is_dir() && !path.join("Cargo.toml").exists() && !path.join("src").exists() {
            gather(root, &path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(root).expect("is in it");
            let text = std::fs::read_to_string(&path).expect("reads");
            files.push((name.to_string_lossy().into_owned(), text));
        }
    }
}

fn module_of(file: &str) -> Module {
    let mut names: Module = file
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    if matches!(
        names.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        names.pop();
    }
    names
}

/// Words and signs; `::` is one. Texts and comments are none.
fn words(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut words = Vec::new();
    let mut at = 0;
    let follows = |at: usize, sign: &str| {
        letters[at..]
            .iter()
            .take(sign.len())
            .copied()
            .eq(sign.chars())
    };
    while at < letters.len() {
        let letter = letters[at];
        if follows(at, "//") {
            at += letters[at..].iter().take_while(|one| **one != '\n').count();
        } else if follows(at, "/*") {
            let mut deep = 0;
            loop {
                if at >= letters.len() || follows(at, "*/") && deep == 1 {
                    at += 2;
                    break;
                }
                deep += usize::from(follows(at, "/*"));
                deep -= usize::from(follows(at, "*/"));
                at += 1;
            }
        } else if letter == '"' {
            at = end_of_text(&letters, at);
        } else if letter == 'r'
            && (follows(at, "r\"") || follows(at, "r#"))
            && raw_quotes(&letters, at).is_some()
        {
            let signs = raw_quotes(&letters, at).unwrap_or_default();
            let end: Vec<char> = std::iter::once('"')
                .chain(std::iter::repeat_n('#', signs))
                .collect();
            let begin = at + signs + 2;
            let length = letters[begin..]
                .windows(end.len())
                .position(|some| some == end);
            at = length.map_or(letters.len(), |length| begin + length + end.len());
        } else if letter == '\'' {
            // A letter, or a lifetime.
            let escaped = letters.get(at + 1) == Some(&'\\');
            let close = letters[at + 1..]
                .iter()
                .skip(1)
                .position(|one| *one == '\'');
            match close {
                Some(0) => at += 3,
                Some(length) if escaped => at += 3 + length + usize::from(length == 0),
                _ => at += 1,
            }
        } else if letter.is_alphanumeric() || letter == '_' {
            let word: String = letters[at..]
                .iter()
                .take_while(|one| one.is_alphanumeric() || **one == '_')
                .collect();
            at += word.chars().count();
            words.push(word);
        } else if follows(at, "::") {
            words.push("::".to_owned());
            at += 2;
        } else {
            if !letter.is_whitespace() {
                words.push(letter.to_string());
            }
            at += 1;
        }
    }
    words
}

fn end_of_text(letters: &[char], begin: usize) -> usize {
    let mut at = begin + 1;
    while at < letters.len() && letters[at] != '"' {
        at += 1 + usize::from(letters[at] == '\\');
    }
    at + 1
}

/// How many `#` a raw text begins with, if one begins here.
fn raw_quotes(letters: &[char], at: usize) -> Option<usize> {
    let signs = letters[at + 1..]
        .iter()
        .take_while(|one| **one == '#')
        .count();
    (letters.get(at + 1 + signs) == Some(&'"')).then_some(signs)
}

/// Takes out what is only for tests; gives the modules that are, too.
fn without_tests(words: &[String]) -> (Vec<String>, Vec<String>) {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut left, mut modules) = (Vec::new(), Vec::new());
    let mut rest = words;
    while let Some(word) = rest.first() {
        if !(rest.len() >= TEST.len() && rest.iter().zip(TEST).all(|(one, other)| one == other)) {
            left.push(word.clone());
            rest = &rest[1..];
            continue;
        }
        rest = &rest[TEST.len()..];
        let end = end_of_item(rest);
        let item = &rest[..end];
        if let Some(at) = item.iter().position(|one| one == "mod")
            && item.last().is_some_and(|one| one == ";")
        {
            modules.extend(item.get(at + 1).cloned());
        }
        rest = &rest[end..];
    }
    (left, modules)
}

/// Where an item ends: at its `;`, or behind its braces.
fn end_of_item(words: &[String]) -> usize {
    let (mut round, mut braces) = (0_i32, 0_i32);
    for (at, word) in words.iter().enumerate() {
        match word.as_str() {
            "(" | "[" => round += 1,
            ")" | "]" => round -= 1,
            "{" => braces += 1,
            "}" => braces -= 1,
            _ => {}
        }
        let end = braces == 0 && round == 0 && word == ";" || braces == 0 && word == "}";
        // `use a::{b};` ends at the `;`.
        if end && (word == ";" || words.get(at + 1).is_none_or(|next| next != ";")) {
            return at + 1;
        }
    }
    words.len()
}

/// All that is imported: what it is called here, and its path.
fn trees(words: &[String]) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for (at, word) in words.iter().enumerate() {
        // `use<…>` of a type says what it captures.
        if word == "use" && words.get(at + 1).is_some_and(|next| next != "<") {
            tree(&words[at + 1..], &[], &mut all);
        }
    }
    all
}

/// Reads one tree; gives what is behind it.
fn tree<'a>(
    mut words: &'a [String],
    before: &[String],
    all: &mut Vec<(String, Vec<String>)>,
) -> &'a [String] {
    let mut path = before.to_vec();
    let mut called = None;
    loop {
        let Some(word) = words.first() else {
            return words;
        };
        match word.as_str() {
            "::" => {}
            "{" => {
                words = &words[1..];
                while words.first().is_some_and(|word| word != "}" && word != ";") {
                    words = tree(words, &path, all);
                    if words.first().is_some_and(|word| word == ",") {
                        words = &words[1..];
                    }
                }
                return words.get(1..).unwrap_or_default();
            }
            "as" => {
                called = words.get(1).cloned();
                words = &words[1..];
            }
            "," | "}" | ";" => break,
            _ => path.push(word.clone()),
        }
        words = &words[1..];
    }
    let last = path.iter().rev().find(|one| *one != "self");
    if let Some(name) = called.or_else(|| last.cloned()) {
        all.push((name, path));
    }
    words
}

/// Paths that are written out, outside of `use`.
fn paths(words: &[String]) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let begins = ["crate", "super", "self"].contains(&words[at].as_str())
            && words.get(at + 1).is_some_and(|word| word == "::");
        let mut path = vec![words[at].clone()];
        at += 1;
        while begins
            && words.get(at).is_some_and(|word| word == "::")
            && let Some(name) = words
                .get(at + 1)
                .filter(|word| *word != "<" && *word != "{")
        {
            path.push(name.clone());
            at += 2;
        }
        if begins && path.len() > 1 {
            all.push(path);
        }
    }
    all
}
