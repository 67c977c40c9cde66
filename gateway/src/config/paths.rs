//! Paths: what a key that names a file or folder means.
//!
//! A path is relative to the folder of the file that names it, whatever folder the command runs
//! in. Which texts are paths is said by the schema (`"format": "path"`), a plugin's as well; with
//! `"x-default-path"` it says one for who writes none. A plugin reads what is there, unless
//! `"x-written"` says that it writes it; texts of a list with `"x-files-in"` may name files in
//! the folder that the first of those keys beside it says.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::diagnostic::{Diagnostic, Text};
use super::document::{Document, pointer};

/// Deepest schema that is followed.
const DEEPEST: usize = 32;

/// Makes the paths in `value` (at `at` in the document) absolute, as `schema` marks them. What
/// cannot be a path on this machine is a problem.
pub(super) fn resolve(
    schema: &Value,
    value: &mut Value,
    at: &str,
    document: &Document,
    problems: &mut Vec<Diagnostic>,
) {
    marked(schema, schema, value, at, DEEPEST, &mut |_, at, text| {
        if text.is_empty() || !document.is_good(at) {
            return;
        }
        if let Some((message, help)) = impossible(text, document.is_from_file(at)) {
            let place = document.value_place(at);
            problems.push(
                Diagnostic::error("config::path", message)
                    .help(help)
                    .at(place),
            );
            return;
        }
        if let Some((message, help)) = elsewhere(document, at, Path::new(text.as_str())) {
            let place = document.value_place(at);
            problems.push(
                Diagnostic::warning("config::path_elsewhere", message)
                    .help(help)
                    .at(place),
            );
        }
        *text = absolute(&document.folder(at), Path::new(text.as_str()))
            .display()
            .to_string();
    });
}

/// `path` seen from `folder`.
pub(super) fn absolute(folder: &Path, path: &Path) -> PathBuf {
    let joined = folder.join(path);
    std::path::absolute(&joined).unwrap_or(joined)
}

/// Calls `found` for each path in the resolved `settings` where the plugin reads what is there.
pub(super) fn read_by_plugin(
    schema: &Value,
    settings: &Value,
    found: &mut impl FnMut(&str, &Path),
) {
    // Marks are where defaults are filled in, too, so it is a value that may change.
    let mut whole = settings.clone();
    marked(
        schema,
        schema,
        &mut whole,
        "",
        DEEPEST,
        &mut |node, at, text| {
            if node["x-written"] != true {
                found(at, Path::new(text.as_str()));
            }
        },
    );
    for (key, node) in schema["properties"].as_object().into_iter().flatten() {
        let folders = node["x-files-in"].as_array().into_iter().flatten();
        let folder = folders.filter_map(|key| settings[key.as_str()?].as_str());
        let (Some(folder), Some(texts)) = (folder.into_iter().next(), settings[key].as_array())
        else {
            continue;
        };
        for (number, text) in texts.iter().enumerate() {
            let at = pointer(&pointer("", key), &number.to_string());
            found(
                &at,
                &absolute(
                    Path::new(folder),
                    Path::new(text.as_str().unwrap_or_default()),
                ),
            );
        }
    }
}

/// Everything in `settings` that names a file or a folder, or may, as it is written: where it is,
/// and what it says.
pub(super) fn named(schema: &Value, settings: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    // Marks are where defaults are filled in, too, so it is a value that may change.
    let mut whole = settings.clone();
    marked(
        schema,
        schema,
        &mut whole,
        "",
        DEEPEST,
        &mut |_, at, text| all.push((at.to_owned(), text.clone())),
    );
    for (key, node) in schema["properties"].as_object().into_iter().flatten() {
        // Of a command each part counts, and in which order.
        if node.get("x-files-in").is_some() && !settings[key].is_null() {
            all.push((pointer("", key), settings[key].to_string()));
        }
    }
    all
}

/// Calls `found` for each text in `value` that `node` marks as a path, with what marks it and
/// where it is.
fn marked(
    schema: &Value,
    node: &Value,
    value: &mut Value,
    at: &str,
    left: usize,
    found: &mut impl FnMut(&Value, &str, &mut String),
) {
    let Some(left) = left.checked_sub(1) else {
        return;
    };
    if let Some(named) = node["$ref"]
        .as_str()
        .and_then(|name| schema.pointer(name.strip_prefix('#')?))
    {
        marked(schema, named, value, at, left, found);
    }
    for cases in ["anyOf", "oneOf", "allOf"] {
        for case in node[cases].as_array().into_iter().flatten() {
            marked(schema, case, value, at, left, found);
        }
    }
    match value {
        Value::String(text) if node["format"] == "path" => found(node, at, text),
        Value::Object(entries) => {
            for (key, known) in node["properties"].as_object().into_iter().flatten() {
                if let (Some(path), false) =
                    (known["x-default-path"].as_str(), entries.contains_key(key))
                {
                    // As if it were written where the whole is.
                    let mut path = path.to_owned();
                    found(known, at, &mut path);
                    entries.insert(key.clone(), Value::String(path));
                }
            }
            for (key, value) in entries {
                let known = &node["properties"][key.as_str()];
                let inner = if known.is_null() {
                    &node["additionalProperties"]
                } else {
                    known
                };
                if inner.is_object() {
                    marked(schema, inner, value, &pointer(at, key), left, found);
                }
            }
        }
        Value::Array(items) => {
            for (number, value) in items.iter_mut().enumerate() {
                marked(
                    schema,
                    &node["items"],
                    value,
                    &pointer(at, &number.to_string()),
                    left,
                    found,
                );
            }
        }
        _ => {}
    }
}

/// What this machine would take for a strange name.
pub(super) fn impossible(path: &str, content: bool) -> Option<(Text, Text)> {
    let bytes = path.as_bytes();
    if content {
        return Some((
            Text::new(
                "this key wants the file's path, not what is in it",
                "此处要的是文件路径，而不是文件内容",
            ),
            Text::new(
                "write the path alone, without `file:`",
                "请只写路径，去掉 `file:`",
            ),
        ));
    }
    if path == "~" || path.starts_with("~/") {
        return Some((
            Text::new(
                "`~` is not replaced by your home folder",
                "`~` 不会被替换为主目录",
            ),
            Text::new(
                "write the whole path, or ${HOME}/…",
                "请写完整路径，或写 ${HOME}/…",
            ),
        ));
    }
    let drive = bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':';
    if drive || path.starts_with(r"\\") {
        return Some((
            Text::new(
                "this is a path of Windows, and leadgate runs on Linux",
                "这是 Windows 路径，而 leadgate 运行在 Linux 上",
            ),
            Text::new(
                "write it as Linux sees it, such as /mnt/c/leads; or relative to this file: leads.jsonl",
                "请写 Linux 中的路径，例如 /mnt/c/leads；或相对本文件的路径：leads.jsonl",
            ),
        ));
    }
    if path.contains('\\') {
        return Some((
            Text::new(
                "`\\` does not part folders here",
                "`\\` 在这里不是文件夹分隔符",
            ),
            Text::new("write `/`", "请改为 `/`"),
        ));
    }
    let control = path.chars().any(char::is_control);
    (control || path.trim() != path).then(|| {
        (
            Text::new(
                "a blank or a control character around or in the path",
                "路径中有多余的空白或控制字符",
            ),
            Text::new(
                r#"remove it; a backslash in "…" makes such characters, so write `/` for folders"#,
                "请删除；双引号中的反斜杠会产生这类字符，文件夹之间请写 `/`",
            ),
        )
    })
}

/// Where a relative path of a file in sinks.d/ or tables.d/ was probably meant: beside the main
/// file, where something of that name is.
pub(super) fn elsewhere(document: &Document, at: &str, path: &Path) -> Option<(Text, Text)> {
    let (own, main) = (document.folder(at), document.main_folder());
    if path.is_absolute() || own == main || own.join(path).exists() {
        return None;
    }
    let there = main.join(path);
    if !there.exists() {
        return None;
    }
    let up = path.strip_prefix("./").unwrap_or(path);
    Some((
        Text::new(
            format!(
                "{} is not there, but {} is: a path is relative to the folder of the file that names it",
                absolute(&own, path).display(),
                absolute(&main, path).display()
            ),
            format!(
                "{} 不存在，而 {} 存在：相对路径以写它的文件所在文件夹为准",
                absolute(&own, path).display(),
                absolute(&main, path).display()
            ),
        ),
        Text::new(
            format!("write ../{}", up.display()),
            format!("请写 ../{}", up.display()),
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path_here_is_told_apart() {
        for path in [
            "~/data",
            "~",
            r"C:\leads",
            "C:/leads",
            r"\\server\share",
            r"data\leads",
            "C:\teads",
            " data",
            "data ",
            "da\nta",
        ] {
            assert!(impossible(path, false).is_some(), "{path:?}");
        }
        for path in [
            "data",
            "./data",
            "../a b/c.jsonl",
            "/var/lib/leadgate",
            "客资.csv",
            "a~b",
        ] {
            assert!(impossible(path, false).is_none(), "{path:?}");
        }
        assert!(impossible("x", true).is_some());
    }

    #[test]
    fn a_path_that_nobody_wrote_is_made_where_the_rest_is_written() {
        let schema = serde_json::json!({
            "properties": { "base": { "type": ["string", "null"], "format": "path", "x-default-path": "." } },
        });
        let resolved = |value: Value| {
            let (mut value, mut asked) = (value, Vec::new());
            marked(
                &schema,
                &schema,
                &mut value,
                "/sinks/erp/settings",
                DEEPEST,
                &mut |_, at, text| {
                    asked.push(at.to_owned());
                    *text = absolute(Path::new("/etc/leadgate"), Path::new(text.as_str()))
                        .display()
                        .to_string();
                },
            );
            (value, asked)
        };
        let (value, asked) = resolved(serde_json::json!({}));
        assert_eq!(value, serde_json::json!({ "base": "/etc/leadgate" }));
        assert_eq!(asked[0], "/sinks/erp/settings");
        let (value, _) = resolved(serde_json::json!({ "base": "/srv" }));
        assert_eq!(value, serde_json::json!({ "base": "/srv" }));
    }

    #[test]
    fn marks_are_found_through_references_alternatives_and_lists() {
        let schema = serde_json::json!({
            "properties": {
                "tls": { "anyOf": [{ "$ref": "#/$defs/Tls" }, { "type": "null" }] },
                "files": { "items": { "type": "string", "format": "path" } },
                "named": { "additionalProperties": { "format": "path" } },
                "text": { "type": "string" },
            },
            "$defs": { "Tls": { "properties": { "ca": { "type": ["string", "null"], "format": "path" } } } },
        });
        let mut value = serde_json::json!({
            "tls": { "ca": "1" }, "files": ["2", "3"], "named": { "a": "4" }, "text": "5", "more": "6",
        });
        let mut found = Vec::new();
        marked(
            &schema,
            &schema,
            &mut value,
            "",
            DEEPEST,
            &mut |_, at, text| {
                found.push(format!("{at}={text}"));
            },
        );
        found.sort();
        assert_eq!(
            found,
            ["/files/0=2", "/files/1=3", "/named/a=4", "/tls/ca=1"]
        );
    }
}
