//! Language: which one a page is in: what was chosen, else what the browser asks for, else
//! Chinese.

use actix_web::http::header::{ACCEPT_LANGUAGE, COOKIE, HeaderMap};

use crate::lang::Lang;

/// Remembers what was chosen.
pub(super) const CHOSEN: &str = "leadgate_lang";

/// What a reader gets.
pub(super) fn of(headers: &HeaderMap) -> Lang {
    cookie(headers, CHOSEN)
        .and_then(Lang::parse)
        .or_else(|| asked(headers))
        .unwrap_or(Lang::ZhCn)
}

/// The language as pages and cookies name it.
pub(super) const fn tag(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "en",
        Lang::ZhCn => "zh-CN",
    }
}

/// The first of the languages that the browser asks for that pages are in. Browsers list them by
/// preference.
fn asked(headers: &HeaderMap) -> Option<Lang> {
    let list = headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?;
    let tags = list.split(',').filter_map(|one| one.split(';').next());
    tags.take(16).find_map(|tag| Lang::parse(tag.trim()))
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).filter_map(|one| one.to_str().ok());
    let pairs = all.flat_map(|one| one.split(';'));
    let mut found = pairs.filter_map(|pair| pair.trim().split_once('='));
    found.find_map(|(one, value)| (one == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn what_was_chosen_goes_before_what_the_browser_asks_for_and_chinese_is_left() {
        for (chosen, asked, lang) in [
            (None, None, Lang::ZhCn),
            (None, Some("en-GB,en;q=0.9,zh;q=0.8"), Lang::En),
            (None, Some("zh-TW,zh;q=0.9,en;q=0.8"), Lang::ZhCn),
            (None, Some("de-DE,de;q=0.9"), Lang::ZhCn),
            (None, Some("de,en;q=0.5"), Lang::En),
            (Some("a=b; leadgate_lang=en"), Some("zh-CN"), Lang::En),
            (Some("leadgate_lang=zh-CN; a=b"), Some("en"), Lang::ZhCn),
            (Some("leadgate_lang=xx"), Some("en"), Lang::En),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(COOKIE, chosen), (ACCEPT_LANGUAGE, asked)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(of(&headers), lang, "{chosen:?} {asked:?}");
        }
    }
}
