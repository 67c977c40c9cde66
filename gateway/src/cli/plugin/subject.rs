//! The subject: the file that `plugin check` and `plugin run` are given, looked at from outside.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use leadgate_plugin::hex;
use sha2::{Digest, Sha256};

use super::super::{FAILED, Global, USAGE, fail};
use super::part::told::Both;
use crate::lang::Lang;
use crate::plugin::{LoadError, elf, guard};

/// Largest library, in bytes.
const LARGEST: u64 = 1 << 30;

/// A file to be tried.
pub(super) struct Subject {
    /// As it was given.
    pub(super) shown: PathBuf,
    /// From wherever it is looked at.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    /// Of the file, in hex.
    pub(super) sha256: String,
}

/// What it is.
pub(super) enum Kind {
    /// A library, with the names of the plugins that it exports.
    Library(Vec<String>),
    /// A program for the `exec` plugin.
    Program,
}

impl Subject {
    /// Reads the file.
    pub(super) fn read(global: &Global, file: &Path) -> Result<Self, ExitCode> {
        let lang = global.lang();
        let shown = file.display();
        let refused = |why: String| fail(format!("{shown}{}{why}", lang.colon()), FAILED);
        let path = std::path::absolute(file).map_err(|error| refused(error.to_string()))?;
        let bytes = read(&path).map_err(|error| refused(error.to_string()))?;
        let kind = match elf::plugins(&bytes) {
            Some(plugins) if elf::is_library(&bytes) => Kind::Library(plugins),
            _ => Kind::Program,
        };
        Ok(Self {
            shown: file.to_owned(),
            path,
            kind,
            sha256: hex(&Sha256::digest(&bytes)),
        })
    }

    pub(super) fn is_program(&self) -> bool {
        matches!(self.kind, Kind::Program)
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    if file.metadata()?.len() > LARGEST {
        return Err(std::io::Error::other("larger than 1 GiB"));
    }
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Subject {
    /// The plugin that is meant: the one that was named, or the only one.
    pub(super) fn meant(&self, name: Option<&str>) -> Result<String, Both> {
        let Kind::Library(plugins) = &self.kind else {
            return Ok("exec".to_owned());
        };
        if let Some(name) = name {
            let symbol = name.replace('-', "_");
            return if plugins.contains(&symbol) {
                Ok(name.to_owned())
            } else {
                Err(exports(plugins, &format!("`leadgate_plugin_{symbol}`")))
            };
        }
        match plugins.as_slice() {
            [one] => Ok(one.replace('_', "-")),
            [] => Err(exports(plugins, "`leadgate_plugin_<name>`")),
            many => {
                let names: Vec<_> = many.iter().map(|name| name.replace('_', "-")).collect();
                let names = names.join(", ");
                Err(Both::new(
                    format!("it has several plugins; say which with --name: {names}"),
                    format!("其中有多个插件；请用 --name 指明：{names}"),
                ))
            }
        }
    }

    /// Why a gateway would refuse the file as it lies there.
    pub(super) fn fit(&self) -> Result<(), LoadError> {
        guard(&self.path)
    }
}

fn exports(plugins: &[String], missing: &str) -> Both {
    if plugins.is_empty() {
        return Both::new(
            format!(
                "it does not export {missing}, and nothing else that begins with `leadgate_plugin_`; is the function public, `extern \"C\"` and `no_mangle`?"
            ),
            format!(
                "没有导出 {missing}，也没有任何以 `leadgate_plugin_` 开头的符号；该函数是否公开、`extern \"C\"` 且 `no_mangle`？"
            ),
        );
    }
    let all: Vec<_> = plugins
        .iter()
        .map(|name| format!("`leadgate_plugin_{name}`"))
        .collect();
    let all = all.join(", ");
    Both::new(
        format!("it does not export {missing}; it does export {all}"),
        format!("没有导出 {missing}；它导出的是 {all}"),
    )
}

/// A name of a plugin as it is written in the configuration.
pub(super) fn name(text: &str) -> Result<String, String> {
    let mut letters = text.chars();
    let first = letters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase());
    let rest = letters.all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-');
    if first && rest && text.len() <= 64 && !text.ends_with('-') && !text.contains("--") {
        Ok(text.to_owned())
    } else {
        Err(
            "a name is a to z, digits and single `-`, and begins with a letter, such as `my-erp` \
             (名称由 a 到 z、数字与 `-` 组成，以字母开头，如 `my-erp`)"
                .to_owned(),
        )
    }
}

/// Says that something cannot be used as it was asked for.
pub(super) fn unusable(lang: Lang, file: &Path, why: &Both) -> ExitCode {
    let file = file.display();
    fail(format!("{file}{}{}", lang.colon(), why.pick(lang)), USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(plugins: &[&str]) -> Subject {
        let plugins = plugins.iter().map(|one| (*one).to_owned());
        Subject {
            shown: "lib.so".into(),
            path: "/lib.so".into(),
            kind: Kind::Library(plugins.collect()),
            sha256: String::new(),
        }
    }

    #[test]
    fn a_name_that_a_file_does_not_export_is_answered_with_what_it_does() {
        let one = library(&["my_erp"]);
        assert_eq!(one.meant(None).as_deref(), Ok("my-erp"));
        assert_eq!(one.meant(Some("my-erp")).as_deref(), Ok("my-erp"));
        let why = one.meant(Some("erp")).expect_err("not there");
        for text in [&why.en, &why.zh] {
            assert!(text.contains("`leadgate_plugin_erp`"), "{text}");
            assert!(text.contains("`leadgate_plugin_my_erp`"), "{text}");
        }
        let many = library(&["a", "b_c"]).meant(None).expect_err("which?");
        assert!(many.en.contains("--name: a, b-c"), "{many:?}");
        let none = library(&[]).meant(None).expect_err("none");
        assert!(none.en.contains("no_mangle"), "{none:?}");
    }

    #[test]
    fn names_are_those_that_a_symbol_can_have() {
        for good in ["erp", "my-erp", "a1-b2"] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in [
            "", "Erp", "1erp", "my_erp", "-erp", "erp-", "a--b", "../x", "我的",
        ] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
