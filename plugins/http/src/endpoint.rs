//! The endpoint: where requests go.
//!
//! Scheme, host and port are what the merchant wrote. Only path and query may hold
//! expressions; what those give is percent-encoded, and can neither leave its place in the path
//! nor begin another parameter.

use leadgate_plugin::template::{self, Context, Engine, Scope, Template, TemplateError};
use leadgate_plugin::{Problem, Problems};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

type ParseError = <Url as std::str::FromStr>::Err;

/// RFC 3986: everything but the unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where requests go.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// Scheme, host and port, as they are compared.
    base: Url,
    /// As it was written, up to the path.
    origin: String,
    path: Vec<Piece>,
    /// Each `name=value`.
    query: Vec<Vec<Piece>>,
}

#[derive(Clone)]
enum Piece {
    Literal(String),
    Value(Template),
}

/// A URL, and how it may be shown.
pub(crate) struct Target {
    pub(crate) url: Url,
    /// For the merchant: what is not from the lead is masked in the query.
    pub(crate) shown: String,
}

/// `text` so that it is one value wherever it stands in a URL.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// An absolute http or https URL without credentials.
pub(crate) fn absolute(text: &str, at: &str) -> Result<Url, Problem> {
    let problem = |message: String| Problem::at(at, message);
    let whole = "write it whole, such as https://crm.example/leads";
    let whole_in_chinese = "请写完整，例如 https://crm.example/leads";
    let url = Url::parse(text).map_err(|error| {
        let (why, chinese) = fault(error);
        problem(format!("not a URL: {why}"))
            .help(whole)
            .chinese(format!("不是有效的网址：{chinese}"), whole_in_chinese)
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(problem("not an http or https URL".to_owned())
            .help(whole)
            .chinese("不是 http 或 https 网址", whole_in_chinese));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let help = "use `auth`: { kind = \"basic\", username = \"…\", password = \"env:NAME\" }";
        return Err(problem("credentials do not belong into a URL".to_owned()).help(help));
    }
    Ok(url)
}

/// Why a text is no URL, in English and in Chinese.
fn fault(error: ParseError) -> (&'static str, &'static str) {
    match error {
        ParseError::RelativeUrlWithoutBase => {
            ("`https://` is missing in front", "开头缺少 `https://`")
        }
        ParseError::EmptyHost => ("there is no host in it", "没有主机名"),
        ParseError::InvalidPort => (
            "the port is no number up to 65535",
            "端口不是 65535 以内的数字",
        ),
        ParseError::InvalidIpv4Address | ParseError::InvalidIpv6Address => {
            ("the IP address is not one", "IP 地址无效")
        }
        ParseError::InvalidDomainCharacter | ParseError::IdnaError => (
            "the host has a character that no host name has",
            "主机名中有不允许的字符",
        ),
        _ => ("it cannot be read", "无法识别"),
    }
}

/// Whether a text has anything of a template in it.
pub(crate) fn has_template(text: &str) -> bool {
    ["{{", "{%", "{#"]
        .iter()
        .any(|opening| text.contains(opening))
}

impl Endpoint {
    pub(crate) fn new(text: &str, engine: &Engine, scope: &Scope) -> Result<Self, Problems> {
        let authority = text.find("://").map_or(0, |at| at + 3);
        let end = text[authority..]
            .find(['/', '?', '#', '\\'])
            .map_or(text.len(), |at| authority + at);
        let (origin, rest) = text.split_at(end);
        if has_template(origin) {
            let help =
                "write scheme, host and port out; only path and query may have `{{ expressions }}`";
            return Err(Problem::at(
                "/url",
                "a lead must not choose where it is sent: a template in scheme, host or port",
            )
            .help(help)
            .range(Some(0..end))
            .into());
        }
        let base = absolute(origin, "/url")?;
        let mut query = Vec::new();
        let mut path = Vec::new();
        let mut in_query = false;
        for piece in pieces(rest, end, engine, scope)? {
            let Piece::Literal(literal) = piece else {
                let place = if in_query { query.last_mut() } else { None };
                place.unwrap_or(&mut path).push(piece);
                continue;
            };
            if literal.contains(['#', '\\']) {
                return Err(
                    Problem::at("/url", "neither `#` nor `\\` belongs into this URL").into(),
                );
            }
            let mut literal = literal.as_str();
            if !in_query {
                let (before, behind) = literal
                    .split_once('?')
                    .map_or((literal, None), |(before, behind)| (before, Some(behind)));
                path.push(Piece::Literal(before.to_owned()));
                let Some(behind) = behind else { continue };
                in_query = true;
                query.push(Vec::new());
                literal = behind;
            }
            for (number, part) in literal.split('&').enumerate() {
                if number > 0 {
                    query.push(Vec::new());
                }
                if let Some(last) = query.last_mut() {
                    last.push(Piece::Literal(part.to_owned()));
                }
            }
        }
        let endpoint = Self {
            base,
            origin: origin.to_owned(),
            path,
            query,
        };
        if endpoint
            .path
            .iter()
            .all(|piece| matches!(piece, Piece::Literal(_)))
        {
            // What is the same for every lead must be a URL now.
            absolute(&format!("{origin}{}", endpoint.written_path()), "/url")?;
        }
        Ok(endpoint)
    }

    /// Whether it is the same for every lead.
    pub(crate) fn is_plain(&self) -> bool {
        let plain = |piece: &Piece| matches!(piece, Piece::Literal(_));
        self.path.iter().all(plain) && self.query.iter().flatten().all(plain)
    }

    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// The URL for one lead, with `more` parameters: name, value, whether it may be shown.
    pub(crate) fn target(
        &self,
        context: &Context,
        more: &[(String, String, bool)],
    ) -> Result<Target, Problem> {
        let mut path = String::new();
        for piece in &self.path {
            match piece {
                Piece::Literal(text) => path.push_str(text),
                Piece::Value(template) => match value(template, context)? {
                    Some(text) if !text.is_empty() => path.push_str(&encode(&text)),
                    _ => {
                        return Err(Problem::at(
                            "/url",
                            "a part of the path is empty for this lead",
                        )
                        .help("let `when` leave such leads out, or use `| default(…)`"));
                    }
                },
            }
        }
        if path.split('/').any(is_dots) {
            return Err(Problem::at(
                "/url",
                "a part of the path would be `.` or `..` for this lead",
            ));
        }
        let mut query = Vec::new();
        for pieces in &self.query {
            let (mut text, mut from_lead) = (String::new(), false);
            for piece in pieces {
                match piece {
                    Piece::Literal(literal) => text.push_str(literal),
                    Piece::Value(template) => {
                        from_lead = true;
                        text.push_str(&encode(&value(template, context)?.unwrap_or_default()));
                    }
                }
            }
            let name = text.split('=').next().unwrap_or_default();
            let shown = if from_lead || !text.contains('=') {
                text.clone()
            } else {
                format!("{name}=***")
            };
            query.push((text, shown));
        }
        for (name, value, show) in more {
            let name = encode(name);
            let text = format!("{name}={}", encode(value));
            let shown = if *show {
                text.clone()
            } else {
                format!("{name}=***")
            };
            query.push((text, shown));
        }
        let join = |parts: Vec<&str>| {
            if parts.is_empty() {
                String::new()
            } else {
                format!("?{}", parts.join("&"))
            }
        };
        let sent = join(query.iter().map(|(text, _)| text.as_str()).collect());
        let shown = join(query.iter().map(|(_, shown)| shown.as_str()).collect());
        let url = Url::parse(&format!("{}{path}{sent}", self.origin))
            .ok()
            // Whatever else might go wrong: never to another place.
            .filter(|url| url.origin() == self.base.origin())
            .ok_or_else(|| Problem::at("/url", "no URL for this lead"))?;
        Ok(Target {
            url,
            shown: format!("{}{}{shown}", self.origin, masked(&path)),
        })
    }

    /// For the record of an attempt: nothing of the lead, no query, and no part of the path
    /// that looks like a key.
    pub(crate) fn recorded(&self) -> String {
        format!("{}{}", self.origin, masked(&self.written_path()))
    }

    fn written_path(&self) -> String {
        let written = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Value(template) => template.written().to_owned(),
        };
        self.path.iter().map(written).collect()
    }
}

fn value(template: &Template, context: &Context) -> Result<Option<String>, Problem> {
    template.text(context).map_err(|error| {
        let mut problem = error.into_problem("/url");
        problem.range = None;
        problem
    })
}

/// Splits `text`, which begins `moved` bytes into the setting, into literals and expressions.
fn pieces(
    text: &str,
    moved: usize,
    engine: &Engine,
    scope: &Scope,
) -> Result<Vec<Piece>, Problems> {
    let mut pieces = Vec::new();
    let mut problems = Problems::default();
    let mut at = 0;
    while let Some(opening) = text[at..].find("{{").map(|found| at + found) {
        let literal = &text[at..opening];
        problems.extend(plain(literal, moved + at, engine, scope));
        pieces.push(Piece::Literal(literal.to_owned()));
        match expression(&text[opening..], engine, scope) {
            Ok((template, end)) => {
                pieces.push(Piece::Value(template));
                at = opening + end;
            }
            // Where it ends is anybody's guess.
            Err(mistakes) => {
                problems.extend(placed(mistakes, moved + opening));
                return Err(problems);
            }
        }
    }
    problems.extend(plain(&text[at..], moved + at, engine, scope));
    pieces.push(Piece::Literal(text[at..].to_owned()));
    problems.into_result(pieces)
}

/// Mistakes of a text that begins `moved` bytes into the setting.
fn placed(mistakes: Vec<TemplateError>, moved: usize) -> impl Iterator<Item = Problem> {
    let problems = template::problems(mistakes, "/url");
    problems.into_iter().map(move |problem| {
        let range = problem.range.clone();
        problem.range(range.map(|range| moved + range.start..moved + range.end))
    })
}

/// What is wrong with the text between expressions.
fn plain(text: &str, moved: usize, engine: &Engine, scope: &Scope) -> Problems {
    let mut problems: Problems = placed(engine.plain(text, scope), moved).collect();
    let openings = ["{%", "{#"];
    if problems.is_empty()
        && let Some(at) = openings.iter().find_map(|opening| text.find(opening))
    {
        problems.push(
            Problem::at("/url", "only `{{ expressions }}` may stand in a URL")
                .range(Some(moved + at..moved + at + 2)),
        );
    }
    problems
}

/// The expression that `text` begins with, and where it ends: at the first `}}` that leaves a
/// whole expression.
fn expression(
    text: &str,
    engine: &Engine,
    scope: &Scope,
) -> Result<(Template, usize), Vec<TemplateError>> {
    let mut first = None;
    for (at, closing) in text.match_indices("}}") {
        let end = at + closing.len();
        match engine.template(&text[..end], scope) {
            Ok(template) => return Ok((template, end)),
            Err(mistakes) => first = first.or(Some(mistakes)),
        }
    }
    match first {
        Some(mistakes) => Err(mistakes),
        None => engine
            .template(text, scope)
            .map(|template| (template, text.len())),
    }
}

/// Whether a part of a path means another place, as browsers and servers read it.
fn is_dots(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

pub(crate) fn masked(path: &str) -> String {
    let shown = path
        .split('/')
        .map(|part| if looks_like_a_key(part) { "***" } else { part });
    shown.collect::<Vec<_>>().join("/")
}

/// Web hooks carry their secret in the path.
fn looks_like_a_key(part: &str) -> bool {
    part.len() >= 16
        && !has_template(part)
        && part.bytes().any(|byte| byte.is_ascii_digit())
        && part.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use leadgate_plugin::Tables;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn problem(text: &str) -> Problem {
        let engine = Engine::new(Tables::new());
        let found = Endpoint::new(text, &engine, &Scope::EVENT)
            .err()
            .expect(text);
        let mut found = found.into_iter();
        let problem = found.next().expect(text);
        assert_eq!(found.next(), None, "{text}");
        problem
    }

    fn target(url: &str, name: &str) -> Result<Target, Problem> {
        let engine = Engine::new(Tables::new());
        let context = engine.event(&json!({"lead": {"name": name, "other": {}}}), "D");
        let endpoint = Endpoint::new(url, &engine, &Scope::EVENT).map_err(|_| problem(url))?;
        endpoint.target(&context, &[])
    }

    #[test]
    fn values_stay_where_they_are_put() {
        let url = |url, name| {
            target(url, name)
                .map(|target| target.url.to_string())
                .map_err(|problem| problem.message)
        };
        assert_eq!(
            url(
                "https://crm.example/a/{{ name }}/b?x={{ name }}&y=1",
                "张/三?&=#"
            )
            .expect("made"),
            "https://crm.example/a/%E5%BC%A0%2F%E4%B8%89%3F%26%3D%23/b?x=%E5%BC%A0%2F%E4%B8%89%3F%26%3D%23&y=1"
        );
        assert_eq!(
            url("https://crm.example/{{ {'a': {'b': name}}.a.b }}", "x").expect("made"),
            "https://crm.example/x"
        );
        assert_eq!(
            url("https://crm.example?k={{ name }}", "x y").expect("made"),
            "https://crm.example/?k=x%20y"
        );
        for (template, name) in [
            ("https://crm.example/{{ name }}/x", ".."),
            ("https://crm.example/.{{ name }}/x", "."),
            ("https://crm.example/%2e{{ name }}", "."),
            ("https://crm.example/{{ name }}/x", ""),
        ] {
            assert!(url(template, name).is_err(), "{template}");
        }
    }

    #[test]
    fn a_lead_never_chooses_the_place() {
        let engine = Engine::new(Tables::new());
        for text in [
            "https://{{ city_name }}.example/",
            "https://crm.example:{{ store_id }}/",
            "{{ other.url }}",
            "{{ other.scheme }}://crm.example/",
            "https://crm{% if name %}x{% endif %}.example/",
            "https://{{ name }}@crm.example/",
        ] {
            let problem = problem(text);
            assert!(
                problem.message.contains("must not choose"),
                "{text}: {problem}"
            );
        }
        for text in [
            "https://crm.example/{% if name %}{% endif %}",
            "https://crm.example/{{ nmae }}",
            "ftp://crm.example/",
            "https://crm.example/#a",
            "https://a:b@crm.example/",
            "nonsense",
        ] {
            assert!(
                Endpoint::new(text, &engine, &Scope::EVENT).is_err(),
                "{text}"
            );
        }
        for (text, place) in [
            ("https://crm.example/l/{record_id}", 22..33),
            ("https://crm.example/l/{{ record_id }}?p={phone}", 40..47),
        ] {
            let problem = problem(text);
            assert!(problem.help.contains("{{ "), "{problem:?}");
            assert_eq!(problem.range, Some(place), "{text}");
        }
        let problem = problem("https://crm.example/l/{{ nmae }}");
        assert_eq!(problem.range, Some(25..29));
        let both = "https://crm.example/l/{record_id}?p={phone}&n={{ nmae }}";
        let found = Endpoint::new(both, &engine, &Scope::EVENT).err();
        let places = found.expect("three").into_iter().map(|one| one.range);
        let places: Vec<_> = places.flatten().map(|range| &both[range]).collect();
        assert_eq!(places, ["{record_id}", "{phone}", "nmae"]);
    }

    #[test]
    fn keys_and_parameters_are_not_shown() {
        let text = "https://hooks.example/services/T00000000/{{ name }}/a1b2c3d4e5f6a7b8c9d0?key=hidden&who={{ name }}";
        let shown = target(text, "x").expect("made").shown;
        assert_eq!(
            shown,
            "https://hooks.example/services/T00000000/x/***?key=***&who=x"
        );
        let recorded = Endpoint::new(text, &Engine::new(Tables::new()), &Scope::EVENT)
            .expect("valid")
            .recorded();
        assert_eq!(
            recorded,
            "https://hooks.example/services/T00000000/{{ name }}/***"
        );
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_place(name in "\\PC{1,20}", dots in "[./\\\\%2e]{1,6}") {
            for value in [name, dots] {
                let Ok(target) = target("https://crm.example:8443/a/{{ name }}/b?x={{ name }}", &value) else {
                    continue;
                };
                let url = target.url;
                prop_assert_eq!((url.host_str(), url.port()), (Some("crm.example"), Some(8443)));
                let segments: Vec<_> = url.path_segments().expect("a path").collect();
                prop_assert_eq!((segments.len(), segments[0], segments[2]), (3, "a", "b"));
                let pairs: Vec<_> = url.query_pairs().collect();
                prop_assert_eq!(pairs.len(), 1);
                prop_assert_eq!(pairs[0].1.as_ref(), value.as_str());
                prop_assert!(url.fragment().is_none());
            }
        }
    }
}
