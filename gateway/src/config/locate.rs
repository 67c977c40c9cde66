//! Locating: which file is the configuration, and whether it may be taken unasked.
//!
//! A file that was named is taken. `./leadgate.toml` decides by where somebody happens to
//! stand, so it is taken only if nobody but the caller and root can have written it: neither
//! it, nor its folder, nor what is read beside it.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::absolute;
use super::diagnostic::Text;
use super::resolve::Environment;
use crate::lang::Lang;

/// Where the system's configuration is.
pub(super) const SYSTEM: &str = "/etc/leadgate/leadgate.toml";
/// What is looked for where the caller stands.
const HERE: &str = "leadgate.toml";

/// A configuration in the working directory that somebody else can have written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untrusted {
    path: PathBuf,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    /// It belongs to this user, who is neither the caller nor root.
    Owner(u32),
    /// Its mode lets others write.
    Writable(u32),
}

/// Where the configuration is: the given file, else `$LEADGATE_CONFIG`, `./leadgate.toml`,
/// `/etc/leadgate/leadgate.toml`.
pub fn locate(given: Option<&Path>) -> Result<PathBuf, Untrusted> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    if let Some(named) = std::env::var_os("LEADGATE_CONFIG").filter(|named| !named.is_empty()) {
        return Ok(named.into());
    }
    examine(Path::new(".")).map(|here| here.unwrap_or_else(|| SYSTEM.into()))
}

/// The configuration in `folder`, if there is one and nobody but the caller and root can have
/// written it.
pub fn examine(folder: &Path) -> Result<Option<PathBuf>, Untrusted> {
    here(folder, rustix::process::geteuid().as_raw())
}

/// The configuration in `folder`, if there is one, for the user `me`.
fn here(folder: &Path, me: u32) -> Result<Option<PathBuf>, Untrusted> {
    let file = folder.join(HERE);
    // A link that leads nowhere is there, too: reading it says so.
    if file.symlink_metadata().is_err() {
        return Ok(None);
    }
    for path in read_with(folder, &file) {
        let Ok(facts) = std::fs::metadata(&path) else {
            continue;
        };
        let why = if facts.uid() != me && facts.uid() != 0 {
            Why::Owner(facts.uid())
        } else if facts.mode() & 0o022 != 0 {
            Why::Writable(facts.mode() & 0o7777)
        } else {
            continue;
        };
        return Err(Untrusted { path, why });
    }
    // As a person writes it.
    Ok(Some(if folder == Path::new(".") {
        HERE.into()
    } else {
        file
    }))
}

/// Everything that decides what the configuration says: folders, and the files in them.
fn read_with(folder: &Path, file: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned(), file.to_owned()];
    // Behind a link the folder of the file itself counts as well.
    if let Ok(real) = file.canonicalize()
        && let Some(parent) = real.parent()
    {
        all.push(parent.to_owned());
    }
    for beside in ["sinks.d", "tables.d"] {
        let beside = folder.join(beside);
        if let Ok(entries) = std::fs::read_dir(&beside) {
            let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
            let files = files.filter(|path| path.extension().is_some_and(|end| end == "toml"));
            all.push(beside.clone());
            all.extend(files);
        }
    }
    all
}

/// What to say of a configuration that is not there: each place where it was looked for, and
/// what is there.
pub(super) fn nowhere(file: &Path, environment: &Environment<'_>) -> Text {
    let init = Text::new(
        "`leadgate init` writes a configuration to start from",
        "可用 `leadgate init` 生成初始配置",
    );
    let variable = environment
        .get("LEADGATE_CONFIG")
        .filter(|named| !named.is_empty());
    if let Some(named) = &variable
        && absolute(Path::new(named)) == file
    {
        let said = Text::new("$LEADGATE_CONFIG names it", "该路径来自 $LEADGATE_CONFIG");
        return said.and(&init);
    }
    if file != Path::new(SYSTEM) {
        return init;
    }
    let here = absolute(Path::new("leadgate.toml"));
    let here = here.display();
    Text::new(
        format!(
            "looked for it in: --config (not given), $LEADGATE_CONFIG (not set), {here} (not there), {SYSTEM} (not there)"
        ),
        format!(
            "依次找过：--config（未给出）、$LEADGATE_CONFIG（未设置）、{here}（不存在）、{SYSTEM}（不存在）"
        ),
    )
    .and(&init)
}

impl Untrusted {
    /// What is wrong, and what to do.
    pub fn message(&self, lang: Lang) -> String {
        let path = self.path.display();
        let folder = self.path.is_dir();
        let what = match (&self.why, lang) {
            (Why::Owner(uid), Lang::En) => {
                format!("{path} belongs to {}, not to you or root", user(*uid))
            }
            (Why::Owner(uid), Lang::ZhCn) => {
                format!("{path} 属于 {}，而不是您或 root", user(*uid))
            }
            (Why::Writable(mode), Lang::En) => {
                format!("{path} can be changed by other users (mode {mode:04o})")
            }
            (Why::Writable(mode), Lang::ZhCn) => {
                format!("{path} 可被其他用户修改（权限 {mode:04o}）")
            }
        };
        let mend = match (&self.why, lang, folder) {
            (Why::Writable(_), Lang::En, _) => format!("run `chmod go-w {path}`, or "),
            (Why::Writable(_), Lang::ZhCn, _) => format!("请执行 `chmod go-w {path}`，或"),
            (Why::Owner(_), Lang::En | Lang::ZhCn, _) => String::new(),
        };
        match lang {
            Lang::En => format!(
                "./{HERE} was not taken, because {what}; {mend}say `--config {HERE}` if you trust it"
            ),
            Lang::ZhCn => {
                format!("未采用 ./{HERE}：{what}；{mend}确认可信后请加 `--config {HERE}`")
            }
        }
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message(Lang::En))
    }
}

/// A user's name and number; the number alone if nobody has it.
fn user(uid: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let found: u32 = fields.nth(1)?.parse().ok()?;
        (found == uid).then(|| name.to_owned())
    });
    name.map_or_else(
        || format!("uid {uid}"),
        |name| format!("{name} (uid {uid})"),
    )
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder with a configuration, all of it its owner's.
    fn folder() -> (tempfile::TempDir, u32) {
        let folder = tempfile::tempdir().expect("a folder");
        let sinks = folder.path().join("sinks.d");
        std::fs::create_dir(&sinks).expect("makes");
        for file in [folder.path().join(HERE), sinks.join("crm.toml")] {
            std::fs::write(&file, "").expect("writes");
            std::fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("sets");
        }
        std::fs::set_permissions(&sinks, Permissions::from_mode(0o755)).expect("sets");
        let me = std::fs::metadata(folder.path()).expect("there").uid();
        (folder, me)
    }

    #[test]
    fn what_only_its_owner_can_write_is_taken() {
        let (folder, me) = folder();
        let found = here(folder.path(), me).expect("trusted");
        assert_eq!(found, Some(folder.path().join(HERE)));
        let empty = tempfile::tempdir().expect("a folder");
        assert_eq!(here(empty.path(), me), Ok(None));
    }

    #[test]
    fn what_others_can_write_is_not_wherever_it_is() {
        for (part, mode) in [
            ("", 0o777),
            ("", 0o770),
            ("", 0o1777),
            (HERE, 0o666),
            (HERE, 0o664),
            ("sinks.d", 0o777),
            ("sinks.d/crm.toml", 0o646),
        ] {
            let (folder, me) = folder();
            let path = folder.path().join(part);
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("sets");
            let untrusted = here(folder.path(), me).expect_err(part);
            assert_eq!(untrusted.why, Why::Writable(mode), "{part}");
            let said = untrusted.message(Lang::En);
            assert!(said.contains("chmod go-w"), "{said}");
            assert!(said.contains("--config leadgate.toml"), "{said}");
        }
    }

    #[test]
    fn what_belongs_to_another_user_is_not() {
        let (folder, me) = folder();
        let untrusted = here(folder.path(), me + 1);
        // Root's may be taken by anybody.
        if me == 0 {
            assert!(untrusted.is_ok());
            let file = folder.path().join(HERE);
            std::os::unix::fs::chown(&file, Some(65_534), None).expect("root may");
            let untrusted = here(folder.path(), 0).expect_err("nobody's");
            assert_eq!(untrusted.why, Why::Owner(65_534));
        } else {
            assert_eq!(untrusted.expect_err("mine").why, Why::Owner(me));
        }
    }

    #[test]
    fn a_link_is_as_trusted_as_the_folder_it_leads_to() {
        let (there, me) = folder();
        std::fs::set_permissions(there.path(), Permissions::from_mode(0o777)).expect("sets");
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(there.path().join(HERE), folder.path().join(HERE))
            .expect("links");
        let untrusted = here(folder.path(), me).expect_err("others can write there");
        assert_eq!(untrusted.why, Why::Writable(0o777));
    }
}
