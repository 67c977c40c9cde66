//! `leadgate init`: a commented configuration to start from.
//!
//! Writes the files of the project's `config/` folder, so that what is shipped and what is
//! written cannot differ. Never overwrites unless told to, and never the key of the outbox.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{FAILED, Global, fail};
use crate::seal::OutboxKey;

/// Where `leadgate.toml` looks for the key of the outbox.
const KEY: &str = "outbox.key";

/// What is written: path and text.
const FILES: [(&str, &str); 5] = [
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
        "sinks.d/email.toml",
        include_str!("../../../config/sinks.d/email.toml"),
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
    let path = args.folder.join(KEY);
    match write_key(&path) {
        Ok(true) => println!("{}", path.display()),
        Ok(false) => {
            let kept = lang.pick("is there already and was kept", "已存在，予以保留");
            eprintln!("{} {kept}", path.display());
        }
        Err(error) => return fail(format!("{}: {error}", path.display()), FAILED),
    }
    eprintln!(
        "{}",
        lang.pick(
            "\nKeep a copy of outbox.key elsewhere: without it the stored leads cannot be read.\nNext:\n  1. export TMALL_APP_SECRET=…   the secret of your app\n  2. edit sinks.d/webhook.toml     where leads go\n  3. leadgate check, then leadgate run\nThe URL for Tmall is https://YOUR-HOST/tmall/leads, behind your reverse proxy.",
            "\n请在别处另存一份 outbox.key：没有它，已存储的客资无法读取。\n接下来：\n  1. export TMALL_APP_SECRET=…   应用的密钥\n  2. 编辑 sinks.d/webhook.toml     客资投递到哪里\n  3. leadgate check，然后 leadgate run\n交给天猫小二的地址是 https://您的域名/tmall/leads（经您的反向代理）。",
        )
    );
    ExitCode::SUCCESS
}

/// Writes a new key for the owner's eyes only. `false` if there is one already: whatever is
/// stored may need it, so nothing overwrites it.
fn write_key(path: &Path) -> std::io::Result<bool> {
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
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!write_key(&path).expect("keeps"));
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), text);
    }
}
