//! `leadgate init`: a commented configuration to start from, with the sinks that were asked for.
//!
//! Writes the files of the project's `config/` folder and what the presets say of themselves,
//! so that what is shipped and what is written cannot differ. All of it is for its owner's
//! eyes only. Never overwrites unless told to, and never the key of the outbox.

mod interview;
mod kinds;
mod sink_file;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use self::interview::Interview;
use self::kinds::Kind;
use self::sink_file::Wanted;
use super::{FAILED, Global, USAGE, fail};
use crate::lang::Lang;
use crate::seal::OutboxKey;

/// Where `leadgate.toml` looks for the key of the outbox.
const KEY: &str = "outbox.key";

/// What is written in any case: path and text.
const FILES: [(&str, &str); 2] = [
    (
        "leadgate.toml",
        include_str!("../../../../config/leadgate.toml"),
    ),
    (
        "tables.d/tmall.toml",
        include_str!("../../../../config/tables.d/tmall.toml"),
    ),
];

/// What is written if no sink was asked for.
const EXAMPLES: [(&str, &str); 3] = [
    (
        "sinks.d/webhook.toml",
        include_str!("../../../../config/sinks.d/webhook.toml"),
    ),
    (
        "sinks.d/archive.toml",
        include_str!("../../../../config/sinks.d/archive.toml"),
    ),
    (
        "sinks.d/email.toml",
        include_str!("../../../../config/sinks.d/email.toml"),
    ),
];

#[derive(clap::Args)]
pub(super) struct Args {
    /// Where to write
    #[arg(default_value = ".", value_name = "FOLDER")]
    folder: PathBuf,
    /// A sink to write, such as crm=salesforce; may be repeated. The kind alone is also its name
    #[arg(long = "sink", value_name = "NAME=KIND")]
    sinks: Vec<String>,
    /// Ask nothing; without --sink examples are written
    #[arg(long)]
    yes: bool,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
}

/// A file to write.
struct File {
    path: PathBuf,
    text: String,
    /// Whether one that is there may stay as it is.
    may_stay: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> ExitCode {
    super::finish(init(global, args))
}

fn init(global: &Global, args: &Args) -> Result<(), ExitCode> {
    let lang = global.lang();
    let kinds = kinds::all();
    let asks = args.sinks.is_empty() && !args.yes && !global.json;
    let sinks = if asks && io::stdin().is_terminal() && io::stderr().is_terminal() {
        let mut interview = Interview {
            lang,
            input: &mut io::stdin().lock(),
            output: &mut io::stderr(),
        };
        let sinks = interview.sinks(&kinds);
        sinks.map_err(|error| fail(error, FAILED))?
    } else {
        wanted(&args.sinks, &kinds).map_err(|problems| fail(problems.join("\n"), USAGE))?
    };
    let files = files(&args.folder, &sinks);
    if !args.force {
        refuse_to_overwrite(&files, lang)?;
    }
    let (mut written, mut kept) = (Vec::new(), Vec::new());
    let mut put = |path: &Path, new: io::Result<bool>| match new {
        Ok(true) => {
            written.push(path.display().to_string());
            Ok(())
        }
        Ok(false) => {
            kept.push(path.display().to_string());
            Ok(())
        }
        Err(error) => Err(fail(format!("{}: {error}", path.display()), FAILED)),
    };
    for file in &files {
        put(&file.path, write_new(&file.path, &file.text, args.force))?;
    }
    let key = args.folder.join(KEY);
    put(&key, write_key(&key))?;
    let variables: BTreeSet<String> = std::iter::once("TMALL_APP_SECRET".to_owned())
        .chain(sinks.iter().flat_map(Wanted::variables))
        .collect();
    if global.json {
        let all = json!({ "written": written, "kept": kept, "environment": variables });
        println!("{all:#}");
        return Ok(());
    }
    for path in &written {
        println!("{path}");
    }
    let stays = lang.pick("is there already and was kept", "已存在，予以保留");
    for path in &kept {
        eprintln!("{path} {stays}");
    }
    eprint!("{}", next_steps(lang, &sinks, &variables));
    Ok(())
}

/// What `--sink` says; all that is wrong with it.
fn wanted<'k>(asked: &[String], kinds: &'k [Kind]) -> Result<Vec<Wanted<'k>>, Vec<String>> {
    let mut sinks: Vec<Wanted<'k>> = Vec::new();
    let mut problems = Vec::new();
    for text in asked {
        let (name, of) = text.split_once('=').unwrap_or((text, text));
        let mut refuse = |why: String| problems.push(format!("--sink {text}: {why}"));
        let kind = match kind(of, kinds) {
            Ok(kind) => kind,
            Err(why) => {
                refuse(why);
                continue;
            }
        };
        if !is_name(name) {
            refuse("a name has letters, digits, - and _ only".to_owned());
        } else if sinks.iter().any(|sink| sink.name == name) {
            refuse("there is one of this name already".to_owned());
        } else {
            sinks.push(Wanted {
                name: name.to_owned(),
                kind,
                answers: BTreeMap::new(),
            });
        }
    }
    if problems.is_empty() {
        Ok(sinks)
    } else {
        Err(problems)
    }
}

/// The kind called `name`; the error has a guess, or all of them.
fn kind<'k>(name: &str, kinds: &'k [Kind]) -> Result<&'k Kind, String> {
    if let Some(kind) = kinds.iter().find(|kind| kind.name == name) {
        return Ok(kind);
    }
    let nearest = kinds
        .iter()
        .map(|kind| (strsim::damerau_levenshtein(name, kind.name), kind.name))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4);
    Err(match nearest {
        Some((_, known)) => format!("there is no such kind; did you mean `{known}`?"),
        None => {
            let all: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
            format!("there is no such kind; there are: {}", all.join(", "))
        }
    })
}

/// Whether a sink may be called so: it becomes a file, a table and a part of variables.
fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&text.len())
        && text.bytes().all(is_letter)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn files(folder: &Path, sinks: &[Wanted<'_>]) -> Vec<File> {
    let file = |path: &str, text: &str, may_stay: bool| File {
        path: folder.join(path),
        text: text.to_owned(),
        may_stay,
    };
    let mut files: Vec<_> = FILES
        .iter()
        .map(|(path, text)| file(path, text, !sinks.is_empty()))
        .collect();
    if sinks.is_empty() {
        files.extend(EXAMPLES.iter().map(|(path, text)| file(path, text, false)));
    }
    files.extend(
        sinks
            .iter()
            .map(|sink| file(&sink.path(), &sink.text(), false)),
    );
    files
}

/// A sink may be added to what is there; anything else is written as a whole or not at all.
fn refuse_to_overwrite(files: &[File], lang: Lang) -> Result<(), ExitCode> {
    let there: Vec<_> = files
        .iter()
        .filter(|file| !file.may_stay && file.path.exists())
        .map(|file| file.path.display().to_string())
        .collect();
    if there.is_empty() {
        return Ok(());
    }
    let what = lang.pick(
        "is there already; nothing was written (--force overwrites)",
        "已存在；未写入任何文件（--force 可覆盖）",
    );
    Err(fail(format!("{} {what}", there.join(", ")), FAILED))
}

/// Writes `text` for the owner's eyes only; `false` if there is a file already, and no force.
fn write_new(path: &Path, text: &str, force: bool) -> io::Result<bool> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).mode(0o600);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        opened => {
            let mut file = opened?;
            file.write_all(text.as_bytes())?;
            Ok(true)
        }
    }
}

fn next_steps(lang: Lang, sinks: &[Wanted<'_>], variables: &BTreeSet<String>) -> String {
    let exports: Vec<_> = variables
        .iter()
        .map(|name| format!("     export {name}=…\n"))
        .collect();
    let files: Vec<_> = sinks.iter().map(Wanted::path).collect();
    let (edit, tested) = if sinks.is_empty() {
        ("sinks.d/webhook.toml".to_owned(), "webhook")
    } else {
        (files.join(", "), sinks[0].name.as_str())
    };
    let exports = exports.concat();
    match lang {
        Lang::En => format!(
            "\nKeep a copy of outbox.key elsewhere: without it the stored leads cannot be read.\nNext:\n  1. set the variables, TMALL_APP_SECRET to the secret of your app:\n{exports}  2. look through {edit}: where leads go\n  3. leadgate check, then leadgate run, then leadgate sink test {tested}\nThe URL for Tmall is https://YOUR-HOST/tmall/leads, behind your reverse proxy.\n"
        ),
        Lang::ZhCn => format!(
            "\n请在别处另存一份 outbox.key：没有它，已存储的客资无法读取。\n接下来：\n  1. 设置环境变量，TMALL_APP_SECRET 为应用的密钥：\n{exports}  2. 查看并编辑 {edit}：客资投递到哪里\n  3. leadgate check，然后 leadgate run，再用 leadgate sink test {tested} 试投一条\n交给天猫小二的地址是 https://您的域名/tmall/leads（经您的反向代理）。\n"
        ),
    }
}

/// Writes a new key for the owner's eyes only. `false` if there is one already: whatever is
/// stored may need it, so nothing overwrites it.
fn write_key(path: &Path) -> io::Result<bool> {
    let opened = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = match opened {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        opened => opened?,
    };
    let text = OutboxKey::generate().to_text();
    let written = writeln!(file, "{}", *text).and_then(|()| file.sync_all());
    if written.is_err() {
        // A part of a key would be kept as one the next time.
        let _ = std::fs::remove_file(path);
    }
    written.map(|()| true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        let facts = std::fs::metadata(path).expect("there");
        facts.permissions().mode() & 0o777
    }

    #[test]
    fn a_key_is_written_for_its_owner_only_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(KEY);
        assert!(write_key(&path).expect("writes"));
        let text = std::fs::read_to_string(&path).expect("reads");
        assert_eq!(
            *OutboxKey::parse(&text).expect("a key").to_text(),
            text.trim_end()
        );
        assert_eq!(mode(&path), 0o600);
        assert!(!write_key(&path).expect("keeps"));
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), text);
    }

    #[test]
    fn files_are_their_owners_and_stay_without_force() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sinks.d/crm.toml");
        assert!(write_new(&path, "a", false).expect("writes"));
        assert_eq!(mode(&path), 0o600);
        assert!(!write_new(&path, "b", false).expect("keeps"));
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "a");
        assert!(write_new(&path, "c", true).expect("writes"));
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "c");
    }

    #[test]
    fn every_mistake_in_what_was_asked_for_is_said() {
        let kinds = kinds::all();
        let asked = [
            "slak",
            "a b=slack",
            "x=slack",
            "x=email",
            "y=nothing-like-it",
        ];
        let problems = wanted(&asked.map(str::to_owned), &kinds)
            .err()
            .expect("wrong");
        let starts = [
            "--sink slak: there is no such kind; did you mean `slack`?",
            "--sink a b=slack: a name has letters",
            "--sink x=email: there is one of this name already",
            "--sink y=nothing-like-it: there is no such kind; there are: dingtalk-robot, ",
        ];
        assert_eq!(problems.len(), starts.len(), "{problems:?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem}");
        }
        let good = wanted(&["slack".to_owned()], &kinds).expect("good");
        assert_eq!(good[0].name, "slack");
    }
}
