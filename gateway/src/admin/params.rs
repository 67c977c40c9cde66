//! Parameters of a request: of its query, its path and its body. Strict, so that a misspelt
//! filter is an error and not a longer list. Values that are refused are not repeated in the
//! error: they may be personal.

use std::collections::BTreeMap;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use leadgate_plugin::HumanDuration;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::problem::{Kind, Noun, Problem};
use super::resources::asked;
use crate::clock::Millis;
use crate::lang::Text;
use crate::lead::time::parse_gmt8;

/// Items on a page unless asked otherwise.
pub(super) const LIMIT: usize = 50;

/// A query that is asked with in the place of the request's own.
pub(super) struct Query(pub(super) String);

/// The parameters of a query.
#[derive(Debug)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads the query, in which only the parameters of what is asked for may be, each once.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let asked = asked(request);
        let allowed: Vec<_> = asked.parameters.iter().map(|one| one.name).collect();
        let extensions = request.extensions();
        let query = extensions.get::<Query>();
        let query = query.map_or(request.query_string(), |query| &query.0);
        Self::parse(query, &allowed)
    }

    fn parse(query: &str, allowed: &[&str]) -> Result<Self, Problem> {
        let mut params = BTreeMap::new();
        for (name, value) in pairs(query)? {
            if !allowed.contains(&name.as_str()) {
                let known = if allowed.is_empty() {
                    Text::new("this path takes none", "此路径不接受参数")
                } else {
                    Text::new(
                        format!("allowed are {}", allowed.join(", ")),
                        format!("可用的有：{}", allowed.join("、")),
                    )
                };
                let name: String = name.chars().take(40).collect();
                let unknown = Text::new(
                    format!("unknown parameter `{name}`"),
                    format!("未知参数 `{name}`"),
                );
                return Err(bad(unknown.and(&known)));
            }
            if params.contains_key(&name) {
                return Err(bad((
                    format!("`{name}` is given twice"),
                    format!("`{name}` 重复"),
                )));
            }
            params.insert(name, value);
        }
        Ok(Self(params))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// `limit`: from 1 to `most`, 50 by default.
    pub(super) fn limit(&self, most: usize) -> Result<usize, Problem> {
        let Some(text) = self.text("limit") else {
            return Ok(LIMIT.min(most));
        };
        let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| {
            bad((
                format!("`limit` is a whole number from 1 to {most}"),
                format!("`limit` 是 1 到 {most} 的整数"),
            ))
        })
    }

    /// `cursor`: the `next` of the page before.
    pub(super) fn cursor(&self) -> Result<Option<&str>, Problem> {
        let cursor = self.text("cursor");
        // The store takes what it cannot read as the beginning, which would go round for ever.
        let sound = |text: &str| {
            (2..=128).contains(&text.len())
                && text.len().is_multiple_of(2)
                && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        if cursor.is_some_and(|text| !sound(text)) {
            return Err(bad((
                "`cursor` must be the `next` of the page before",
                "`cursor` 须是上一页的 `next`",
            )));
        }
        Ok(cursor)
    }

    /// `true` or `false`; absent is `false`.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(bad((
                format!("`{name}` is true or false"),
                format!("`{name}` 只能是 true 或 false"),
            ))),
        }
    }

    /// A moment, or how long before `now`.
    pub(super) fn time(&self, name: &str, now: Millis) -> Result<Option<Millis>, Problem> {
        let text = self.text(name);
        text.map(|text| moment(name, text, now)).transpose()
    }

    /// Whether any others than these are given.
    pub(super) fn any_but(&self, these: &[&str]) -> bool {
        self.0.keys().any(|name| !these.contains(&name.as_str()))
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u32>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| {
            bad((
                format!("`{name}` is a whole number from 1"),
                format!("`{name}` 是不小于 1 的整数"),
            ))
        })?;
        Ok(Some(number))
    }
}

/// Names and values of a query, as they were given.
pub(super) fn pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query);
    let pairs = pairs.map_err(|_| bad(("the query cannot be read", "查询串无法读取")))?;
    Ok(pairs.into_inner())
}

fn bad(detail: impl Into<Text>) -> Problem {
    Problem::new(Kind::BadParameter, detail)
}

/// The id in a path, which is one of `what`.
pub(super) fn id(text: &str, (en, zh): Noun) -> Result<Uuid, Problem> {
    let problem = || {
        let detail = (
            format!("the id of the {en} is no UUID, such as 01937f4e-8a6b-7c3d-9e2f-0123456789ab"),
            format!("{zh}编号不是 UUID，如 01937f4e-8a6b-7c3d-9e2f-0123456789ab"),
        );
        Problem::new(Kind::BadId, detail)
    };
    Uuid::try_parse(text).map_err(|_| problem())
}

/// A moment: RFC 3339, `2026-11-26 10:00:00`, which is GMT+8, the same with a zone behind it, a
/// day alone, which is its beginning, or how long ago, such as `2h`.
pub(super) fn moment(name: &str, text: &str, now: Millis) -> Result<Millis, Problem> {
    let day = || parse_gmt8(&format!("{text} 00:00:00"));
    let ago = || {
        let age: HumanDuration = text.parse().ok()?;
        Some(now.saturating_sub(Millis::try_from(age.0.as_millis()).unwrap_or(Millis::MAX)))
    };
    let at = || Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond());
    let found = parse_gmt8(text).or_else(at).or_else(day).or_else(ago);
    found.ok_or_else(|| {
        bad((
            format!(
                "`{name}` is a time such as 2026-11-26T10:00:00+08:00, \"2026-11-26 10:00:00\" \
                 or 2026-11-26 (GMT+8), or how long ago, such as 2h"
            ),
            format!(
                "`{name}` 是时间，如 2026-11-26T10:00:00+08:00、\"2026-11-26 10:00:00\" \
                 或 2026-11-26（东八区），或多久以前，如 2h"
            ),
        ))
    })
}

/// Whether `text` is one of `all`; the error names those there are.
pub(super) fn one_of(name: &str, text: &str, all: &[&str]) -> Result<(), Problem> {
    if all.contains(&text) {
        return Ok(());
    }
    let guess = guess(text, all.iter().copied());
    let unknown = Text::new(format!("`{name}` is unknown"), format!("`{name}` 的值未知"));
    Err(bad(unknown.and(&guess)))
}

/// The name of the known ones that was probably meant, for the end of a message.
pub(super) fn guess<'a>(text: &str, known: impl Iterator<Item = &'a str> + Clone) -> Text {
    let nearest = known
        .clone()
        .map(|one| (strsim::damerau_levenshtein(text, one), one))
        .min()
        .filter(|(distance, one)| *distance <= 1 + one.len() / 4);
    match nearest {
        Some((_, one)) => Text::new(
            format!("did you mean `{one}`?"),
            format!("是否想写 `{one}`？"),
        ),
        None => {
            let known: Vec<_> = known.collect();
            Text::new(
                format!("there are: {}", known.join(", ")),
                format!("现有：{}", known.join("、")),
            )
        }
    }
}

/// The body of a request.
pub(super) struct Body(web::Bytes);

impl Body {
    pub(super) fn of(body: &serde_json::Value) -> Self {
        Self(body.to_string().into())
    }

    /// As JSON; nothing at all is the default.
    pub(super) fn json<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.0.iter().all(u8::is_ascii_whitespace) {
            return Ok(T::default());
        }
        // Of a list serde would take the values for the members, in their order.
        if self.0.trim_ascii_start().starts_with(b"[") {
            return Err(no_body(("not as documented", "与文档不符"), 1, 1));
        }
        serde_json::from_slice(&self.0).map_err(|error| {
            // serde's own words repeat values of the body.
            let how = match error.classify() {
                serde_json::error::Category::Data => ("not as documented", "与文档不符"),
                _ => ("not JSON", "不是 JSON"),
            };
            no_body(how, error.line(), error.column())
        })
    }
}

fn no_body((en, zh): (&str, &str), line: usize, column: usize) -> Problem {
    Problem::new(
        Kind::BadBody,
        (
            format!("the body is {en}, at line {line} column {column}"),
            format!("请求体{zh}：第 {line} 行第 {column} 列"),
        ),
    )
}

impl FromRequest for Body {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = web::Bytes::from_request(request, payload);
        let read = async move {
            let bytes = bytes.await.map_err(|error| {
                let kind = match error.as_response_error().status_code() {
                    actix_web::http::StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
                    _ => Kind::BadBody,
                };
                Problem::new(
                    kind,
                    (
                        "the body cannot be read, or is too large",
                        "请求体无法读取，或过大",
                    ),
                )
            })?;
            Ok(Self(bytes))
        };
        read.boxed_local()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> String {
        let params = Params::parse(query, &["limit", "cursor", "force", "since"]);
        let read = params.and_then(|params| {
            params.limit(500)?;
            params.cursor()?;
            params.flag("force")?;
            params.time("since", 0)?;
            Ok(())
        });
        read.err()
            .map_or_else(String::new, |problem| problem.detail().to_owned())
    }

    #[test]
    fn what_is_not_understood_is_said_and_never_ignored() {
        for good in [
            "",
            "limit=1&force=true",
            "cursor=00ff",
            "since=1h",
            "since=2026-11-28",
        ] {
            assert_eq!(refused(good), "", "{good}");
        }
        for (query, part) in [
            ("sate=dead", "unknown parameter `sate`; allowed are limit"),
            ("limit=1&limit=2", "given twice"),
            ("limit=0", "from 1 to 500"),
            ("limit=501", "from 1 to 500"),
            ("cursor=", "`next` of the page before"),
            ("cursor=xy", "`next` of the page before"),
            ("force=yes", "true or false"),
            ("since=1", "`since` is a time such as"),
        ] {
            assert!(refused(query).contains(part), "{query}: {}", refused(query));
        }
    }

    #[test]
    fn a_body_has_members_by_name_and_no_list_of_values() {
        #[derive(Default, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Wish {
            force: bool,
        }
        let read = |body: &'static str| Body(body.into()).json::<Wish>().ok();
        for (body, force) in [
            ("", Some(false)),
            (" {}\n", Some(false)),
            ("{\"force\": true}", Some(true)),
            ("[true]", None),
            (" \n[]", None),
            ("null", None),
            ("{\"forc\": true}", None),
            ("{\"force\": true}x", None),
        ] {
            assert_eq!(read(body).map(|wish| wish.force), force, "{body}");
        }
    }

    #[test]
    fn moments_are_times_of_beijing_or_of_their_zone_or_ages() {
        let day = 1_795_795_200_000;
        for (text, at) in [
            ("2026-11-28", day),
            ("2026-11-28 00:00:00", day),
            ("2026-11-28T00:00:00Z", day + 8 * 3_600_000),
            ("2026-11-28T01:00:00+08:00", day + 3_600_000),
            ("2h", 2_800_000),
        ] {
            assert_eq!(moment("since", text, 10_000_000).ok(), Some(at), "{text}");
        }
        for wrong in ["", "2026-11-31", "yesterday", "-1h", "2026-11-28 1"] {
            assert!(moment("since", wrong, 0).is_err(), "{wrong}");
        }
    }

    #[test]
    fn guesses_name_the_nearest_or_all() {
        let known = ["crm", "mail"];
        let said = |text| guess(text, known.into_iter()).both();
        let (en, zh) = said("cmr");
        assert_eq!((&*en, &*zh), ("did you mean `crm`?", "是否想写 `crm`？"));
        let (en, zh) = said("zzzz");
        assert_eq!((&*en, &*zh), ("there are: crm, mail", "现有：crm、mail"));
    }
}
