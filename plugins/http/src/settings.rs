//! Settings of the `http` sink: what may be written. What it must be to make sense is said by
//! the parts that use it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use leadgate_plugin::{HumanDuration, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

// No `Debug`: URL and bodies may hold secrets.
/// Settings of the `http` sink.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A known kind of destination: brings settings, over which yours are laid. The README says what each needs.
    pub preset: Option<Preset>,
    /// Where to send: an absolute http or https URL. `{{ expressions }}` may stand in path and query only. Needed unless the preset has it.
    pub url: Option<String>,
    /// POST (default), PUT, PATCH or GET.
    pub method: Option<String>,
    /// Query parameters to add: secrets, or templates over the lead. What is none is left out.
    #[serde(default)]
    pub query: BTreeMap<String, Secret>,
    /// Headers to add: secrets, or templates over the lead. What is none is left out.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// The body: a table whose texts are templates over the lead; for `text` one template. The whole event if absent, and nothing for GET.
    pub body: Option<serde_json::Value>,
    /// How the body is written. Default json.
    pub body_as: Option<BodyAs>,
    /// Signs each request, as the preset or `sign` says, else as Standard Webhooks (`whsec_` and base64). Short for `sign.secret`.
    pub secret: Option<Secret>,
    /// Signs each request.
    pub sign: Option<Sign>,
    /// How the destination knows who sends.
    pub auth: Option<Auth>,
    /// Several requests for each lead, in this order, instead of one: each is a table like the sink's own with `url`, `method`, `query`, `headers`, `body`, `body_as` and `classify`. The sink's `query`, `headers` and `classify` count for all of them.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// One message for several leads, where they come faster than the destination takes messages. Not with `steps`.
    pub digest: Option<Digest>,
    /// What an answer means: the first rule that holds decides, then the built-in ones.
    #[serde(default)]
    pub classify: Vec<Rule>,
    /// Refuses private, loopback and link-local addresses, also behind a name. Default false.
    #[serde(default)]
    pub deny_private: bool,
    /// What connections trust, and how they say who connects.
    pub tls: Option<Tls>,
    /// The proxy that requests go through: an http or https URL, credentials allowed. The environment's proxies are not used.
    pub proxy: Option<Secret>,
    /// Whether connections are kept and used again. Default true. `false` for a destination that breaks connections it has kept: each request gets one of its own.
    pub keep_alive: Option<bool>,
    /// How long an unused connection is kept; default 50s. It should be shorter than the destination's own time.
    pub idle_timeout: Option<HumanDuration>,
    /// Longest wait for a connection; default 5s. The sink's `timeout` bounds the whole attempt.
    pub connect_timeout: Option<HumanDuration>,
}

/// Certificates of a sink's connections: PEM files.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// File with the authorities to trust, instead of the system's; the server's own certificate will do, too.
    #[schemars(extend("format" = "path"))]
    pub ca: Option<PathBuf>,
    /// File with the certificate to show to the destination, and what is between it and its authority.
    #[schemars(extend("format" = "path"))]
    pub certificate: Option<PathBuf>,
    /// File with the private key of that certificate, not encrypted.
    #[schemars(extend("format" = "path"))]
    pub key: Option<PathBuf>,
}

/// Leads that share a message.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// Shortest time between two messages, at most 1m. A lead that comes earlier waits, and all that come meanwhile go with it. `0s` switches it off: a message for each lead.
    pub every: Option<HumanDuration>,
    /// The body for several leads: as `body`, over `count` and `leads`, a list of tables with the lead's fields and those of its event. Without one, the leads' own bodies with their texts one below the other; so also if you give a preset another `body`.
    pub body: Option<serde_json::Value>,
    /// Longest text of leads that stand one below the other, in bytes; default 8000. How many there is no room for stands at the end.
    pub max_bytes: Option<u32>,
}

/// One of several requests.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name: later steps find what it gave as `steps.NAME.…`.
    pub name: String,
    /// Condition over the lead and earlier steps, such as `steps.look.id is none`. A step that is not sent gives none for all it extracts.
    pub when: Option<String>,
    /// Where to send: whole, or a path that is appended to the sink's `url`. The sink's `url` if absent.
    pub url: Option<String>,
    /// POST (default), PUT, PATCH or GET.
    pub method: Option<String>,
    /// Query parameters, besides the sink's.
    #[serde(default)]
    pub query: BTreeMap<String, Secret>,
    /// Headers, instead of the sink's of the same name.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// The body, over the lead and earlier steps.
    pub body: Option<serde_json::Value>,
    /// How the body is written. Default json.
    pub body_as: Option<BodyAs>,
    /// What its answer means, before the sink's rules. Only delivered and duplicate let the next step go; anything else is what becomes of the delivery.
    #[serde(default)]
    pub classify: Vec<Rule>,
    /// What of its answer later steps need, each a template over `status`, `headers`, `body` and `text`, such as id = "{{ body.id }}".
    #[serde(default)]
    pub extract: BTreeMap<String, String>,
    /// Whether a retry takes over what this step gave instead of sending it again. Default true, and false for GET: what only looks must look again.
    pub journal: Option<bool>,
}

/// Known kinds of destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// POST of the whole event, signed as <https://www.standardwebhooks.com> says.
    StandardWebhooks,
    /// 飞书 (Feishu) bot of a group: a text with the phone masked.
    FeishuBot,
    /// 钉钉 (DingTalk) robot of a group: a text with the phone masked.
    DingtalkRobot,
    /// 企业微信 (WeCom) robot of a group: a text with the phone masked.
    WecomRobot,
    /// Slack incoming webhook: a text with the phone masked.
    Slack,
    /// HubSpot contacts, created or updated by a unique property.
    Hubspot,
    /// Salesforce leads, created or updated by an external-id field.
    Salesforce,
    /// Frappe CRM leads.
    Frappe,
    /// EspoCRM lead capture.
    Espocrm,
    /// Zoho CRM leads, created or updated by a unique field.
    Zoho,
    /// Odoo 19 and newer: leads, looked up, then created or updated.
    Odoo,
    /// 纷享销客 (Fxiaoke) leads, looked up, then created or updated.
    Fxiaoke,
    /// 销售易 (Xiaoshouyi) leads, looked up, then created or updated. Unverified.
    Xiaoshouyi,
    /// 飞书多维表格 (Feishu Bitable): a row of your table, looked up, then added or updated.
    FeishuBitable,
    /// Tryton: a sale opportunity, and its party if it is not there; needs `url` and `auth.token`.
    Tryton,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyAs {
    /// JSON.
    #[default]
    Json,
    /// A form: `a=1&b=2`.
    Form,
    /// Text as it is.
    Text,
    /// A form of parts; a table with `content`, `filename` and `content_type` makes a file.
    Multipart,
}

/// One rule about answers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Condition over `status`, `headers`, `body` (JSON) and `text`. It does not hold for an answer that has not what it asks for.
    pub when: String,
    /// What the answer means then.
    pub outcome: Verdict,
    /// Its name in the record of the attempt. Default `rule-1` and so on.
    pub name: Option<String>,
    /// For delivered: what of the answer is worth keeping, such as "{{ body.data.id }}".
    pub receipt: Option<String>,
    /// For retry and throttled: how long to wait, such as `10m`, or a template that gives seconds.
    pub after: Option<String>,
    /// Why, for a person, such as "{{ body.msg }}". What the lead says is taken out of it.
    pub reason: Option<String>,
}

/// What an answer can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The destination has it.
    Delivered,
    /// It had it already.
    Duplicate,
    /// Not taken; try again.
    Retry,
    /// Too fast: the whole sink slows down.
    Throttled,
    /// Credentials ran out: renewed once and tried at once, then later.
    Reauth,
    /// Never will be taken: a dead letter.
    Rejected,
    /// It may have been taken or not.
    Ambiguous,
}

/// How requests are signed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// Whose way of signing. Needed unless the preset has it.
    pub kind: Option<SignKind>,
    /// The secret.
    pub secret: Option<Secret>,
    /// generic_hmac: the text that is signed; a template over `id`, `timestamp` (s), `timestamp_ms`, `method`, `path`, `query` and `body`. Default "{{ body }}".
    pub message: Option<String>,
    /// generic_hmac: the hash. Default sha256.
    pub algorithm: Option<Algorithm>,
    /// generic_hmac: how the signature is written. Default hex.
    pub encoding: Option<Encoding>,
    /// generic_hmac: the header that carries the signature.
    pub header: Option<String>,
    /// generic_hmac: the query parameter that carries the signature.
    pub query: Option<String>,
    /// generic_hmac: what stands before the signature, such as "sha256=".
    pub prefix: Option<String>,
    /// generic_hmac: a header that carries the timestamp in seconds.
    pub timestamp_header: Option<String>,
}

/// Ways of signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignKind {
    /// <https://www.standardwebhooks.com>
    StandardWebhooks,
    /// 钉钉 robot: in the query.
    Dingtalk,
    /// 飞书 bot: in the body.
    FeishuBot,
    /// Any HMAC over a text of your own.
    GenericHmac,
}

/// Hashes of a signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Lower-case hexadecimal.
    #[default]
    Hex,
    /// Base64 with padding.
    Base64,
}

/// How the destination knows who sends. Which keys belong to which kind is in the README.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The way. Needed unless the preset has it.
    pub kind: Option<AuthKind>,
    /// basic, oauth2_password: the user.
    pub username: Option<String>,
    /// basic, oauth2_password: the password.
    pub password: Option<Secret>,
    /// bearer: the token. token_request: where it is in the answer, such as "{{ body.tenant_access_token }}".
    pub token: Option<Secret>,
    /// header, query: its name.
    pub name: Option<String>,
    /// header, query: its value.
    pub value: Option<Secret>,
    /// Where a token is fetched; not a template.
    pub token_url: Option<String>,
    /// oauth2: the client's id.
    pub client_id: Option<String>,
    /// oauth2: the client's secret.
    pub client_secret: Option<Secret>,
    /// oauth2: whether id and secret go as basic credentials instead of into the form. Default false.
    pub client_basic: Option<bool>,
    /// oauth2: the scope to ask for.
    pub scope: Option<String>,
    /// oauth2: more fields of the form.
    #[serde(default)]
    pub params: BTreeMap<String, Secret>,
    /// oauth2_refresh_token: the refresh token.
    pub refresh_token: Option<Secret>,
    /// oauth2_jwt_bearer: the RSA key, PEM.
    pub private_key: Option<Secret>,
    /// oauth2_jwt_bearer: `iss`. Default: `client_id`.
    pub issuer: Option<String>,
    /// oauth2_jwt_bearer: `sub`.
    pub subject: Option<String>,
    /// oauth2_jwt_bearer: `aud`. Default: `token_url`.
    pub audience: Option<String>,
    /// token_request: headers to send.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// token_request: the JSON body to POST; GET without one.
    pub body: Option<serde_json::Value>,
    /// token_request: the condition over `status`, `headers`, `body` and `text` for a good answer. Default: a status of 2xx.
    pub ok_when: Option<String>,
    /// Where the answer says for how many seconds a token is good. Default "{{ body.expires_in }}".
    pub expires_in: Option<String>,
    /// How long a token is good if the answer does not say. Default 1h.
    pub lifetime: Option<HumanDuration>,
    /// The header that carries a fetched token. Default authorization.
    pub token_header: Option<String>,
    /// What stands before a fetched token. Default "Bearer ".
    pub token_prefix: Option<String>,
    /// The query parameter that carries a fetched token, instead of a header.
    pub token_query: Option<String>,
    /// The field of the JSON body that carries a fetched token, instead of a header.
    pub token_body: Option<String>,
}

/// Ways of saying who sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    /// Not at all.
    #[default]
    None,
    /// User and password.
    Basic,
    /// A fixed token.
    Bearer,
    /// A header of your own.
    Header,
    /// A query parameter of your own.
    Query,
    /// OAuth 2: the client for itself.
    Oauth2ClientCredentials,
    /// OAuth 2: a refresh token.
    Oauth2RefreshToken,
    /// OAuth 2: user and password.
    Oauth2Password,
    /// OAuth 2: a signed assertion.
    Oauth2JwtBearer,
    /// A request of your own that answers with a token.
    TokenRequest,
}
