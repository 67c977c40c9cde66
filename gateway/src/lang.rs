//! The language of messages for people: English or simplified Chinese.
//!
//! Log events, metric names, codes and keys are never translated; what a merchant or an
//! operator reads in a terminal or a page is.

use std::fmt;

/// A language of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    ZhCn,
}

impl Lang {
    /// From `--lang`, else `LEADGATE_LANG`, `LC_ALL`, `LC_MESSAGES`, `LANG`, else English.
    pub fn from_env(flag: Option<&str>) -> Self {
        Self::choose(flag, |name| std::env::var(name).ok())
    }

    /// As [`Lang::from_env`], with the environment passed in. The first variable that is
    /// set and not empty decides, as `locale(7)` says.
    pub fn choose(flag: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Self {
        if let Some(lang) = flag.and_then(Self::parse) {
            return lang;
        }
        ["LEADGATE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .filter_map(variable)
            .find(|value| !value.is_empty())
            .and_then(|value| Self::parse(&value))
            .unwrap_or_default()
    }

    /// What stands between a title and what it is the title of.
    pub fn colon(self) -> &'static str {
        self.pick(": ", "：")
    }

    /// What stands between the items of a list.
    pub fn comma(self) -> &'static str {
        self.pick(", ", "，")
    }

    /// `en`, `en_GB.UTF-8`, `zh`, `zh-CN`, `zh_CN.UTF-8`; `None` for any other language.
    pub fn parse(text: &str) -> Option<Self> {
        let language = text.split(['-', '_', '.', '@']).next().unwrap_or_default();
        match language.to_ascii_lowercase().as_str() {
            "en" | "c" | "posix" => Some(Self::En),
            "zh" => Some(Self::ZhCn),
            _ => None,
        }
    }

    /// The text in this language.
    pub fn pick<T>(self, en: T, zh: T) -> T {
        match self {
            Self::En => en,
            Self::ZhCn => zh,
        }
    }
}

/// A text in both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    en: String,
    zh: String,
}

impl Text {
    pub(crate) fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self {
            en: en.into(),
            zh: zh.into(),
        }
    }

    /// The same in both languages: what a plugin or a library says.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            en: text.clone(),
            zh: text,
        }
    }

    pub(crate) fn pick(&self, lang: Lang) -> &str {
        lang.pick(&self.en, &self.zh)
    }

    /// The same behind `words`.
    pub(crate) fn behind(&self, words: &str) -> Self {
        Self {
            en: format!("{words}{}", self.en),
            zh: format!("{words}{}", self.zh),
        }
    }

    /// Both, each changed in the same way.
    pub(crate) fn each(&self, change: impl Fn(&str) -> String) -> Self {
        Self::new(change(&self.en), change(&self.zh))
    }

    /// The English and the Chinese text.
    pub(crate) fn both(&self) -> (String, String) {
        (self.en.clone(), self.zh.clone())
    }

    /// This text and another behind it.
    pub(crate) fn and(&self, more: &Self) -> Self {
        if self.en.is_empty() || more.en.is_empty() {
            return Self::new(
                format!("{}{}", self.en, more.en),
                format!("{}{}", self.zh, more.zh),
            );
        }
        Self::new(
            format!("{}; {}", self.en, more.en),
            format!("{}；{}", self.zh, more.zh),
        )
    }
}

impl<E: Into<String>, Z: Into<String>> From<(E, Z)> for Text {
    fn from((en, zh): (E, Z)) -> Self {
        Self::new(en, zh)
    }
}

/// A text that is always the same, in English and Chinese.
pub type Both = (&'static str, &'static str);

/// In JSON it is English, as all that programs read.
impl serde::Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.en)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.en)
    }
}

/// A count with its English noun: `1 dead letter`, `2 dead letters`. Chinese has one form.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{count} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_then_the_first_variable_that_is_set() {
        let choose = |flag, set: &[(&str, &str)]| {
            Lang::choose(flag, |name| {
                let found = set.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let zh = ("LANG", "zh_CN.UTF-8");
        assert_eq!(choose(None, &[]), Lang::En);
        assert_eq!(choose(None, &[zh]), Lang::ZhCn);
        assert_eq!(choose(Some("en"), &[zh]), Lang::En);
        assert_eq!(choose(None, &[zh, ("LC_ALL", "C")]), Lang::En);
        assert_eq!(choose(None, &[zh, ("LC_ALL", "")]), Lang::ZhCn);
        assert_eq!(
            choose(None, &[("LC_ALL", "C"), ("LEADGATE_LANG", "zh-CN")]),
            Lang::ZhCn
        );
        assert_eq!(choose(None, &[("LANG", "de_DE.UTF-8")]), Lang::En);
    }

    #[test]
    fn one_is_singular_and_none_is_not() {
        for (count, text) in [(0, "0 pushes"), (1, "1 push"), (2, "2 pushes")] {
            assert_eq!(counted(count, "push", "pushes"), text);
        }
    }
}
