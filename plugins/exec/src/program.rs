//! The program: what a merchant's command means, and what speaks against running it.
//!
//! Nothing is started here. Whoever can change the program, or a script that it is given, can do
//! what it can; so others must not be able to.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use leadgate_plugin::child::{Command, Sandbox};
use leadgate_plugin::{Host, Problem, Problems, Secret, pointer_segment};

use crate::problem;
use crate::settings::Settings;

/// Where programs are looked for that are named without a `/`; also their `PATH`.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The protocol's number, for the program's `LEADGATE_PROTOCOL`.
const PROTOCOL: &str = "1";
/// Write rights of the group and of everybody.
const OTHERS: u32 = 0o022;
/// In such a folder others may make files of their own, and not touch ours.
const STICKY: u32 = 0o1000;
/// Ends of names that scripts have.
const SCRIPTS: [&str; 10] = [
    "py", "sh", "bash", "js", "mjs", "ts", "rb", "pl", "php", "lua",
];

/// What is run, and how.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// What stands behind it.
    pub(crate) args: Vec<String>,
    /// As it is written, for people.
    pub(crate) shown: String,
    pub(crate) folder: PathBuf,
    /// What it may use.
    pub(crate) sandbox: Sandbox,
    env: BTreeMap<String, Secret>,
    sink: String,
}

impl Program {
    pub(crate) fn new(settings: &Settings, host: &Host) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let folder = settings.folder.as_ref().or(settings.base.as_ref());
        let folder = folder.map_or(Path::new("/"), PathBuf::as_path).to_owned();
        if !folder.is_dir() {
            problems.push(problem::no_folder(&folder));
        }
        for name in settings.env.keys().filter(|name| !is_variable(name)) {
            problems.push(problem::no_variable(name));
        }
        for (name, value) in &settings.env {
            if value.expose().contains('\0') {
                problems.push(problem::nul(format!("/env{}", pointer_segment(name))));
            }
        }
        let (name, args) = match settings.command.split_first() {
            Some((name, args)) if !name.trim().is_empty() => (name, args),
            _ => {
                problems.push(problem::no_command());
                return Err(problems);
            }
        };
        for (number, part) in settings.command.iter().enumerate() {
            if part.contains('\0') {
                problems.push(problem::nul(format!("/command/{number}")));
            }
        }
        let path = find(name, &folder, PATH).map_err(|problem| problems.push(problem));
        let mut files = Vec::new();
        if folder.is_dir() {
            problems.extend(scripts(args, &folder, &mut files));
        }
        match path {
            Ok(path) => problems.into_result(Self {
                sandbox: settings
                    .sandbox
                    .sandbox(&path, &files, settings.folder.as_deref()),
                path,
                args: args.to_vec(),
                shown: shown(&settings.command),
                folder,
                env: settings.env.clone(),
                sink: host.sink().to_owned(),
            }),
            Err(()) => Err(problems),
        }
    }

    /// The command with `more` behind its own arguments.
    pub(crate) fn command(&self, more: &[String]) -> Command {
        let command = Command::new(&self.path)
            .args(&self.args)
            .args(more)
            .folder(&self.folder)
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            // What Python prints shall arrive at once.
            .env("PYTHONUNBUFFERED", "1")
            .env("LEADGATE_PROTOCOL", PROTOCOL)
            .env("LEADGATE_SINK", &self.sink);
        let given = self.env.iter();
        given.fold(command, |command, (name, value)| {
            command.env(name, value.expose())
        })
    }
}

/// The command as somebody would type it.
fn shown(command: &[String]) -> String {
    let plain = |one: &str| {
        !one.is_empty()
            && one
                .chars()
                .all(|letter| letter.is_alphanumeric() || "-_./=:,+@%".contains(letter))
    };
    let parts = command.iter().map(|one| {
        if plain(one) {
            one.clone()
        } else {
            format!("'{}'", one.replace('\'', r"'\''"))
        }
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// The file that `name` means, if it can be run and nobody else can change it.
fn find(name: &str, folder: &Path, path: &str) -> Result<PathBuf, Problem> {
    let at = "/command/0";
    if name.contains('/') {
        let file = folder.join(name);
        let found = std::fs::metadata(&file).map_err(|error| problem::missing(&file, &error))?;
        runs(&file, &found)?;
        return protected(&file, at).map(|()| file);
    }
    let mut refused = None;
    for place in path.split(':').map(Path::new) {
        let file = place.join(name);
        let Ok(found) = std::fs::metadata(&file) else {
            continue;
        };
        match runs(&file, &found) {
            Ok(()) => return protected(&file, at).map(|()| file),
            Err(problem) => refused = refused.or(Some(problem)),
        }
    }
    Err(refused.unwrap_or_else(|| problem::not_found(name, folder, path)))
}

/// Whether it is a program that we may start.
fn runs(file: &Path, found: &Metadata) -> Result<(), Problem> {
    let shown = file.display();
    if !found.is_file() {
        return Err(Problem::at("/command/0", format!("{shown} is not a file"))
            .help("name the program itself, such as \"./erp.py\"")
            .chinese(
                format!("{shown} 不是文件"),
                "请写程序文件本身，例如 \"./erp.py\"",
            ));
    }
    let executable = found.permissions().mode() & 0o111 != 0
        && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok();
    if executable {
        return Ok(());
    }
    Err(Problem::at(
        "/command/0",
        format!("{shown} may not be run by the user that runs leadgate"),
    )
    .help(format!(
        "run `chmod +x {shown}`, or name what runs it first, such as [\"python3\", \"{shown}\"]"
    ))
    .chinese(
        format!("运行 leadgate 的用户不能执行 {shown}"),
        format!("请运行 `chmod +x {shown}`，或先写解释器，例如 [\"python3\", \"{shown}\"]"),
    ))
}

/// The files among the arguments go to `files`: scripts must be there, and nobody else's to change.
fn scripts(args: &[String], folder: &Path, files: &mut Vec<PathBuf>) -> Problems {
    let mut problems = Problems::default();
    let mut first = true;
    for (number, arg) in args.iter().enumerate() {
        if arg.is_empty() || arg.starts_with('-') || arg.contains('\0') {
            continue;
        }
        let at = format!("/command/{}", number + 1);
        let file = folder.join(arg);
        let is_script = file
            .extension()
            .and_then(|end| end.to_str())
            .is_some_and(|end| SCRIPTS.contains(&end));
        if file.is_file() {
            // Other files are what the program works with.
            if let (true, Err(problem)) = (first || is_script, protected(&file, &at)) {
                problems.push(problem);
            }
            files.push(file);
        } else if first && is_script {
            problems.push(problem::no_script(at, &file, arg));
        }
        first = false;
    }
    problems
}

/// Whether only root and we can change the file and the folders on the way to it.
fn protected(file: &Path, at: &str) -> Result<(), Problem> {
    let real =
        std::fs::canonicalize(file).map_err(|error| problem::unreadable(file, &error, at))?;
    for (depth, place) in real.ancestors().enumerate() {
        let found =
            std::fs::metadata(place).map_err(|error| problem::unreadable(place, &error, at))?;
        let us = rustix::process::geteuid().as_raw();
        if found.uid() != 0 && found.uid() != us {
            return Err(problem::foreign(place, found.uid(), at));
        }
        let sticky = depth > 0 && found.mode() & STICKY != 0;
        if found.mode() & OTHERS != 0 && !sticky {
            return Err(problem::writable(place, at));
        }
    }
    Ok(())
}

fn is_variable(name: &str) -> bool {
    let good = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    !name.is_empty()
        && name.chars().all(good)
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use leadgate_plugin::Tables;
    use serde_json::{Value, json};

    use super::*;

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("sets");
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        set(folder.path(), 0o755);
        for (name, mode) in [("erp.py", 0o644), ("erp", 0o755)] {
            let file = folder.path().join(name);
            std::fs::write(&file, "#!/bin/sh\n").expect("writes");
            set(&file, mode);
        }
        folder
    }

    fn program(folder: &Path, settings: Value) -> Result<Program, Vec<String>> {
        let mut settings = settings;
        settings["folder"] = json!(folder);
        let settings = serde_json::from_value(settings).expect("fits the schema");
        let host = Host::detached("erp", Tables::new());
        let made = Program::new(&settings, &host);
        made.map_err(|problems| {
            let problems = problems.into_iter();
            problems
                .map(|problem| {
                    assert!(!problem.chinese.message.is_empty(), "{problem}");
                    let shown = folder.display().to_string();
                    format!("{problem} | {}", problem.help).replace(&shown, "@")
                })
                .collect()
        })
    }

    #[test]
    fn a_command_is_found_beside_the_configuration_or_in_the_path() {
        let folder = folder();
        let own = program(folder.path(), json!({"command": ["./erp", "it's", "-v"]}));
        let own = own.expect("good");
        assert_eq!(own.path, folder.path().join("./erp"));
        assert_eq!(own.shown, r"./erp 'it'\''s' -v");
        assert!(own.sandbox.execute.contains(&folder.path().to_owned()));
        let shell = program(folder.path(), json!({"command": ["sh", "-c", "true"]}));
        assert!(shell.expect("good").path.ends_with("bin/sh"));
        let script = json!({"command": ["sh", "erp.py", "x"], "base": folder.path()});
        let settings = serde_json::from_value(script).expect("fits the schema");
        let script = Program::new(&settings, &Host::detached("erp", Tables::new())).expect("good");
        assert_eq!(script.folder, folder.path());
        assert_eq!(script.sandbox.read, [folder.path().join("erp.py")]);
        assert!(
            !script.sandbox.execute.contains(&folder.path().to_owned()),
            "the configuration's"
        );
    }

    #[test]
    fn what_cannot_be_run_is_said_with_what_to_do() {
        let folder = folder();
        std::fs::create_dir(folder.path().join("sub")).expect("makes");
        for (settings, said) in [
            (
                json!({"command": []}),
                "settings.command: it names no program",
            ),
            (
                json!({"command": [" "]}),
                "settings.command: it names no program",
            ),
            (
                json!({"command": ["erp"]}),
                "there is no program `erp` in /usr/local/bin:/usr/bin:/bin | one beside the configuration is \"./erp\"",
            ),
            (json!({"command": ["no-such-program"]}), "| install it"),
            (
                json!({"command": ["./no"]}),
                "settings.command.0: @/./no does not exist",
            ),
            (json!({"command": ["./sub"]}), "is not a file"),
            (
                json!({"command": ["./erp.py"]}),
                "@/./erp.py may not be run by the user that runs leadgate | run `chmod +x @/./erp.py`",
            ),
            (
                json!({"command": ["sh", "no.sh"]}),
                "settings.command.1: @/no.sh does not exist",
            ),
            (
                json!({"command": ["./erp"], "env": {"a b": "x"}}),
                "settings.env.a b: not a name",
            ),
            (
                json!({"command": ["./erp"], "env": {"A": "\u{0}"}}),
                "settings.env.A: a program cannot",
            ),
        ] {
            let problems = program(folder.path(), settings.clone()).expect_err("a problem");
            assert!(
                problems.len() == 1 && problems[0].contains(said),
                "{settings}: {problems:?}"
            );
        }
        let several = json!({"command": ["./no", "a.py"], "env": {"1": ""}});
        let problems = program(folder.path(), several).expect_err("problems");
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    #[test]
    fn what_others_may_change_is_not_run() {
        let folder = folder();
        let refused = |command: &[&str]| {
            program(folder.path(), json!({"command": command})).expect_err("refused")
        };
        set(&folder.path().join("erp"), 0o775);
        assert_eq!(
            refused(&["./erp"]),
            ["settings.command.0: @/erp can be changed by other users | run `chmod go-w @/erp`"]
        );
        set(&folder.path().join("erp.py"), 0o666);
        let script = refused(&["sh", "erp.py"]);
        assert!(
            script[0].starts_with("settings.command.1: @/erp.py can be"),
            "{script:?}"
        );
        set(&folder.path().join("erp.py"), 0o644);
        set(folder.path(), 0o777);
        let around = refused(&["sh", "erp.py"]);
        assert!(
            around[0].starts_with("settings.command.1: @ can be"),
            "{around:?}"
        );
        set(folder.path(), 0o1777);
        program(folder.path(), json!({"command": ["sh", "erp.py"]})).expect("as in /tmp");
    }
}
