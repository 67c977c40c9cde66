//! What comes next: what `check` says of what was written, and the commands that lead to the
//! first lead.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::sink_file::Wanted;
use crate::config::{self, Report};
use crate::lang::Lang;

/// The variable that `[sources.tmall]` names.
pub(super) const APP_SECRET: &str = "TMALL_APP_SECRET";

/// What was written, as far as the next commands depend on it.
pub(super) struct Next<'a> {
    pub(super) lang: Lang,
    pub(super) folder: &'a Path,
    pub(super) sinks: &'a [Wanted<'a>],
    pub(super) variables: &'a BTreeSet<String>,
}

impl Next<'_> {
    /// Says it on stderr.
    pub(super) fn print(&self, report: &Report) {
        let lang = self.lang;
        if report.diagnostics().is_empty() {
            let good = lang.pick(
                "`leadgate check` finds nothing wrong.",
                "`leadgate check` 未发现问题。",
            );
            errln!("\n{good}");
        } else {
            let left = lang.pick(
                "What `leadgate check` says is left to do:",
                "`leadgate check` 提示还需完成：",
            );
            errln!("\n{left}");
            for line in left_to_do(report, self.folder, lang) {
                errln!("  {line}");
            }
        }
        errln!("\n{}", self.text().trim_end());
        if let Err(untrusted) = config::examine(self.folder) {
            errln!("\n{}", untrusted.message(lang));
        }
    }

    /// The commands, in the order in which they are needed.
    fn text(&self) -> String {
        let lang = self.lang;
        let mut lines: Vec<(String, &str)> = Vec::new();
        if self.folder != Path::new(".") {
            lines.push((format!("cd {}", in_shell(self.folder)), ""));
        }
        lines.push((
            format!("export {APP_SECRET}=…"),
            lang.pick(
                "the secret of your app; to try it out, any word",
                "应用的密钥（App Secret）；试用时可随便填",
            ),
        ));
        let others = self.variables.iter().filter(|name| *name != APP_SECRET);
        lines.extend(others.map(|name| (format!("export {name}=…"), "")));
        lines.push(("leadgate check".to_owned(), ""));
        let tested = self.sinks.first().map_or("webhook", |sink| &sink.name);
        if self.sinks.is_empty() {
            lines.push((
                "leadgate sink listen --secret file:secrets/webhook".to_owned(),
                lang.pick("a stand-in CRM; it keeps running", "模拟 CRM；会一直运行"),
            ));
        } else {
            lines.push((
                format!("leadgate render --sink {tested}"),
                lang.pick("what it will be sent", "预览将发送的内容"),
            ));
        }
        // The stand-in keeps the first terminal.
        let (run, test) = if self.sinks.is_empty() {
            (
                lang.pick(
                    "in another terminal; it keeps running, too",
                    "另开一个终端；同样一直运行",
                ),
                lang.pick(
                    "in a third one: a test lead",
                    "再开一个终端：试投一条测试客资",
                ),
            )
        } else {
            (
                lang.pick("it keeps running", "会一直运行"),
                lang.pick(
                    "in another terminal: a test lead",
                    "另开一个终端：试投一条测试客资",
                ),
            )
        };
        lines.push(("leadgate run".to_owned(), run));
        lines.push((format!("leadgate sink test {tested}"), test));
        let width = lines
            .iter()
            .map(|(command, _)| command.chars().count())
            .max();
        let width = width.unwrap_or(0).min(52);
        let mut text = lang.pick("Next:\n", "接下来：\n").to_owned();
        for (command, what) in lines {
            let line = match what {
                "" => format!("  {command}\n"),
                what => format!("  {command:<width$}  # {what}\n"),
            };
            text.push_str(&line);
        }
        text.push_str(lang.pick(
            "\nKeep a copy of outbox.key elsewhere: without it the stored leads cannot be read.\nThe URL for Tmall is https://YOUR-HOST/tmall/leads, behind your reverse proxy.\n",
            "\n请在别处另存一份 outbox.key：没有它，已存储的客资无法读取。\n交给天猫小二的地址是 https://您的域名/tmall/leads（经您的反向代理）。\n",
        ));
        text
    }
}

/// What `check` finds, each on a line.
fn left_to_do(report: &Report, folder: &Path, lang: Lang) -> Vec<String> {
    let found = report.json(lang);
    let problems = found["problems"].as_array();
    let problems = problems.into_iter().flatten();
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    problems.map(|one| short(one, &folder)).collect()
}

/// `leadgate.toml:41: environment variable … is not set`; `check` itself shows the line.
fn short(diagnostic: &Value, folder: &Path) -> String {
    let message = diagnostic["message"].as_str().unwrap_or_default();
    match (diagnostic["file"].as_str(), diagnostic["line"].as_u64()) {
        (Some(file), Some(line)) => {
            let file = Path::new(file);
            let file = file.strip_prefix(folder).unwrap_or(file).display();
            format!("{file}:{line}: {message}")
        }
        _ => message.to_owned(),
    }
}

/// A path as one word of a shell.
fn in_shell(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+@".contains(letter);
    if text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::kinds;
    use super::*;

    fn text(folder: &str, sinks: &[Wanted<'_>]) -> String {
        let variables = ["CRM_TOKEN", APP_SECRET].map(str::to_owned);
        let next = Next {
            lang: Lang::En,
            folder: Path::new(folder),
            sinks,
            variables: &variables.into(),
        };
        next.text()
    }

    #[test]
    fn the_next_commands_begin_where_the_files_are_and_name_the_sink() {
        let tryout = text(".", &[]);
        assert!(tryout.contains("leadgate sink listen --secret"), "{tryout}");
        assert!(!tryout.contains("cd "), "{tryout}");
        let kinds = kinds::all();
        let crm = Wanted {
            name: "crm".to_owned(),
            kind: &kinds[0],
            answers: std::collections::BTreeMap::new(),
        };
        let text = text("/srv/mein Laden", &[crm]);
        let commands: Vec<_> = text
            .lines()
            .skip(1)
            .map(|line| line.split("  # ").next())
            .collect();
        let commands: Vec<_> = commands.into_iter().flatten().map(str::trim).collect();
        assert_eq!(
            commands[..6],
            [
                "cd '/srv/mein Laden'",
                "export TMALL_APP_SECRET=…",
                "export CRM_TOKEN=…",
                "leadgate check",
                "leadgate render --sink crm",
                "leadgate run",
            ]
        );
        assert!(text.contains("leadgate sink test crm"), "{text}");
        assert!(text.contains("# in another terminal: a test"), "{text}");
        assert!(tryout.contains("# in a third one"), "{tryout}");
    }

    #[test]
    fn what_is_left_to_do_names_the_variable_that_is_missing() {
        let folder = tempfile::tempdir().expect("a folder");
        let main = folder.path().join("leadgate.toml");
        let text = "[sources.tmall]\napp_secret = \"${NO_SUCH_VARIABLE_OF_INIT}\"\n";
        std::fs::write(&main, text).expect("writes");
        let mut plugins = crate::plugin::Plugins::builtin().expect("plugins");
        let none = config::Environment::process();
        let (_, report) = config::load(&main, &none, &mut plugins);
        for lang in [Lang::En, Lang::ZhCn] {
            let left = left_to_do(&report, folder.path(), lang).join("\n");
            assert!(left.contains("NO_SUCH_VARIABLE_OF_INIT"), "{left}");
            assert!(left.contains("leadgate.toml:2: "), "{left}");
            assert!(!left.contains('/'), "{left}");
        }
    }
}
