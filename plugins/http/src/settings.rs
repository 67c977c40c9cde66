//! Settings of the `http` sink, and what they must be to make sense.

use std::collections::BTreeMap;

use leadgate_plugin::{HumanDuration, Problem, Problems, Secret};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of the `http` sink.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A known kind of destination that brings its own defaults.
    pub preset: Option<Preset>,
    /// Where to send: an absolute http or https URL. Not a template.
    pub url: String,
    /// POST (default), PUT, PATCH or GET.
    pub method: Option<String>,
    /// Headers to add; values may be secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// The JSON body: a table whose texts are templates over the lead. The whole event if absent.
    pub body: Option<serde_json::Value>,
    /// Signs each request as Standard Webhooks: `whsec_` and base64.
    pub secret: Option<Secret>,
    /// Longest wait for a connection; default 5s. The sink's `timeout` bounds the whole attempt.
    pub connect_timeout: Option<HumanDuration>,
}

/// Known kinds of destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// POST of the whole event, signed as <https://www.standardwebhooks.com> says.
    StandardWebhooks,
}

/// Headers that this plugin sets itself.
const OWN: [&str; 7] = [
    "content-length",
    "host",
    "transfer-encoding",
    "connection",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

pub(crate) fn url(text: &str) -> Result<Url, Problem> {
    let problem = |message: &str| Problem::at("/url", message);
    if text.contains("{{") || text.contains("{%") {
        return Err(problem(
            "a URL cannot be a template: a lead must not choose where it is sent",
        ));
    }
    let url = Url::parse(text).map_err(|error| {
        problem(&format!("not a URL: {error}"))
            .help("write it whole, such as https://crm.example/leads")
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(problem("not an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let help = "give them as a header: authorization = \"env:NAME\"";
        return Err(problem("credentials do not belong into a URL").help(help));
    }
    Ok(url)
}

pub(crate) fn method(text: Option<&str>) -> Result<Method, Problem> {
    match text.unwrap_or("POST") {
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "GET" => Ok(Method::GET),
        _ => {
            Err(Problem::at("/method", "not a method for leads")
                .help("use POST, PUT, PATCH or GET"))
        }
    }
}

pub(crate) fn headers(given: &BTreeMap<String, Secret>, problems: &mut Problems) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let path = format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"));
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            problems.push(Problem::at(path, "not a header name"));
            continue;
        };
        if OWN.contains(&name.as_str()) {
            problems.push(
                Problem::at(path, "this header is set by the plugin itself").help("leave it out"),
            );
            continue;
        }
        let Ok(mut value) = HeaderValue::from_str(value.expose()) else {
            problems.push(Problem::at(
                path,
                "the value has characters that a header cannot carry",
            ));
            continue;
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers
}
