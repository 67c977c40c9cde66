//! Whom: the lead, or the person, that a command is about. `-` takes the value from stdin, or
//! asks for it on a terminal, so that it does not stay in the shell's history.

use std::io::{BufRead, IsTerminal, Read};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::super::{FAILED, Global, fail, out};
use crate::lang::Lang;

/// Longest value that is read from stdin, in bytes.
const LONGEST: u64 = 4096;

/// One lead, or all of a person.
#[derive(clap::Args)]
#[group(id = "whom", multiple = false, args = ["id", "phone", "record_id", "order_num", "nick", "openid"])]
pub(super) struct Whom {
    /// One lead, by its id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// All of the person with this phone, however it is written; - asks for it, or reads it from stdin, and keeps it out of the shell's history
    #[arg(long, value_name = "PHONE", allow_hyphen_values = true)]
    phone: Option<String>,
    /// All with this record id at Tmall; - reads it from stdin
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    record_id: Option<String>,
    /// All with this number of the reservation order; - reads it from stdin
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    order_num: Option<String>,
    /// All with this Taobao nick; - reads it from stdin
    #[arg(long, value_name = "NICK", allow_hyphen_values = true)]
    nick: Option<String>,
    /// All with this encrypted Taobao id; - reads it from stdin
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    openid: Option<String>,
}

impl Whom {
    /// Whether nobody is named.
    pub(super) fn is_nobody(&self) -> bool {
        let Self {
            id,
            phone,
            record_id,
            order_num,
            nick,
            openid,
        } = self;
        let all = [id, phone, record_id, order_num, nick, openid];
        all.into_iter().all(Option::is_none)
    }

    /// As the API wants it named.
    pub(super) fn named(&self, global: &Global) -> Result<Value, ExitCode> {
        let given = [
            ("lead", &self.id),
            ("phone", &self.phone),
            ("record_id", &self.record_id),
            ("order_num", &self.order_num),
            ("nick", &self.nick),
            ("openid", &self.openid),
        ];
        let (by, value) = one(global, given)?;
        Ok(json!({ by: value }))
    }
}

/// The one value that is given, and what it is; clap has made sure that there is one.
pub(super) fn one<'a, const N: usize>(
    global: &Global,
    given: [(&'a str, &Option<String>); N],
) -> Result<(&'a str, String), ExitCode> {
    let one = given
        .into_iter()
        .find_map(|(by, value)| Some((by, value.as_deref()?)));
    let (by, value) = one.unwrap_or_default();
    Ok((by, typed(global, by, value)?))
}

/// A value, or for `-` what comes on stdin.
fn typed(global: &Global, by: &str, value: &str) -> Result<String, ExitCode> {
    if value != "-" {
        return Ok(value.to_owned());
    }
    let stdin = std::io::stdin();
    let mut text = String::new();
    let read = if stdin.is_terminal() {
        // A line alone: what is asked next is answered by the next one.
        out::message(&prompt(global.lang(), by));
        stdin.lock().take(LONGEST).read_line(&mut text)
    } else {
        stdin.lock().take(LONGEST).read_to_string(&mut text)
    };
    read.map_err(|error| fail(error, FAILED))?;
    let text = text.trim();
    if text.is_empty() {
        let lang = global.lang();
        let nothing = lang.pick("nothing came on stdin", "标准输入没有任何内容");
        return Err(fail(nothing, FAILED));
    }
    Ok(text.to_owned())
}

/// What is asked for.
fn prompt(lang: Lang, by: &str) -> String {
    let (en, zh) = match by {
        "lead" => ("lead", "客资编号"),
        "phone" => ("phone", "手机号"),
        "record_id" => ("record id", "天猫客资 ID"),
        "order_num" => ("order number", "预约订单号"),
        "nick" => ("Taobao nick", "淘宝昵称"),
        "openid" => ("encrypted Taobao id", "淘宝加密 ID"),
        other => (other, other),
    };
    lang.pick(format!("{en}: "), format!("{zh}："))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_said_in_the_language_of_whoever_is_asked() {
        for by in ["lead", "phone", "record_id", "order_num", "nick", "openid"] {
            let (english, chinese) = (prompt(Lang::En, by), prompt(Lang::ZhCn, by));
            assert!(english.is_ascii() && !english.contains('_'), "{english}");
            assert!(!chinese.trim_end_matches('：').is_ascii(), "{chinese}");
        }
        assert_eq!(prompt(Lang::ZhCn, "phone"), "手机号：");
    }
}
