//! Resolution: `${NAME}` inside texts, and secrets named by `env:`, `file:` and `cred:`.
//!
//! Done on values after parsing, never on the file's text, so nothing in the environment can
//! change the structure. What cannot be resolved is an error at its place.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::diagnostic::{Diagnostic, Place, Text};
use super::document::{Document, pointer};
use super::reference::{self, Reference, Slip, is_name};
use super::schema::dotted;
use super::{encoding, literal_secret, lookalike, paths};

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

/// Resolves all texts of the document, and notes in it what could not be resolved, so that
/// nothing further is said about that.
pub(super) fn resolve(
    document: &mut Document,
    environment: &Environment<'_>,
    problems: &mut Vec<Diagnostic>,
) {
    let mut root = std::mem::take(&mut document.root);
    let mut walk = Walk {
        document,
        environment,
        problems,
        failed: BTreeSet::new(),
        from_files: BTreeSet::new(),
    };
    walk.value(&mut root, "");
    let (failed, from_files) = (walk.failed, walk.from_files);
    document.root = root;
    document.failed = failed;
    document.from_files = from_files;
}

struct Walk<'a, 'e> {
    document: &'a Document,
    environment: &'a Environment<'e>,
    problems: &'a mut Vec<Diagnostic>,
    failed: BTreeSet<String>,
    from_files: BTreeSet<String>,
}

/// What is wrong, and what to do.
type Wrong = (Text, Text);

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

    fn text(&mut self, text: &str, at: &str) -> Result<String, Wrong> {
        if takes_secrets(at) {
            let only = literal_secret::is_named(at) || !is_settings(at);
            match reference::read(text, only) {
                Ok(Some(Reference::Env(name))) => {
                    let value = self.variable(name)?;
                    return Ok(self.looked_at(&value, &format!("${name}"), at));
                }
                Ok(Some(Reference::Cred(name))) => {
                    let path = self.credential(name)?;
                    let value = read_secret(&path)?;
                    return Ok(self.looked_at(&value, &format!("cred:{name}"), at));
                }
                Ok(Some(Reference::File(name))) => return self.file(name, at),
                Ok(None) => {}
                Err(Slip { message, help }) => return Err((message, help)),
            }
        } else if !is_free(at) && reference::looks_like_one(text) {
            return Err((
                Text::new(
                    format!("`{}` takes no `env:`, `file:` or `cred:`", dotted(at)),
                    format!("`{}` 不支持 `env:`、`file:`、`cred:` 写法", dotted(at)),
                ),
                {
                    let name = match reference::read(text, false) {
                        Ok(Some(Reference::Env(name))) => name,
                        _ => "NAME",
                    };
                    Text::new(
                        format!(
                            "write the value itself, or \"${{{name}}}\" for an environment variable"
                        ),
                        format!("请直接写值，或用 \"${{{name}}}\" 引用环境变量"),
                    )
                },
            ));
        }
        if takes_secrets(at) && literal_secret::is_literal(at, text) {
            self.warn(
                "config::literal_secret",
                Text::new("a secret is written out in the file", "密钥明文写在文件里"),
                Text::new(
                    "use \"env:NAME\", \"file:PATH\" or \"cred:NAME\" instead",
                    "建议改用 \"env:NAME\"、\"file:PATH\" 或 \"cred:NAME\"",
                ),
                self.document.key_place(at),
            );
        }
        let resolved = self.interpolate(text)?;
        self.literal(&resolved, text, at);
        Ok(resolved)
    }

    /// What is odd about a text that was written in the file.
    fn literal(&mut self, resolved: &str, written: &str, at: &str) {
        if let Some(name) = unreplaced(written) {
            self.warn(
                "config::not_replaced",
                Text::new(
                    format!("`${name}` is not replaced: the text keeps it as it is"),
                    format!("`${name}` 不会被替换，会原样保留"),
                ),
                Text::new(
                    format!("write ${{{name}}} for the variable, or $${name} for the text"),
                    format!("引用变量请写 ${{{name}}}；若就是要这段文字，请写 $${name}"),
                ),
                self.document.value_place(at),
            );
        }
        // Where a text has one word only, what nobody sees in it is a slip.
        let word = !resolved.contains(' ') && !resolved.contains("{{") && !resolved.contains('\n');
        let strict = literal_secret::is_named(at) || resolved.contains("://");
        if (word || strict)
            && let Some((at_byte, name)) = lookalike::unseen(resolved).filter(|_| !is_table(at))
            && (strict
                || resolved[at_byte..]
                    .chars()
                    .next()
                    .is_some_and(|letter| !letter.is_ascii()))
        {
            let (en, zh) = name.both();
            let length = resolved[at_byte..].chars().next().map_or(1, char::len_utf8);
            let place = self
                .document
                .part_place(at, resolved, Some(&(at_byte..at_byte + length)));
            self.warn(
                "config::unseen",
                Text::new(format!("in this text is {en}"), format!("文本中有{zh}")),
                Text::new("delete it", "请删除它"),
                place,
            );
        }
    }

    fn warn(&mut self, code: &'static str, message: Text, help: Text, place: Option<Place>) {
        self.problems
            .push(Diagnostic::warning(code, message).help(help).at(place));
    }

    /// The value of a secret that is set elsewhere, after a look at what is odd about it.
    fn looked_at(&mut self, value: &str, from: &str, at: &str) -> String {
        let value = value
            .strip_prefix('\u{feff}')
            .unwrap_or(value)
            .trim_end_matches(['\r', '\n'])
            .to_owned();
        if let Some((message, help)) = literal_secret::oddity(&value) {
            let (en, zh) = message.both();
            let message = Text::new(format!("{from}: {en}"), format!("{from}：{zh}"));
            let place = self.document.value_place(at);
            self.warn("config::odd_secret", message, help, place);
        }
        value
    }

    fn variable(&self, name: &str) -> Result<String, Wrong> {
        self.environment
            .get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| (unset(name), export(name)))
    }

    fn credential(&self, name: &str) -> Result<PathBuf, Wrong> {
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
        Ok(PathBuf::from(folder).join(name))
    }

    fn file(&mut self, name: &str, at: &str) -> Result<String, Wrong> {
        if let Some(wrong) = paths::impossible(name, false) {
            return Err(wrong);
        }
        if let Some(wrong) = paths::elsewhere(self.document, at, Path::new(name)) {
            return Err(wrong);
        }
        let path = paths::absolute(&self.document.folder(at), Path::new(name));
        if others_may_read(&path) {
            let place = self.document.value_place(at);
            let shown = path.display();
            self.warn(
                "config::open_secret_file",
                Text::new(
                    format!("{shown} can be read by other users"),
                    format!("{shown} 可被其他用户读取"),
                ),
                Text::plain(format!("chmod 600 {shown}")),
                place,
            );
        }
        let value = read_secret(&path)?;
        self.from_files.insert(at.to_owned());
        Ok(self.looked_at(&value, &path.display().to_string(), at))
    }

    /// `${NAME}`, `${NAME:-default}`, `${NAME:?message}`; `$$` is a dollar.
    fn interpolate(&self, text: &str) -> Result<String, Wrong> {
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

    fn expand(&self, inner: &str) -> Result<String, Wrong> {
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
            None => unset(name),
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

fn unset(name: &str) -> Text {
    Text::new(
        format!("environment variable {name} is not set"),
        format!("环境变量 {name} 未设置"),
    )
}

/// A variable that a shell would replace and leadgate does not: `$NAME` without braces.
fn unreplaced(text: &str) -> Option<&str> {
    let text = text.split("{{").next().unwrap_or_default();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        let end = rest
            .find(|letter: char| {
                !letter.is_ascii_uppercase() && letter != '_' && !letter.is_ascii_digit()
            })
            .unwrap_or(rest.len());
        let ends = !rest[end..].starts_with(|letter: char| letter.is_ascii_alphanumeric());
        if end > 2 && ends && reference::is_name(&rest[..end]) {
            return Some(&rest[..end]);
        }
    }
    None
}

/// Whether group or others may read the file.
pub(super) fn others_may_read(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|facts| facts.mode() & 0o077 != 0)
}

fn read_secret(path: &Path) -> Result<String, Wrong> {
    let shown = path.display();
    let io = |error: &std::io::Error| {
        let help = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Text::new(
                "run leadgate as the file's owner, or give it the file with chown",
                "请以该文件的所有者运行 leadgate，或用 chown 更改所有者",
            ),
            _ => Text::new(
                "make it, with the secret alone in it and mode 600; a path is relative to the folder of the file that names it",
                "请创建它，内容只写密钥，权限设为 600；相对路径以写它的文件所在文件夹为准",
            ),
        };
        (encoding::io_text(path, error), help)
    };
    let facts = std::fs::metadata(path).map_err(|error| io(&error))?;
    if facts.is_dir() {
        let message = Text::new(format!("{shown} is a folder"), format!("{shown} 是文件夹"));
        return Err((message, Text::new("name the file in it", "请写其中的文件")));
    }
    if facts.len() > LARGEST {
        let message = Text::new(
            format!("{shown} is larger than 64 KiB"),
            format!("{shown} 大于 64 KiB"),
        );
        let help = Text::new("is it the right file?", "请确认文件是否正确");
        return Err((message, help));
    }
    let bytes = std::fs::read(path).map_err(|error| io(&error))?;
    let text = encoding::decode(&bytes).map_err(|found| {
        let (message, help) = found.explain(path);
        (message, help)
    })?;
    if text.trim().is_empty() {
        let message = Text::new(format!("{shown} is empty"), format!("{shown} 是空文件"));
        return Err((
            message,
            Text::new("write the secret into it", "请把密钥写入该文件"),
        ));
    }
    Ok(text)
}

/// Where `env:`, `file:` and `cred:` mean a secret.
fn takes_secrets(at: &str) -> bool {
    is_settings(at)
        || at == "/admin/token"
        || literal_secret::is_outbox_key(at)
        || (at.starts_with("/sources/")
            && (at.contains("/app_secret") || at.ends_with("/open_key")))
}

fn is_settings(at: &str) -> bool {
    let mut steps = at.split('/').skip(1);
    steps.next() == Some("sinks") && steps.nth(1) == Some("settings")
}

/// Texts of lookup tables: any text may be a label.
fn is_table(at: &str) -> bool {
    at.starts_with("/tables/")
}

/// Where a text may begin with `env:` and mean itself.
fn is_free(at: &str) -> bool {
    is_table(at) || at.ends_with("/when")
}
