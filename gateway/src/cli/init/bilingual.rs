//! Bilingual: the shipped files say everything twice; what `init` writes says it once.
//!
//! A comment of its own line is Chinese if it has a Chinese letter in it; one that has both
//! languages, or stands behind a value, has ` · ` between them. What is commented out, and
//! what is indented by three blanks, is neither and stays.

use crate::lang::Lang;

/// `text` with the comments of one language.
pub(super) fn in_language(text: &str, lang: Lang) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if let Some(line) = line_in(line, lang) {
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

/// The line, unless all of it is the other language.
fn line_in(line: &str, lang: Lang) -> Option<String> {
    if is_prose(line) {
        return match sides(line.trim_start_matches(['#', ' '])) {
            Some((zh, en)) => Some(format!("# {}", lang.pick(en, zh))),
            None => {
                let is_chinese = line.chars().any(is_chinese);
                let is_wanted = line == "#" || is_chinese == (lang == Lang::ZhCn);
                is_wanted.then(|| line.to_owned())
            }
        };
    }
    let (code, comment) = match line.rfind("# ") {
        // What is commented out may have a comment of its own behind it.
        Some(at) if at > 0 => line.split_at(at),
        _ => return Some(line.to_owned()),
    };
    Some(match sides(&comment[2..]) {
        Some((zh, en)) => format!("{code}# {}", lang.pick(en, zh)),
        None => line.to_owned(),
    })
}

/// Both languages of a comment.
fn sides(comment: &str) -> Option<(&str, &str)> {
    let (zh, en) = comment.split_once(" · ")?;
    zh.chars().any(is_chinese).then_some((zh, en))
}

/// Whether a line is words, not a key that is commented out, nor a sample of code.
fn is_prose(line: &str) -> bool {
    let Some(text) = line.strip_prefix('#') else {
        return false;
    };
    if text.is_empty() {
        return true;
    }
    let is_sample = text.starts_with("   ") || !text.starts_with(' ');
    !is_sample && !is_key(line) && !text.starts_with(" [")
}

/// Whether a comment is a key that is commented out.
fn is_key(comment: &str) -> bool {
    let text = comment.trim_start_matches(['#', ' ']);
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    let end = text.find(|letter: char| !is_part(letter));
    end.is_some_and(|end| end > 0 && text[end..].starts_with(" = "))
}

fn is_chinese(letter: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comment_is_kept_in_one_language_and_no_value_is_touched() {
        let text = "#:schema ./x.json\n# 目的地。带 # 的键\n# A sink. Keys behind #\n#\n[a]      # 接收 · where\n\
                    # k = \"1s\"   # 默认 · the default\nv = \"中文 · x # y\"\n#   create table x;\n#off = 1\n# 必填 · needed\n";
        assert_eq!(
            in_language(text, Lang::En),
            "#:schema ./x.json\n# A sink. Keys behind #\n#\n[a]      # where\n# k = \"1s\"   # the default\n\
             v = \"中文 · x # y\"\n#   create table x;\n#off = 1\n# needed\n"
        );
        assert_eq!(
            in_language(text, Lang::ZhCn),
            "#:schema ./x.json\n# 目的地。带 # 的键\n#\n[a]      # 接收\n# k = \"1s\"   # 默认\n\
             v = \"中文 · x # y\"\n#   create table x;\n#off = 1\n# 必填\n"
        );
    }

    #[test]
    fn every_file_that_is_written_is_in_one_language_and_means_the_same() {
        for (name, text) in super::super::shipped() {
            let whole: toml::Table = text.parse().expect(name);
            for lang in [Lang::En, Lang::ZhCn] {
                let written = in_language(text, lang);
                assert_eq!(written.parse::<toml::Table>().expect(name), whole, "{name}");
                for line in written.lines() {
                    let comment = match line.rfind("# ") {
                        Some(at) if !is_key(&line[at..]) => &line[at..],
                        // A value that is commented out may be Chinese.
                        _ => continue,
                    };
                    assert!(!comment.contains('·'), "{name}: {line}");
                    let has_chinese = comment.chars().any(is_chinese);
                    assert!(lang == Lang::ZhCn || !has_chinese, "{name}: {line}");
                }
            }
        }
    }
}
