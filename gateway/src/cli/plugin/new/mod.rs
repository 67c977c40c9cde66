//! `leadgate plugin new`: a project that builds, has a passing test and delivers at once.
//!
//! Its files are those in the folders beside this one, with the plugin's name for `my-erp`. A
//! project in Rust carries the kit's source, so that it needs nothing but a registry of crates.

mod sdk;

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::super::{FAILED, USAGE, fail};
use super::subject;
use crate::config::Catalogue;
use crate::lang::Lang;
use crate::plugin::Plugins;

#[derive(clap::Args)]
pub(in super::super) struct Args {
    /// Name of the plugin, such as my-erp
    #[arg(value_name = "NAME", value_parser = subject::name)]
    name: String,
    /// Language to write it in: rust, c or python
    // In the place of the language of messages, which is here that of the environment.
    #[arg(long, value_name = "LANGUAGE", value_parser = ["rust", "c", "python"])]
    lang: String,
    /// Folder to make [default: the name]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// A language that plugins are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    /// A library, by the kit
    Rust,
    /// A library, by the header
    C,
    /// A program, for the exec plugin
    Python,
}

/// A file of a project: where, and what.
type File = (&'static str, &'static str);

const RUST: &[File] = &[
    ("Cargo.toml", include_str!("rust/manifest.toml")),
    ("src/lib.rs", include_str!("rust/src/lib.rs")),
    ("settings.toml", include_str!("rust/settings.toml")),
    ("leadgate.toml", include_str!("rust/leadgate.toml")),
    ("README.md", include_str!("rust/README.md")),
    (".gitignore", include_str!("rust/gitignore")),
    ("leads/README.md", include_str!("leads.md")),
];
const C: &[File] = &[
    ("Makefile", include_str!("c/Makefile")),
    ("plugin.c", include_str!("c/plugin.c")),
    ("test_plugin.c", include_str!("c/test_plugin.c")),
    ("settings.toml", include_str!("c/settings.toml")),
    ("leadgate.toml", include_str!("c/leadgate.toml")),
    ("README.md", include_str!("c/README.md")),
    (".gitignore", include_str!("c/gitignore")),
    ("leads/README.md", include_str!("leads.md")),
];
const PYTHON: &[File] = &[
    ("plugin.py", include_str!("python/plugin.py")),
    ("test_plugin.py", include_str!("python/test_plugin.py")),
    ("settings.toml", include_str!("python/settings.toml")),
    ("leadgate.toml", include_str!("python/leadgate.toml")),
    ("README.md", include_str!("python/README.md")),
    (".gitignore", include_str!("python/gitignore")),
    ("leads/README.md", include_str!("leads.md")),
];

/// Names that cargo gives to no package.
const NOT_CRATES: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "leadgate-plugin",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "schemars",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "tempfile",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

pub(super) fn run(args: &Args) -> ExitCode {
    super::super::finish(write(args))
}

fn write(args: &Args) -> Result<(), ExitCode> {
    let lang = super::super::usage::lang(std::env::args_os());
    let language = match args.lang.as_str() {
        "rust" => Language::Rust,
        "c" => Language::C,
        _ => Language::Python,
    };
    let name = &args.name;
    let taken = Plugins::builtin().map_err(|error| fail(error, FAILED))?;
    let is_taken = taken.names().contains(name) || taken.left_out().contains(name);
    if is_taken {
        let why = lang.pick(
            "is a built-in plugin; take another name",
            "是内置插件；请换一个名字",
        );
        return Err(fail(format!("`{name}` {why}"), USAGE));
    }
    if language == Language::Rust && NOT_CRATES.contains(&name.as_str()) {
        let why = lang.pick("can be no crate's name", "不能用作 crate 的名字");
        return Err(fail(format!("`{name}` {why}"), USAGE));
    }
    let folder = args.folder.clone().unwrap_or_else(|| PathBuf::from(name));
    let shown = folder.display().to_string();
    let failed = |error: std::io::Error| {
        if error.kind() == ErrorKind::AlreadyExists {
            let why = lang.pick(
                "it exists; name another folder with --folder",
                "已存在；请用 --folder 指定其他文件夹",
            );
            fail(format!("{shown}{}{why}", lang.colon()), FAILED)
        } else {
            fail(format!("{shown}{}{error}", lang.colon()), FAILED)
        }
    };
    let files = files(language, name).map_err(|why| fail(why, FAILED))?;
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above).map_err(failed)?;
    }
    // Never into what is there: so what fails half way can be taken away again.
    DirBuilder::new()
        .mode(0o755)
        .create(&folder)
        .map_err(failed)?;
    if let Err(error) = fill(&folder, &files) {
        let _ = std::fs::remove_dir_all(&folder);
        return Err(failed(error));
    }
    outln!("{}", next(lang, language, &shown, name));
    Ok(())
}

/// All files of a project, with the plugin's name in them.
fn files(language: Language, name: &str) -> Result<Vec<(String, String)>, String> {
    let of_it = match language {
        Language::Rust => RUST,
        Language::C => C,
        Language::Python => PYTHON,
    };
    let mut files: Vec<(String, String)> = of_it
        .iter()
        .map(|(path, text)| ((*path).to_owned(), named(text, name)))
        .collect();
    match language {
        Language::Rust => {
            let kit = sdk::FILES
                .iter()
                .map(|(path, text)| (format!("leadgate-plugin/{path}"), (*text).to_owned()));
            files.extend(kit);
            files.push(("leadgate-plugin/Cargo.toml".to_owned(), sdk::manifest()?));
        }
        Language::C => files.push(("leadgate_plugin.h".to_owned(), sdk::header().to_owned())),
        Language::Python => {}
    }
    Ok(files)
}

/// A text with the plugin's name in each of the ways in which it is written.
fn named(text: &str, name: &str) -> String {
    let camel: String = name
        .split('-')
        .flat_map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters)
        })
        .collect();
    text.replace("my-erp", name)
        .replace("my_erp", &name.replace('-', "_"))
        .replace("MyErp", &camel)
}

fn fill(folder: &Path, files: &[(String, String)]) -> std::io::Result<()> {
    for (path, text) in files {
        let path = folder.join(path);
        if let Some(above) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(above)?;
        }
        let is_program = text.starts_with("#!");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        options.mode(if is_program { 0o755 } else { 0o644 });
        options.open(&path)?.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// What to do with it.
fn next(lang: Lang, language: Language, folder: &str, name: &str) -> String {
    let library = name.replace('-', "_");
    let (test, build, file) = match language {
        Language::Rust => (
            "cargo test",
            Some("cargo build --release"),
            format!("target/release/lib{library}.so"),
        ),
        Language::C => ("make test", Some("make"), format!("lib{library}.so")),
        Language::Python => ("python3 -m unittest", None, "plugin.py".to_owned()),
    };
    let mut lines = vec![
        format!(
            "{folder}{}",
            lang.pick(" was written; next:", " 已写好；接下来：")
        ),
        format!("  cd {folder}"),
        format!("  {test}"),
    ];
    lines.extend(build.map(|build| format!("  {build}")));
    lines.push(format!(
        "  leadgate plugin check {file} --settings settings.toml"
    ));
    lines.push(format!(
        "  leadgate plugin run {file} --settings settings.toml"
    ));
    lines.push(
        lang.pick("README.md says more", "详见 README.md")
            .to_owned(),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Language; 3] = [Language::Rust, Language::C, Language::Python];

    #[test]
    fn a_project_has_the_plugins_name_everywhere() {
        for language in ALL {
            let files = files(language, "shop-2-crm").expect("files");
            for (path, text) in &files {
                for word in ["my-erp", "my_erp", "MyErp"] {
                    let is_kit = path.starts_with("leadgate-plugin/");
                    assert!(
                        is_kit || !text.contains(word),
                        "{language:?} {path}: {word}"
                    );
                }
            }
            let whole: String = files.iter().map(|(_, text)| text.as_str()).collect();
            assert!(whole.contains("shop-2-crm"), "{language:?}");
        }
        assert_eq!(
            named("MyErpSink my_erp my-erp", "a-b2"),
            "AB2Sink a_b2 a-b2"
        );
    }

    #[test]
    fn a_project_is_written_once_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = folder.path().join("erp");
        std::fs::create_dir(&project).expect("makes");
        for language in ALL {
            let files = files(language, "erp").expect("files");
            let into = folder.path().join(format!("{language:?}"));
            std::fs::create_dir(&into).expect("makes");
            fill(&into, &files).expect("writes");
            let again = fill(&into, &files).expect_err("is there");
            assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        }
    }
}
