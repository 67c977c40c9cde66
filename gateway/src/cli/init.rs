//! `leadgate init`: a commented configuration to start from.
//!
//! Writes the files of the project's `config/` folder, so that what is shipped and what is
//! written cannot differ. Never overwrites unless told to.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{FAILED, Global, fail};

/// What is written: path and text.
const FILES: [(&str, &str); 4] = [
    (
        "leadgate.toml",
        include_str!("../../../config/leadgate.toml"),
    ),
    (
        "sinks.d/webhook.toml",
        include_str!("../../../config/sinks.d/webhook.toml"),
    ),
    (
        "sinks.d/archive.toml",
        include_str!("../../../config/sinks.d/archive.toml"),
    ),
    (
        "tables.d/tmall.toml",
        include_str!("../../../config/tables.d/tmall.toml"),
    ),
];

#[derive(clap::Args)]
pub(super) struct Args {
    /// Where to write
    #[arg(default_value = ".", value_name = "FOLDER")]
    folder: PathBuf,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> ExitCode {
    let lang = global.lang();
    let paths: Vec<_> = FILES
        .iter()
        .map(|(name, text)| (args.folder.join(name), text))
        .collect();
    if !args.force
        && let Some((there, _)) = paths.iter().find(|(path, _)| path.exists())
    {
        let what = lang.pick(
            "is there already; nothing was written (--force overwrites)",
            "已存在；未写入任何文件（--force 可覆盖）",
        );
        return fail(format!("{} {what}", there.display()), FAILED);
    }
    for (path, text) in &paths {
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(path, text));
        if let Err(error) = written {
            return fail(format!("{}: {error}", path.display()), FAILED);
        }
        println!("{}", path.display());
    }
    eprintln!(
        "{}",
        lang.pick(
            "\nNext:\n  1. export TMALL_APP_SECRET=…   the secret of your app\n  2. edit sinks.d/webhook.toml     where leads go\n  3. leadgate check, then leadgate run\nThe URL for Tmall is https://YOUR-HOST/tmall/leads, behind your reverse proxy.",
            "\n接下来：\n  1. export TMALL_APP_SECRET=…   应用的密钥\n  2. 编辑 sinks.d/webhook.toml     客资投递到哪里\n  3. leadgate check，然后 leadgate run\n交给天猫小二的地址是 https://您的域名/tmall/leads（经您的反向代理）。",
        )
    );
    ExitCode::SUCCESS
}
