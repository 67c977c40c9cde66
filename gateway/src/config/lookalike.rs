//! Look-alikes: characters that a Chinese keyboard or a web page puts where TOML wants another,
//! and characters that nobody sees.
//!
//! Knows single characters only: what they are called, what was meant, and which are invisible.

use super::diagnostic::Text;

/// A character that stands where another was meant.
pub(super) struct LookAlike {
    /// The character itself.
    pub(super) found: char,
    /// What to type instead; a blank if only a blank was meant.
    pub(super) meant: &'static str,
    en: &'static str,
    zh: &'static str,
}

macro_rules! look_alikes {
    ($($found:literal => $meant:literal, $en:literal, $zh:literal;)*) => {
        &[$(LookAlike { found: $found, meant: $meant, en: $en, zh: $zh }),*]
    };
}

const LOOK_ALIKES: &[LookAlike] = look_alikes! {
    '，' => ",", "a full-width comma", "全角逗号";
    '、' => ",", "an ideographic comma", "顿号";
    '﹐' => ",", "a small comma", "小写逗号";
    '٫' => ".", "a decimal separator", "小数分隔符";
    '。' => ".", "an ideographic full stop", "中文句号";
    '．' => ".", "a full-width full stop", "全角句点";
    '＝' => "=", "a full-width equals sign", "全角等号";
    '：' => ":", "a full-width colon", "全角冒号";
    '∶' => ":", "a ratio sign", "比号";
    '﹕' => ":", "a small colon", "小写冒号";
    '；' => ";", "a full-width semicolon", "全角分号";
    '“' => "\"", "a curly quote", "中文左双引号";
    '”' => "\"", "a curly quote", "中文右双引号";
    '„' => "\"", "a low curly quote", "下双引号";
    '‟' => "\"", "a curly quote", "双引号";
    '＂' => "\"", "a full-width quote", "全角双引号";
    '「' => "\"", "a corner bracket", "直角引号";
    '」' => "\"", "a corner bracket", "直角引号";
    '『' => "\"", "a white corner bracket", "双直角引号";
    '』' => "\"", "a white corner bracket", "双直角引号";
    '«' => "\"", "a guillemet", "书名号式引号";
    '»' => "\"", "a guillemet", "书名号式引号";
    '《' => "\"", "a double angle bracket", "书名号";
    '》' => "\"", "a double angle bracket", "书名号";
    '‘' => "'", "a curly single quote", "中文左单引号";
    '’' => "'", "a curly single quote", "中文右单引号";
    '‚' => "'", "a low single quote", "下单引号";
    '＇' => "'", "a full-width single quote", "全角单引号";
    '′' => "'", "a prime", "角分符号";
    '´' => "'", "an acute accent", "尖音符";
    '【' => "[", "a lenticular bracket", "方头括号";
    '】' => "]", "a lenticular bracket", "方头括号";
    '［' => "[", "a full-width bracket", "全角方括号";
    '］' => "]", "a full-width bracket", "全角方括号";
    '〔' => "[", "a tortoise-shell bracket", "六角括号";
    '〕' => "]", "a tortoise-shell bracket", "六角括号";
    '｛' => "{", "a full-width brace", "全角花括号";
    '｝' => "}", "a full-width brace", "全角花括号";
    '（' => "(", "a full-width parenthesis", "全角圆括号";
    '）' => ")", "a full-width parenthesis", "全角圆括号";
    '＃' => "#", "a full-width number sign", "全角井号";
    '＿' => "_", "a full-width underscore", "全角下划线";
    '－' => "-", "a full-width hyphen", "全角连字符";
    '—' => "-", "a dash", "破折号";
    '–' => "-", "a dash", "短破折号";
    '‐' => "-", "a typographic hyphen", "连字符";
    '−' => "-", "a minus sign", "减号";
    '／' => "/", "a full-width slash", "全角斜杠";
    '＼' => "\\", "a full-width backslash", "全角反斜杠";
    '＄' => "$", "a full-width dollar sign", "全角美元符号";
    '％' => "%", "a full-width percent sign", "全角百分号";
    '＜' => "<", "a full-width less-than sign", "全角小于号";
    '＞' => ">", "a full-width greater-than sign", "全角大于号";
    '｜' => "|", "a full-width bar", "全角竖线";
    '？' => "?", "a full-width question mark", "全角问号";
    '＆' => "&", "a full-width ampersand", "全角 &";
    '＠' => "@", "a full-width at sign", "全角 @";
    '\u{3000}' => " ", "an ideographic space", "全角空格";
    '\u{a0}' => " ", "a no-break space", "不换行空格";
    '\u{202f}' => " ", "a narrow no-break space", "窄不换行空格";
    '\u{2002}' => " ", "an en space", "半身空格";
    '\u{2003}' => " ", "an em space", "全身空格";
    '\u{2009}' => " ", "a thin space", "窄空格";
    '\u{200b}' => "", "a zero-width space", "零宽空格";
    '\u{200c}' => "", "a zero-width non-joiner", "零宽不连字符";
    '\u{200d}' => "", "a zero-width joiner", "零宽连字符";
    '\u{200e}' => "", "a left-to-right mark", "左至右标记";
    '\u{200f}' => "", "a right-to-left mark", "右至左标记";
    '\u{202a}' => "", "a direction mark", "方向标记";
    '\u{202b}' => "", "a direction mark", "方向标记";
    '\u{202c}' => "", "a direction mark", "方向标记";
    '\u{202d}' => "", "a direction mark", "方向标记";
    '\u{202e}' => "", "a direction mark", "方向标记";
    '\u{2060}' => "", "a word joiner", "零宽连接符";
    '\u{feff}' => "", "a byte order mark", "字节顺序标记（BOM）";
    '\u{ad}' => "", "a soft hyphen", "软连字符";
};

/// What is known of `found`, if it looks like another character or like none.
pub(super) fn known(found: char) -> Option<&'static LookAlike> {
    LOOK_ALIKES.iter().find(|one| one.found == found)
}

impl LookAlike {
    /// Whether nobody sees it.
    pub(super) fn is_invisible(&self) -> bool {
        self.meant.trim().is_empty()
    }

    /// «`，` is a full-width comma (U+FF0C)».
    pub(super) fn name(&self) -> Text {
        let code = format!("U+{:04X}", u32::from(self.found));
        if self.is_invisible() {
            Text::new(
                format!("{} ({code}), which cannot be seen", self.en),
                format!("{}（{code}），看不见", self.zh),
            )
        } else {
            Text::new(
                format!("`{}` is {} ({code})", self.found, self.en),
                format!("`{}` 是{}（{code}）", self.found, self.zh),
            )
        }
    }

    /// What to do about it.
    pub(super) fn remedy(&self) -> Text {
        match self.meant {
            "" => Text::new("delete it", "请删除它"),
            " " => Text::new("type an ordinary blank", "请改为普通空格"),
            meant => Text::new(
                format!("type `{meant}` (switch the keyboard to English)"),
                format!("请改为半角 `{meant}`（切换到英文输入法再输入）"),
            ),
        }
    }
}

/// The first character of `text` that nobody sees or that would be lost at its ends: its place
/// and what it is called.
pub(super) fn unseen(text: &str) -> Option<(usize, Text)> {
    for (at, letter) in text.char_indices() {
        if let Some(known) = known(letter).filter(|known| known.is_invisible()) {
            return Some((at, known.name()));
        }
        if letter.is_control() && !matches!(letter, '\n' | '\r' | '\t') {
            let code = u32::from(letter);
            let name = Text::new(
                format!("a control character (U+{code:04X}), which cannot be seen"),
                format!("控制字符（U+{code:04X}），看不见"),
            );
            return Some((at, name));
        }
    }
    let blank = |letter: char| letter.is_whitespace();
    if text.starts_with(blank) {
        return Some((0, Text::new("a blank at the beginning", "开头的空白")));
    }
    let last = text
        .char_indices()
        .next_back()
        .filter(|(_, last)| blank(*last))?;
    Some((last.0, Text::new("a blank at the end", "末尾的空白")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_character_is_listed_once_and_is_not_what_was_meant() {
        let mut seen = BTreeSet::new();
        for one in LOOK_ALIKES {
            assert!(seen.insert(one.found), "{:?}", one.found);
            assert!(!one.found.is_ascii(), "{:?}", one.found);
            assert!(
                one.meant.is_ascii() && one.meant.len() <= 1,
                "{:?}",
                one.found
            );
        }
    }

    #[test]
    fn what_nobody_sees_is_found_wherever_it_stands() {
        for text in [
            "\u{feff}a",
            "a\u{200b}b",
            "a\u{a0}",
            " a",
            "a ",
            "a\u{7}b",
            "a\t",
            "\u{3000}a",
        ] {
            assert!(unseen(text).is_some(), "{text:?}");
        }
        for text in [
            "",
            "a",
            "a b",
            "客户，您好",
            "-----BEGIN KEY-----\nabc\n-----END KEY-----",
        ] {
            assert_eq!(unseen(text), None, "{text:?}");
        }
    }
}
