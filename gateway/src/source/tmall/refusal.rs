//! Why a push was refused, for the log: the sender always gets the same answer.

/// Why a push was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Neither GET nor POST.
    HttpMethod,
    /// No content type, or none that is understood.
    ContentType,
    /// A charset that is unknown or quoted.
    Charset,
    /// A `%` without two hex digits.
    BrokenEscape,
    /// A parameter with a second raw `=`: the platform does not sign it.
    UnsignedParameter,
    /// A parameter twice, in the query, in the form or in both: only one of them is signed.
    RepeatedParameter,
    /// More parameters than any push has.
    TooManyParameters,
    /// A body of a GET: it is not signed.
    UnsignedBody,
    /// Meant for another application.
    AppKey,
    /// No `sign` in the query, or an empty one.
    NoSign,
    /// Signed otherwise, or changed since.
    WrongSign,
    /// The same, and the body came compressed: what is signed is the plain one.
    ContentEncoding,
}

/// The stable names of all reasons.
pub const REFUSALS: [&str; 12] = [
    Refusal::HttpMethod.reason(),
    Refusal::ContentType.reason(),
    Refusal::Charset.reason(),
    Refusal::BrokenEscape.reason(),
    Refusal::UnsignedParameter.reason(),
    Refusal::RepeatedParameter.reason(),
    Refusal::TooManyParameters.reason(),
    Refusal::UnsignedBody.reason(),
    Refusal::AppKey.reason(),
    Refusal::NoSign.reason(),
    Refusal::WrongSign.reason(),
    Refusal::ContentEncoding.reason(),
];

impl Refusal {
    /// Its stable name.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::HttpMethod => "http_method",
            Self::ContentType => "content_type",
            Self::Charset => "charset",
            Self::BrokenEscape => "broken_escape",
            Self::UnsignedParameter => "unsigned_parameter",
            Self::RepeatedParameter => "repeated_parameter",
            Self::TooManyParameters => "too_many_parameters",
            Self::UnsignedBody => "unsigned_body",
            Self::AppKey => "app_key",
            Self::NoSign => "no_sign",
            Self::WrongSign => "wrong_sign",
            Self::ContentEncoding => "unsupported_content_encoding",
        }
    }
}
