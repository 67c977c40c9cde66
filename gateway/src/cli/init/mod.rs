//! `leadgate init`: a commented configuration to start from, with the sinks that were asked for.
//!
//! Writes the files of the project's `config/` folder and what the presets say of themselves,
//! so that what is shipped and what is written cannot differ, in one language. Ends as `leadgate
//! check` would, so that nobody learns later what is missing. All of it is for its owner's eyes
//! only. Never overwrites unless told to, and never a key, token or secret.

mod bilingual;
mod interview;
mod kinds;
mod next;
mod sink_file;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use self::bilingual::in_language;
use self::interview::Interview;
use self::kinds::Kind;
use self::sink_file::Wanted;
use self::write::{SECRETS, write_new, write_secret};
use super::{FAILED, Global, USAGE, fail, out};
use crate::config::{self, Catalogue, Environment};
use crate::lang::Lang;
use crate::plugin::Plugins;

/// The main file, which everything else is beside.
const MAIN: &str = "leadgate.toml";
/// What `#:schema` in the files names.
const SCHEMA: &str = "leadgate.schema.json";

/// What is written in any case: path and text.
const FILES: [(&str, &str); 2] = [
    (MAIN, include_str!("../../../../config/leadgate.toml")),
    (
        "tables.d/tmall.toml",
        include_str!("../../../../config/tables.d/tmall.toml"),
    ),
];

/// The sink that is written if none was asked for: it sends to `leadgate sink listen`.
const TRYOUT: (&str, &str) = (
    "sinks.d/webhook.toml",
    include_str!("../../../../config/sinks.d/webhook.toml"),
);

/// The script that the example of the `exec` plugin runs, as long as nobody names another. It takes
/// no lead for delivered.
const SCRIPT: (&str, &str) = ("erp.py", include_str!("erp.py"));

#[derive(clap::Args)]
#[command(after_help = kinds_help(Lang::En))]
pub(super) struct Args {
    /// Where to write
    #[arg(default_value = ".", value_name = "FOLDER")]
    folder: PathBuf,
    /// A sink to write, such as crm=salesforce; may be repeated. The kind alone is also its name
    #[arg(long = "sink", value_name = "NAME=KIND")]
    sinks: Vec<String>,
    /// Ask nothing; without --sink leads go to `leadgate sink listen` on this machine
    #[arg(long)]
    yes: bool,
    /// Overwrite files that are there, but never keys, tokens and secrets
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

/// What was done.
#[derive(Default)]
struct Done {
    written: Vec<String>,
    kept: Vec<String>,
}

/// The kinds of destinations, as help lists them.
pub(super) fn kinds_help(lang: Lang) -> String {
    let mut text = lang.pick("Kinds of sinks:", "目的地的类型：").to_owned();
    for kind in kinds::all() {
        let (name, about) = (kind.name, kind.about(lang));
        // Writing into a text does not fail.
        let _ = write!(text, "\n  {name:<18} {about}");
    }
    text
}

pub(super) fn run(global: &Global, args: &Args) -> ExitCode {
    super::finish(init(global, args))
}

fn init(global: &Global, args: &Args) -> Result<(), ExitCode> {
    let lang = global.lang();
    let kinds = kinds::all();
    let mut plugins = Plugins::builtin().map_err(|error| fail(error, FAILED))?;
    let sinks = if args.sinks.is_empty() && !args.yes {
        asked(global, args, &kinds, &plugins.left_out())?
    } else {
        let sinks = wanted(&args.sinks, &kinds, lang);
        sinks.map_err(|problems| fail(problems.join("\n"), USAGE))?
    };
    let files = files(&args.folder, &sinks, &plugins, lang);
    if !args.force {
        refuse_to_overwrite(&files, sinks.is_empty(), lang)?;
    }
    let done = write_all(args, &files)?;
    let variables: BTreeSet<String> = std::iter::once(next::APP_SECRET.to_owned())
        .chain(sinks.iter().flat_map(Wanted::variables))
        .collect();
    let main = beside(&args.folder, MAIN);
    let (_, report) = config::load(&main, &Environment::process(), &mut plugins);
    if global.json {
        let all = json!({
            "written": done.written,
            "kept": done.kept,
            "environment": variables,
            "check": report.json(lang),
        });
        out::json(&all);
        return Ok(());
    }
    for path in &done.written {
        outln!("{path}");
    }
    let stays = lang.pick("is there already and was kept", "已存在，予以保留");
    for path in &done.kept {
        errln!("{path} {stays}");
    }
    let next = next::Next {
        lang,
        folder: &args.folder,
        sinks: &sinks,
        variables: &variables,
    };
    next.print(&report);
    Ok(())
}

/// The sinks that a person chooses, if one is there to be asked.
fn asked<'k>(
    global: &Global,
    args: &Args,
    kinds: &'k [Kind],
    left_out: &[String],
) -> Result<Vec<Wanted<'k>>, ExitCode> {
    let lang = global.lang();
    let is_person = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !is_person || global.json {
        let message = lang.pick(
            "nobody is here to answer (no terminal); nothing was written. Say where leads go: --sink NAME=KIND, or --yes to try it out on this machine first",
            "没有终端，无法提问；未写入任何文件。请用 --sink 名字=类型 说明客资发到哪里，或用 --yes 先在本机试用",
        );
        return Err(fail(message, USAGE));
    }
    if args.folder.join(MAIN).exists() && !args.force {
        errln!(
            "{}",
            lang.pick(
                "leadgate.toml is there already; what you choose is added to it.",
                "leadgate.toml 已存在；您选择的目的地会添加进去。",
            )
        );
    }
    let mut interview = Interview {
        lang,
        input: &mut io::stdin().lock(),
        output: &mut io::stderr(),
    };
    let sinks = interview.sinks(kinds, left_out);
    sinks.map_err(|error| fail(error, FAILED))
}

/// What `--sink` says; all that is wrong with it.
fn wanted<'k>(
    asked: &[String],
    kinds: &'k [Kind],
    lang: Lang,
) -> Result<Vec<Wanted<'k>>, Vec<String>> {
    let mut sinks: Vec<Wanted<'k>> = Vec::new();
    let mut problems = Vec::new();
    for text in asked {
        let (name, of) = text.split_once('=').unwrap_or((text, text));
        let mut refuse = |why: String| problems.push(format!("--sink {text}: {why}"));
        let kind = match kinds::named(of, kinds, lang) {
            Ok(kind) => kind,
            Err(why) => {
                refuse(why);
                continue;
            }
        };
        if !is_name(name) {
            refuse(bad_name(lang).to_owned());
        } else if sinks.iter().any(|sink| sink.name == name) {
            let taken = lang.pick("there is one of this name already", "已有同名的目的地");
            refuse(taken.to_owned());
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

/// Whether a sink may be called so: it becomes a file, a table and a part of variables.
fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&text.len())
        && text.bytes().all(is_letter)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn bad_name(lang: Lang) -> &'static str {
    lang.pick(
        "a name has letters, digits, - and _ only",
        "名字只能含字母、数字、- 和 _",
    )
}

fn files(folder: &Path, sinks: &[Wanted<'_>], plugins: &Plugins, lang: Lang) -> Vec<File> {
    let file = |path: &str, text: String, may_stay: bool| File {
        path: beside(folder, path),
        text,
        may_stay,
    };
    let mut files: Vec<_> = FILES
        .iter()
        .map(|(path, text)| file(path, in_language(text, lang), !sinks.is_empty()))
        .collect();
    // Of this build, and nothing that anybody edits.
    let schema = format!("{:#}\n", config::schema(plugins));
    files.push(file(SCHEMA, schema, true));
    if sinks.is_empty() {
        let (path, text) = TRYOUT;
        files.push(file(path, in_language(text, lang), false));
    }
    files.extend(
        sinks
            .iter()
            .map(|sink| file(&sink.path(), sink.text(lang), false)),
    );
    let (script, text) = SCRIPT;
    if sinks.iter().any(|sink| sink.runs(script)) {
        // It may be the merchant's own by now.
        files.push(file(&format!("sinks.d/{script}"), text.to_owned(), true));
    }
    files
}

/// `path` in `folder`, as a person would write it.
fn beside(folder: &Path, path: &str) -> PathBuf {
    if folder == Path::new(".") {
        path.into()
    } else {
        folder.join(path)
    }
}

/// A sink may be added to what is there; anything else is written as a whole or not at all.
fn refuse_to_overwrite(files: &[File], is_tryout: bool, lang: Lang) -> Result<(), ExitCode> {
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
    let more = if is_tryout {
        lang.pick(
            "\n  to add a sink to what is there: leadgate init --sink NAME=KIND",
            "\n  在现有配置上添加目的地：leadgate init --sink 名字=类型",
        )
    } else {
        ""
    };
    let there = there.join(", ");
    Err(fail(format!("{there} {what}{more}"), FAILED))
}

/// Writes the files, and the secrets that they name.
fn write_all(args: &Args, files: &[File]) -> Result<Done, ExitCode> {
    let mut done = Done::default();
    let mut put = |path: &Path, new: io::Result<bool>| match new {
        Ok(is_new) => {
            let list = if is_new {
                &mut done.written
            } else {
                &mut done.kept
            };
            list.push(path.display().to_string());
            Ok(())
        }
        Err(error) => Err(fail(format!("{}: {error}", path.display()), FAILED)),
    };
    for file in files {
        put(
            &file.path,
            write_new(&file.path, &file.text, args.force && !file.may_stay),
        )?;
    }
    let main = std::fs::read_to_string(args.folder.join(MAIN)).unwrap_or_default();
    let named = files.iter().map(|file| file.text.as_str());
    let all: Vec<&str> = named.chain([main.as_str()]).collect();
    for (path, make) in SECRETS {
        if all.iter().any(|text| text.contains(path)) {
            let path = beside(&args.folder, path);
            put(&path, write_secret(&path, &make()))?;
        }
    }
    Ok(done)
}

/// Every file of `config/` that something is written from.
#[cfg(test)]
fn shipped() -> Vec<(&'static str, &'static str)> {
    let mut all = FILES.to_vec();
    all.push(TRYOUT);
    all.extend(kinds::all().iter().filter_map(|kind| match kind.source {
        kinds::Source::Copy(text) => Some((kind.name, text)),
        kinds::Source::Preset { .. } => None,
    }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let problems = wanted(&asked.map(str::to_owned), &kinds, Lang::En)
            .err()
            .expect("wrong");
        let starts = [
            "--sink slak: there is no kind `slak`; did you mean `slack`?",
            "--sink a b=slack: a name has letters",
            "--sink x=email: there is one of this name already",
            "--sink y=nothing-like-it: there is no kind `nothing-like-it`; there are: dingtalk-robot, ",
        ];
        assert_eq!(problems.len(), starts.len(), "{problems:?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem}");
        }
        let good = wanted(&["slack".to_owned()], &kinds, Lang::En).expect("good");
        assert_eq!(good[0].name, "slack");
    }

    #[test]
    fn a_program_is_written_for_who_has_none() {
        let kinds = kinds::all();
        let plugins = Plugins::builtin().expect("built in");
        let written = |sinks: &[Wanted<'_>]| {
            let files = files(Path::new("."), sinks, &plugins, Lang::En);
            let script = Path::new("sinks.d/erp.py");
            files
                .iter()
                .any(|file| file.path == script && file.may_stay)
        };
        let mut sinks = wanted(&["exec".to_owned()], &kinds, Lang::En).expect("good");
        assert!(written(&sinks));
        let own = sink_file::Answer::List(vec!["/srv/erp/take".to_owned()]);
        sinks[0].answers.insert("command".to_owned(), own);
        assert!(!written(&sinks));
        assert!(!written(
            &wanted(&["slack".to_owned()], &kinds, Lang::En).expect("good")
        ));
    }

    #[test]
    fn what_is_written_never_opens_the_api_and_names_what_is_written_beside_it() {
        for (name, text) in shipped() {
            assert!(!text.contains("allow_without_token = true"), "{name}");
            assert!(!text.contains("0.0.0.0"), "{name}");
            for (at, _) in text.match_indices("\"file:") {
                let path = text[at + 6..].split('"').next().unwrap_or_default();
                let path = path.trim_start_matches("../");
                let is_made = SECRETS.iter().any(|(made, _)| *made == path);
                let is_example = text[..at]
                    .rsplit('\n')
                    .next()
                    .is_some_and(|line| line.contains('#'));
                assert!(is_made || is_example, "{name}: {path}");
            }
        }
    }
}
