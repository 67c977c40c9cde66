//! Resolution: `${NAME}` inside texts, and secrets named by `env:`, `file:` and `cred:`.
//!
//! Done on values after parsing, never on the file's text, so nothing in the environment can
//! change the structure. What cannot be resolved is an error at its place.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::diagnostic::{Diagnostic, Text};
use super::document::{Document, is_literal_secret, is_outbox_key, pointer};

/// Largest secret file, in bytes.
const LARGEST: u64 = 64 * 1024;

/// Gives a variable's value.
type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Where names are looked up. A value, so that tests have their own.
pub struct Environment<'a> {
    variable: Box<Lookup<'a>>,
}

impl<'a> Environment<'a> {
    /// The process's environment.
    pub fn process() -> Self {
        Self {
            variable: Box::new(|name| std::env::var(name).ok()),
        }
    }

    /// A given one.
    pub fn of(variable: impl Fn(&str) -> Option<String> + 'a) -> Self {
        Self {
            variable: Box::new(variable),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }
}

/// Resolves all texts of the document. Gives the pointers that could not be resolved, so
/// that nothing further is said about them.
pub(super) fn resolve(
    document: &mut Document,
    environment: &Environment<'_>,
    folder: &Path,
    problems: &mut Vec<Diagnostic>,
) -> BTreeSet<String> {
    let mut failed = BTreeSet::new();
    let mut root = std::mem::take(&mut document.root);
    let mut walk = Walk {
        document,
        environment,
        folder,
        problems,
        failed: &mut failed,
    };
    walk.value(&mut root, "");
    document.root = root;
    failed
}

struct Walk<'a, 'e> {
    document: &'a Document,
    environment: &'a Environment<'e>,
    folder: &'a Path,
    problems: &'a mut Vec<Diagnostic>,
    failed: &'a mut BTreeSet<String>,
}

impl Walk<'_, '_> {
    fn value(&mut self, value: &mut Value, at: &str) {
        match value {
            Value::String(text) => match self.text(text, at) {
                Ok(resolved) => *text = resolved,
                Err((message, help)) => {
                    self.failed.insert(at.to_owned());
                    let place = self.document.value_place(at);
                    self.problems.push(
                        Diagnostic::error("config::unresolved", message)
                            .help(help)
                            .at(place),
                    );
                }
            },
            Value::Array(items) => {
                for (number, item) in items.iter_mut().enumerate() {
                    self.value(item, &pointer(at, &number.to_string()));
                }
            }
            Value::Object(entries) => {
                for (key, item) in entries {
                    self.value(item, &pointer(at, key));
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str, at: &str) -> Result<String, (Text, Text)> {
        if takes_secrets(at)
            && let Some((kind, name)) = text.split_once(':')
        {
            match kind {
                "env" if is_name(name) => return self.variable(name),
                "cred" if !name.is_empty() && !name.contains('/') => return self.credential(name),
                "file" if !name.is_empty() => {
                    let folder = self.document.folder(at, self.folder);
                    return self.file(&folder.join(name), at);
                }
                _ => {}
            }
        }
        if is_secret(at) && is_literal_secret(at, text) {
            let message = Text::new("a secret is written out in the file", "密钥明文写在文件里");
            let help = Text::new(
                "use \"env:NAME\", \"file:PATH\" or \"cred:NAME\" instead",
                "建议改用 \"env:NAME\"、\"file:PATH\" 或 \"cred:NAME\"",
            );
            let place = self.document.key_place(at);
            self.problems.push(
                Diagnostic::warning("config::literal_secret", message)
                    .help(help)
                    .at(place),
            );
        }
        self.interpolate(text)
    }

    fn variable(&self, name: &str) -> Result<String, (Text, Text)> {
        self.environment
            .get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                let message = format!("environment variable {name} is not set");
                (
                    Text::new(message, format!("环境变量 {name} 未设置")),
                    export(name),
                )
            })
    }

    fn credential(&mut self, name: &str) -> Result<String, (Text, Text)> {
        let Some(folder) = self.environment.get("CREDENTIALS_DIRECTORY") else {
            let help = "a credential is given by systemd: `LoadCredential=` in the unit";
            return Err((
                Text::new(
                    format!("credential {name}: there is no $CREDENTIALS_DIRECTORY"),
                    format!("凭据 {name}：没有 $CREDENTIALS_DIRECTORY"),
                ),
                Text::new(help, "凭据由 systemd 提供：在 unit 中设置 LoadCredential="),
            ));
        };
        read_secret(&PathBuf::from(folder).join(name))
    }

    fn file(&mut self, path: &Path, at: &str) -> Result<String, (Text, Text)> {
        use std::os::unix::fs::MetadataExt;
        if std::fs::metadata(path).is_ok_and(|facts| facts.mode() & 0o077 != 0) {
            let message = Text::new(
                format!("{} can be read by other users", path.display()),
                format!("{} 可被其他用户读取", path.display()),
            );
            let help = Text::plain(format!("chmod 600 {}", path.display()));
            let place = self.document.value_place(at);
            self.problems.push(
                Diagnostic::warning("config::open_secret_file", message)
                    .help(help)
                    .at(place),
            );
        }
        read_secret(path)
    }

    /// `${NAME}`, `${NAME:-default}`, `${NAME:?message}`; `$$` is a dollar.
    fn interpolate(&self, text: &str) -> Result<String, (Text, Text)> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            out.push_str(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some((inner, after)) =
                rest.strip_prefix('{').and_then(|rest| rest.split_once('}'))
            {
                out.push_str(&self.expand(inner)?);
                rest = after;
            } else {
                out.push('$');
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn expand(&self, inner: &str) -> Result<String, (Text, Text)> {
        let end = inner.find(':').unwrap_or(inner.len());
        let (name, modifier) = inner.split_at(end);
        if !is_name(name) {
            return Err((
                Text::new(
                    format!("`${{{inner}}}` is not a variable"),
                    format!("`${{{inner}}}` 不是变量"),
                ),
                Text::new(
                    "write ${NAME}, or $$ for a dollar",
                    "请写 ${NAME}；$$ 表示美元符号",
                ),
            ));
        }
        if let Some(value) = self.environment.get(name).filter(|value| !value.is_empty()) {
            return Ok(value);
        }
        if let Some(default) = modifier.strip_prefix(":-") {
            return Ok(default.to_owned());
        }
        let message = match modifier.strip_prefix(":?") {
            Some(message) => Text::plain(format!("{name}: {message}")),
            None => Text::new(
                format!("environment variable {name} is not set"),
                format!("环境变量 {name} 未设置"),
            ),
        };
        Err((message, export(name)))
    }
}

fn export(name: &str) -> Text {
    Text::new(
        format!("set it before starting: export {name}=…"),
        format!("启动前请设置：export {name}=…"),
    )
}

fn read_secret(path: &Path) -> Result<String, (Text, Text)> {
    let read = || {
        let length = std::fs::metadata(path)?.len();
        if length > LARGEST {
            return Err(std::io::Error::other("larger than 64 KiB"));
        }
        std::fs::read_to_string(path)
    };
    match read() {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err((
            Text::plain(format!("{}: {error}", path.display())),
            Text::default(),
        )),
    }
}

/// Where `env:`, `file:` and `cred:` mean a secret.
fn takes_secrets(at: &str) -> bool {
    is_secret(at) || is_settings(at)
}

fn is_settings(at: &str) -> bool {
    let mut steps = at.split('/').skip(1);
    steps.next() == Some("sinks") && steps.nth(1) == Some("settings")
}

fn is_secret(at: &str) -> bool {
    is_settings(at)
        || at == "/admin/token"
        || is_outbox_key(at)
        || (at.starts_with("/sources/")
            && (at.contains("/app_secret") || at.ends_with("/open_key")))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !text.as_bytes()[0].is_ascii_digit()
}
