//! What was signed of a push whose signature is wrong, and how: enough to tell a wrong secret from
//! a proxy that changes bodies. Has no secret in it, no signature that would be right, and no value
//! of which it is not known that it is nobody's.

use crate::clock::Millis;

/// What of a push is signed, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// How it is signed, as a formula.
    pub how: &'static str,
    /// In which charset.
    pub charset: &'static str,
    /// What is signed, in its order. `⟨secret⟩` stands for the secret, `⟨n⟩` for a name or a value
    /// of n letters that is not shown, `⟨body n⟩` for a body of n bytes.
    pub text: String,
    /// Names of the parameters in the order in which they are signed, written likewise.
    pub order: Vec<String>,
    /// The signature that came; `None` if none did.
    pub given: Option<GivenSign>,
    /// Letters that a right one has.
    pub expected_length: usize,
    /// How many secrets it was held against.
    pub secrets: usize,
    /// When it was sent, as it says itself.
    pub pushed_at: Option<Millis>,
    /// What is unusual about it.
    pub oddities: Vec<Oddity>,
    /// What would have been right, if anything that was tried would.
    pub clue: Option<Clue>,
    /// Whether other ways than the right one were tried: not of large bodies.
    pub tried: bool,
    /// Whether a push of this source has been authentic since the start: then its secret is right.
    pub authentic_before: bool,
}

/// A signature that came, without itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenSign {
    /// Letters.
    pub length: usize,
    /// What it looks like.
    pub shape: SignShape,
    /// How it begins and ends, to find it in the sender's log; only of a right shape.
    pub ends: Option<String>,
}

/// What a signature that came looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignShape {
    /// As one that is right.
    Right,
    /// The same with small letters.
    LowerCase,
    /// Of digits and letters of hex, but shorter or longer.
    Length,
    /// No hex at all.
    NotHex,
}

impl SignShape {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Right, Self::LowerCase, Self::Length, Self::NotHex];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::LowerCase => "lower_case",
            Self::Length => "length",
            Self::NotHex => "not_hex",
        }
    }
}

/// What is unusual about a push, and often behind a wrong signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// The body is compressed; what is signed is the plain one.
    Compressed,
    /// The body has bytes that its charset has not.
    NotInCharset,
    /// The body begins with a byte order mark.
    Mark,
    /// The body ends with white space.
    SpaceAtEnd,
    /// The configured secret begins or ends with white space.
    SecretSpace,
}

impl Oddity {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Compressed,
        Self::NotInCharset,
        Self::Mark,
        Self::SpaceAtEnd,
        Self::SecretSpace,
    ];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compressed => "compressed",
            Self::NotInCharset => "not_in_charset",
            Self::Mark => "byte_order_mark",
            Self::SpaceAtEnd => "space_at_end",
            Self::SecretSpace => "secret_space",
        }
    }
}

/// With what a signature that was refused is right: the secret is the sender's, and this differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clue {
    /// What differs.
    pub what: ClueKind,
    /// More of it: the charset, the name of the parameter or of the source.
    pub detail: Option<String>,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClueKind {
    /// Nothing: it is right, and refused for something else.
    Nothing,
    /// It is written in small letters.
    LowerCase,
    /// The secret, by white space around it.
    SecretSpace,
    /// The parameters are signed in the order in which they came.
    Unsorted,
    /// The body is not signed.
    WithoutBody,
    /// White space at the body's end, or a byte order mark before it.
    BodyEnds,
    /// White space within the body: it was written anew.
    BodyAnew,
    /// The charset.
    Charset,
    /// The body is signed as parameters, and said to be a text.
    BodyAsParameters,
    /// The body is signed as a text, and said to be parameters.
    BodyAsText,
    /// Parameters are signed as they are encoded.
    Encoded,
    /// Headers are said to be signed, and are not.
    WithoutHeaders,
    /// One parameter is not signed: it was added.
    AddedParameter,
    /// It is made by HMAC.
    Hmac,
    /// It is that of another source.
    OtherSource,
}

impl ClueKind {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Nothing,
        Self::LowerCase,
        Self::SecretSpace,
        Self::Unsorted,
        Self::WithoutBody,
        Self::BodyEnds,
        Self::BodyAnew,
        Self::Charset,
        Self::BodyAsParameters,
        Self::BodyAsText,
        Self::Encoded,
        Self::WithoutHeaders,
        Self::AddedParameter,
        Self::Hmac,
        Self::OtherSource,
    ];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::LowerCase => "lower_case",
            Self::SecretSpace => "secret_space",
            Self::Unsorted => "unsorted",
            Self::WithoutBody => "without_body",
            Self::BodyEnds => "body_ends",
            Self::BodyAnew => "body_anew",
            Self::Charset => "charset",
            Self::BodyAsParameters => "body_as_parameters",
            Self::BodyAsText => "body_as_text",
            Self::Encoded => "encoded",
            Self::WithoutHeaders => "without_headers",
            Self::AddedParameter => "added_parameter",
            Self::Hmac => "hmac",
            Self::OtherSource => "other_source",
        }
    }
}
