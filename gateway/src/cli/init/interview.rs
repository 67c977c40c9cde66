//! The interview: asks a person which destinations there are to be, and what each needs.
//!
//! Asks again for what it does not understand; the end of the input ends it, and nothing is
//! written then. A secret is never asked for, only the variable that holds it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use super::is_name;
use super::kinds::{self, Form, Kind, Need};
use super::sink_file::{Answer, Wanted};
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
    /// The sinks that are to be written; none if nothing was chosen. Those behind a plugin in
    /// `left_out` are marked: this leadgate cannot run them.
    pub(super) fn sinks<'k>(
        &mut self,
        kinds: &'k [Kind],
        left_out: &[String],
    ) -> io::Result<Vec<Wanted<'k>>> {
        let lang = self.lang;
        for (at, kind) in kinds.iter().enumerate() {
            let about = kind.about(lang);
            let left_out = match (left_out.iter().any(|name| name == kind.plugin), lang) {
                (false, _) => String::new(),
                (true, Lang::En) => format!(" (needs a build with --features {})", kind.plugin),
                (true, Lang::ZhCn) => format!("（需用 --features {} 编译）", kind.plugin),
            };
            let number = at + 1;
            writeln!(
                self.output,
                "{number:>3}  {:<18} {about}{left_out}",
                kind.name
            )?;
        }
        let question = lang.pick(
            "Where do leads go? Numbers or names, with spaces between; empty to try it out on this machine first",
            "客资发到哪里？填编号或名称，以空格分隔；直接回车则先在本机试用",
        );
        let chosen = self.until(question, "", |answer| choose(answer, kinds, lang))?;
        let mut sinks: Vec<Wanted<'k>> = Vec::new();
        for kind in chosen {
            let usual = free_name(kind.name, &sinks);
            let question = format!(
                "{}{}{}",
                kind.name,
                lang.colon(),
                lang.pick("name of the sink", "目的地的名字")
            );
            let name = self.until(&question, &usual, |answer| {
                if !is_name(answer) {
                    Err(super::bad_name(lang).to_owned())
                } else if sinks.iter().any(|sink| sink.name == answer) {
                    Err(match lang {
                        Lang::En => format!("`{answer}` is taken"),
                        Lang::ZhCn => format!("`{answer}` 已被使用"),
                    })
                } else {
                    Ok(answer.to_owned())
                }
            })?;
            let mut answers = BTreeMap::new();
            for need in &kind.needs {
                let answer = self.need(&name, need)?;
                answers.insert(need.key.clone(), answer);
            }
            sinks.push(Wanted {
                name,
                kind,
                answers,
            });
        }
        Ok(sinks)
    }

    fn need(&mut self, sink: &str, need: &Need) -> io::Result<Answer> {
        let lang = self.lang;
        let (key, colon, help) = (&need.key, lang.colon(), need.help(lang));
        writeln!(self.output, "  {key}{colon}{help}")?;
        if let Some(example) = need.example() {
            let question = format!("  {}", need.key);
            return self.until(&question, example, |answer| match need.form {
                Form::List(_) => Ok(Answer::List(parts(answer))),
                _ => Ok(Answer::Text(answer.to_owned())),
            });
        }
        let question = lang.pick(
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
                Ok(Answer::Text(format!("env:{name}")))
            } else {
                Err(lang
                    .pick(
                        "not the value itself, which does not belong into the file, but a name such as CRM_TOKEN",
                        "不要填值本身（不应写进文件），请填变量名，例如 CRM_TOKEN",
                    )
                    .to_owned())
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
        let colon = self.lang.colon();
        loop {
            if usual.is_empty() {
                write!(self.output, "{question}{colon}")?;
            } else {
                write!(self.output, "{question} [{usual}]{colon}")?;
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

/// What stands between commas.
pub(super) fn parts(answer: &str) -> Vec<String> {
    let parts = answer.split([',', '，', '、', ';', '；']).map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn choose<'k>(answer: &str, kinds: &'k [Kind], lang: Lang) -> Result<Vec<&'k Kind>, String> {
    let words = answer.split([' ', ',', '，', '、', '\u{3000}']);
    words
        .filter(|word| !word.is_empty())
        .map(|word| {
            let by_number = word.parse::<usize>().ok();
            match by_number.and_then(|number| kinds.get(number.checked_sub(1)?)) {
                Some(kind) => Ok(kind),
                None => kinds::named(word, kinds, lang),
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
    fn asked_in(lang: Lang, lines: &str) -> (io::Result<Vec<String>>, String) {
        let kinds = kinds::all();
        let mut input = lines.as_bytes();
        let mut output = Vec::new();
        let mut interview = Interview {
            lang,
            input: &mut input,
            output: &mut output,
        };
        let left_out = ["kafka".to_owned()];
        let sinks = interview.sinks(&kinds, &left_out).map(|sinks| {
            let shown =
                |sink: &Wanted<'_>| format!("{}={} {:?}", sink.name, sink.kind.name, sink.answers);
            sinks.iter().map(shown).collect()
        });
        (sinks, String::from_utf8(output).expect("text"))
    }

    fn asked(lines: &str) -> (io::Result<Vec<String>>, String) {
        asked_in(Lang::En, lines)
    }

    #[test]
    fn empty_answers_take_what_is_usual() {
        let (sinks, _) = asked("slack, slack frappe\n\n\n\n\n\n\n\n");
        assert_eq!(
            sinks.expect("understood"),
            [
                "slack=slack {\"url\": Text(\"env:SLACK_URL\")}",
                "slack-2=slack {\"url\": Text(\"env:SLACK_2_URL\")}",
                "frappe=frappe {\"auth.value\": Text(\"env:FRAPPE_VALUE\"), \"url\": Text(\"https://crm.example/api/resource/CRM%20Lead\")}",
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
            ["group=slack {\"url\": Text(\"env:HOOK\")}"]
        );
        assert!(said.contains("did you mean `slack`?"), "{said}");
        assert!(said.contains("letters, digits"), "{said}");
        assert!(said.contains("not the value itself"), "{said}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }

    #[test]
    fn mail_is_asked_for_its_server_and_its_people() {
        let lines = "email\nmail\nsmtp.shop.cn\nme@shop.cn\n\nme@shop.cn\na@shop.cn， b@shop.cn\n";
        let (sinks, said) = asked_in(Lang::ZhCn, lines);
        assert_eq!(
            sinks.expect("understood"),
            [
                "mail=email {\"from\": Text(\"me@shop.cn\"), \"host\": Text(\"smtp.shop.cn\"), \
                 \"password\": Text(\"env:MAIL_PASSWORD\"), \"to\": List([\"a@shop.cn\", \"b@shop.cn\"]), \
                 \"username\": Text(\"me@shop.cn\")}"
            ]
        );
        for part in ["收件人", "（需用 --features kafka 编译）", "钉钉群机器人"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("name of the"), "{said}");
        assert!(!said.contains(": "), "{said}");
    }

    #[test]
    fn the_end_of_the_input_is_an_end() {
        let (sinks, _) = asked("slack\n");
        let error = sinks.expect_err("ends");
        assert_eq!(error.to_string(), "the answers ended; nothing was written");
    }
}
