//! What runs: whether the daemon runs the configuration that is on disk, and saying so.
//!
//! What a command shows is made of the files; what the daemon sends, of what it loaded last.

use serde_json::Value;

use super::client::Api;
use super::{Global, table};
use crate::config::Revision;
use crate::lang::Lang;

/// Files against what runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Files {
    /// The daemon runs what they say.
    Same,
    /// It runs something else; what a person is told.
    Other(String),
    /// The daemon does not say what it runs.
    Unknown,
}

/// Compares `files` with what the daemon of `api` runs.
pub(super) fn compare(global: &Global, api: &Api<'_>, files: &Revision) -> Files {
    let Ok(running) = api.get("/system") else {
        return Files::Unknown;
    };
    judge(global.lang(), &running, files)
}

/// Says on stderr where the daemon's own files say something else by now, as it sees them itself:
/// they may be on another machine. For commands that make it send.
pub(super) fn warn_of_changes(global: &Global, api: &Api<'_>) {
    let Ok(running) = api.get("/system") else {
        return;
    };
    if running["files"] == "changed" {
        warn(&Files::Other(changed(global.lang(), &running)));
    }
}

/// Which configuration the daemon runs, in a line; `config` is as it answers with it.
pub(super) fn line(lang: Lang, config: &Value) -> Option<String> {
    let [_, revision, since] = TEXTS.map(|key| config[key].as_str().unwrap_or_default());
    let since = table::time(lang, since).filter(|_| !revision.is_empty())?;
    Some(lang.pick(
        format!("configuration {revision}, loaded {since}"),
        format!("配置 {revision}，加载于 {since}"),
    ))
}

const TEXTS: [&str; 3] = ["file", "revision", "loaded_at"];

/// Says on stderr what there is to say.
pub(super) fn warn(files: &Files) {
    if let Files::Other(message) = files {
        errln!("leadgate: {message}");
    }
}

fn judge(lang: Lang, running: &Value, files: &Revision) -> Files {
    let [file, hash, since] = TEXTS.map(|key| running[key].as_str().unwrap_or_default());
    if hash.is_empty() {
        return Files::Unknown;
    }
    if hash == files.hash {
        return Files::Same;
    }
    let since = table::time(lang, since).unwrap_or_default();
    let here = files.file.display();
    Files::Other(if files.file == std::path::Path::new(file) {
        changed(lang, running)
    } else {
        lang.pick(
            format!(
                "{here} is not what the daemon runs: it loaded {file} ({since}), which said something else, and sends what that said"
            ),
            format!(
                "{here} 不是守护进程运行的配置：它加载（{since}）的是 {file}，内容不同，并按其投递"
            ),
        )
    })
}

/// What is said of files that were changed since the daemon loaded them.
fn changed(lang: Lang, running: &Value) -> String {
    let [file, _, since] = TEXTS.map(|key| running[key].as_str().unwrap_or_default());
    let since = table::time(lang, since).unwrap_or_default();
    lang.pick(
        format!(
            "{file}, or a file beside it, was changed since the daemon loaded it ({since}): it sends what it loaded; run `leadgate reload` to use the change"
        ),
        format!(
            "{file} 或其旁的文件在守护进程加载（{since}）后有改动：仍按已加载的配置投递；运行 `leadgate reload` 后改动才生效"
        ),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(files: Files) -> String {
        match files {
            Files::Other(message) => message,
            files => panic!("{files:?}"),
        }
    }

    #[test]
    fn a_change_on_disk_is_told_in_both_languages_and_its_undoing_ends_that() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("leadgate.toml");
        let write = |text: &str| {
            std::fs::write(&file, text).expect("writes");
            Revision::of(&file).expect("reads")
        };
        let started = write("a = 1");
        let running = json!({
            "file": started.file,
            "revision": started.hash,
            "loaded_at": "2026-01-02T03:04:05Z",
        });
        assert_eq!(judge(Lang::En, &running, &started), Files::Same);
        let edited = write("a = 2");
        let en = said(judge(Lang::En, &running, &edited));
        assert!(
            en.contains("was changed since the daemon loaded it"),
            "{en}"
        );
        assert!(en.contains("leadgate.toml"), "{en}");
        let zh = said(judge(Lang::ZhCn, &running, &edited));
        assert!(zh.contains("运行 `leadgate reload` 后改动才生效"), "{zh}");
        assert_eq!(judge(Lang::En, &running, &write("a = 1")), Files::Same);
    }

    #[test]
    fn another_file_is_other_only_if_it_says_something_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).expect("writes");
            Revision::of(&file).expect("reads")
        };
        let started = write("a.toml", "a = 1");
        let running = json!({ "file": started.file, "revision": started.hash });
        let files = write("b.toml", "a = 1");
        assert_eq!(judge(Lang::En, &running, &files), Files::Same);
        let en = said(judge(Lang::En, &running, &write("b.toml", "a = 2")));
        assert!(en.contains("b.toml is not what the daemon runs"), "{en}");
        assert!(en.contains("a.toml"), "{en}");
    }

    #[test]
    fn a_daemon_that_does_not_say_what_it_runs_is_not_guessed_about() {
        let files = Revision {
            file: "/etc/leadgate/leadgate.toml".into(),
            hash: "00".to_owned(),
        };
        assert_eq!(judge(Lang::En, &Value::Null, &files), Files::Unknown);
    }
}
