//! Files: which of them make a configuration, and what the parser says of one.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::super::diagnostic::{Diagnostic, Place, Text};
use super::super::{literal_secret, syntax};
use super::MOST;

pub(super) fn files(main: &Path, problems: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let mut files = vec![main.to_owned()];
    let folder = main.parent().unwrap_or(Path::new(""));
    for beside in ["sinks.d", "tables.d"] {
        let Ok(entries) = std::fs::read_dir(folder.join(beside)) else {
            continue;
        };
        let mut found: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "toml")
            })
            .collect();
        found.sort();
        files.extend(found);
    }
    if files.len() > MOST {
        problems.push(Diagnostic::error(
            "config::file",
            Text::new(
                format!("more than {MOST} files"),
                format!("文件超过 {MOST} 个"),
            ),
        ));
        files.truncate(MOST);
    }
    files
}

/// What is said of a file that is not TOML.
pub(super) fn said(text: &str, file: usize, errors: &[toml::de::Error]) -> Vec<Diagnostic> {
    let complaints = errors.iter().map(|error| syntax::Complaint {
        message: error.message(),
        range: error.span().unwrap_or(0..0),
    });
    let place = |range: Range<usize>| Place {
        file,
        range,
        pointer: String::new(),
    };
    let mistakes = syntax::mistakes(text, complaints.collect());
    mistakes
        .into_iter()
        .map(|one| {
            let mut error = Diagnostic::error(one.code, one.message)
                .help(one.help)
                .at(Some(place(one.range)));
            error.other = one.first.map(place);
            error
        })
        .collect()
}

/// The values of lines whose keys name a secret, for a text of which more is not known. Quotes
/// and signs stay: they may be the mistake.
pub(super) fn secret_lines(text: &str) -> Vec<Range<usize>> {
    let mut masks = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let sign = line.find(['=', ':', '＝', '：']);
        if let Some(sign) = sign {
            let key = line[..sign]
                .trim()
                .trim_matches(['"', '\''])
                .replace('.', "/");
            let value = &line[sign..];
            let refers = ["env", "file", "cred", "${"].iter().any(|kind| {
                value
                    .trim_start_matches(|letter: char| !letter.is_alphanumeric() && letter != '$')
                    .starts_with(kind)
            });
            let table = matches!(key.as_str(), "headers" | "auth" | "query");
            let hidden = table
                || literal_secret::is_named(&format!("/settings/{key}"))
                || key == "key"
                || value.contains('@');
            if hidden && !refers {
                masks.extend(value.char_indices().filter_map(|(at, letter)| {
                    let at = start + sign + at;
                    letter
                        .is_alphanumeric()
                        .then_some(at..at + letter.len_utf8())
                }));
            }
        }
        start += line.len();
    }
    masks
}

/// Sections whose entries are named and may come from several files.
pub(super) fn is_named(section: &str) -> bool {
    matches!(section, "sources" | "sinks" | "plugins" | "tables")
}
