//! The interview: asks a person which destinations there are to be, and what each needs.
//!
//! Asks again for what it does not understand; the end of the input ends it, and nothing is
//! written then. A secret is never asked for, only the variable that holds it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use super::is_name;
use super::kinds::{Kind, Need, Source};
use super::sink_file::Wanted;
use crate::lang::Lang;

/// Longest answer, in bytes.
const LONGEST: u64 = 4096;

/// Questions on `output`, answers from `input`.
pub(super) struct Interview<'a> {
    pub(super) lang: Lang,
    pub(super) input: &'a mut dyn BufRead,
    pub(super) output: &'a mut dyn Write,
}

impl Interview<'_> {
    /// The sinks that are to be written; none if nothing was chosen.
    pub(super) fn sinks<'k>(&mut self, kinds: &'k [Kind]) -> io::Result<Vec<Wanted<'k>>> {
        for (at, kind) in kinds.iter().enumerate() {
            writeln!(
                self.output,
                "{:>3}  {:<18} {}",
                at + 1,
                kind.name,
                kind.what
            )?;
        }
        let question = self.lang.pick(
            "Where do leads go? Numbers or names, with spaces between; empty for examples only",
            "客资发到哪里？填编号或名称，以空格分隔；直接回车只生成示例",
        );
        let chosen = self.until(question, "", |answer| choose(answer, kinds))?;
        let mut sinks: Vec<Wanted<'k>> = Vec::new();
        for kind in chosen {
            let usual = free_name(kind.name, &sinks);
            let question = format!(
                "{}: {}",
                kind.name,
                self.lang.pick("name of the sink", "目的地的名字")
            );
            let name = self.until(&question, &usual, |answer| {
                if !is_name(answer) {
                    Err("letters, digits, - and _ only".to_owned())
                } else if sinks.iter().any(|sink| sink.name == answer) {
                    Err(format!("`{answer}` is taken"))
                } else {
                    Ok(answer.to_owned())
                }
            })?;
            let mut answers = BTreeMap::new();
            if let Source::Preset(preset) = &kind.source {
                for need in &preset.needs {
                    let answer = self.need(&name, need)?;
                    answers.insert(need.key.clone(), answer);
                }
            }
            sinks.push(Wanted {
                name,
                kind,
                answers,
            });
        }
        Ok(sinks)
    }

    fn need(&mut self, sink: &str, need: &Need) -> io::Result<String> {
        writeln!(self.output, "  {}: {}", need.key, need.help)?;
        if let Some(example) = need.example() {
            let question = format!("  {}", need.key);
            return self.until(&question, example, |answer| Ok(answer.to_owned()));
        }
        let question = self.lang.pick(
            "  name of the environment variable that holds it",
            "  存放它的环境变量名",
        );
        self.until(question, &need.variable(sink), |answer| {
            let name = answer.strip_prefix("env:").unwrap_or(answer);
            let is_variable = name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && name.starts_with(|first: char| !first.is_ascii_digit());
            if is_variable {
                Ok(format!("env:{name}"))
            } else {
                Err("not the value itself, which does not belong into the file, but a name such as CRM_TOKEN".to_owned())
            }
        })
    }

    /// Asks until `read` understands the answer; an empty one is `usual`.
    fn until<T>(
        &mut self,
        question: &str,
        usual: &str,
        mut read: impl FnMut(&str) -> Result<T, String>,
    ) -> io::Result<T> {
        loop {
            if usual.is_empty() {
                write!(self.output, "{question}: ")?;
            } else {
                write!(self.output, "{question} [{usual}]: ")?;
            }
            self.output.flush()?;
            let mut line = String::new();
            let mut bounded = io::Read::take(&mut *self.input, LONGEST);
            if bounded.read_line(&mut line)? == 0 {
                let message = self.lang.pick(
                    "the answers ended; nothing was written",
                    "输入已结束；未写入任何文件",
                );
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
            }
            let answer = match line.trim() {
                "" => usual,
                answer => answer,
            };
            match read(answer) {
                Ok(understood) => return Ok(understood),
                Err(why) => writeln!(self.output, "  {why}")?,
            }
        }
    }
}

fn choose<'k>(answer: &str, kinds: &'k [Kind]) -> Result<Vec<&'k Kind>, String> {
    let words = answer.split([' ', ',', '，', '、']);
    words
        .filter(|word| !word.is_empty())
        .map(|word| {
            let by_number = word.parse::<usize>().ok();
            match by_number.and_then(|number| kinds.get(number.checked_sub(1)?)) {
                Some(kind) => Ok(kind),
                None => super::kind(word, kinds),
            }
        })
        .collect()
}

/// `base`, or with the first number that makes it one of its own.
fn free_name(base: &str, taken: &[Wanted<'_>]) -> String {
    let is_free = |name: &String| taken.iter().all(|sink| sink.name != *name);
    let numbered = (2_u32..).map(|number| format!("{base}-{number}"));
    std::iter::once(base.to_owned())
        .chain(numbered)
        .find(is_free)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::kinds;
    use super::*;

    /// The names, kinds and answers that come of these lines, and what was said.
    fn asked(lines: &str) -> (io::Result<Vec<String>>, String) {
        let kinds = kinds::all();
        let mut input = lines.as_bytes();
        let mut output = Vec::new();
        let mut interview = Interview {
            lang: Lang::En,
            input: &mut input,
            output: &mut output,
        };
        let sinks = interview.sinks(&kinds).map(|sinks| {
            let shown =
                |sink: &Wanted<'_>| format!("{}={} {:?}", sink.name, sink.kind.name, sink.answers);
            sinks.iter().map(shown).collect()
        });
        (sinks, String::from_utf8(output).expect("text"))
    }

    #[test]
    fn empty_answers_take_what_is_usual() {
        let (sinks, _) = asked("slack, slack frappe\n\n\n\n\n\n\n\n");
        assert_eq!(
            sinks.expect("understood"),
            [
                "slack=slack {\"url\": \"env:SLACK_URL\"}",
                "slack-2=slack {\"url\": \"env:SLACK_2_URL\"}",
                "frappe=frappe {\"auth.value\": \"env:FRAPPE_VALUE\", \"url\": \"https://crm.example/api/resource/CRM%20Lead\"}",
            ]
        );
        assert_eq!(asked("\n").0.expect("understood"), [] as [&str; 0]);
    }

    #[test]
    fn what_is_not_understood_is_asked_again_and_a_secret_is_refused() {
        let (sinks, said) =
            asked("slak\nslack\nmy group\ngroup\nhttps://hooks.slack.com/s3cr3t\nenv:HOOK\n");
        assert_eq!(
            sinks.expect("understood"),
            ["group=slack {\"url\": \"env:HOOK\"}"]
        );
        assert!(said.contains("did you mean `slack`?"), "{said}");
        assert!(said.contains("letters, digits"), "{said}");
        assert!(said.contains("not the value itself"), "{said}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }

    #[test]
    fn the_end_of_the_input_is_an_end() {
        let (sinks, _) = asked("slack\n");
        let error = sinks.expect_err("ends");
        assert_eq!(error.to_string(), "the answers ended; nothing was written");
    }
}
