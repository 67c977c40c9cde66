//! What a source makes of pushes, beyond the vectors.

use super::*;
use crate::lead::SAMPLE;
use crate::source::QUARANTINE_REASONS;

pub(super) const NOW: Millis = 1_795_460_115_370;
pub(super) const SECRET: &str = "app-secret";

pub(in crate::source) fn settings(secret: &str) -> config::Tmall {
    config::Tmall {
        app_key: None,
        app_secret: vec![Secret::new(secret)],
        timestamp_tolerance: Some(Duration::from_mins(10)),
        methods: Vec::new(),
        open_key: None,
        on_invalid: QuarantinePolicy::Quarantine,
        on_stale: QuarantinePolicy::Quarantine,
    }
}

pub(super) fn source(settings: &config::Tmall) -> Tmall {
    let statuses = Statuses {
        refusal: 200,
        failure: 503,
    };
    Tmall::new("shop", settings, statuses)
}

/// A push that tests bend.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) method: &'static str,
    pub(super) query: String,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
    pub(super) at: Millis,
}

impl Sent {
    pub(super) fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::by(body, None)
    }

    fn by(body: impl Into<Vec<u8>>, method: Option<&str>) -> Self {
        let body = body.into();
        let push = signed_push(&PushParts {
            app_key: "23456789",
            secret: SECRET,
            method,
            now: NOW,
            body: &body,
        });
        Self {
            method: "POST",
            query: push.query,
            content_type: push.content_type.to_owned(),
            body: push.body,
            at: NOW,
        }
    }

    /// Signed by the rules alone: `query` and `form` are raw.
    fn params(method: &'static str, query: &str, form: &str) -> Self {
        let query_params = Params::query(query, Charset::Utf8).expect("query");
        let form_params = Params::form(form, Charset::Utf8).expect("form");
        let params = query_params.iter().chain(form_params.iter());
        let sign = Signed::new(Charset::Utf8, params, Cow::Borrowed(b"".as_slice())).sign(SECRET);
        let form_type = "application/x-www-form-urlencoded";
        Self {
            method,
            query: format!("{query}&sign={}", String::from_utf8_lossy(&sign)),
            content_type: if method == "GET" {
                String::new()
            } else {
                form_type.to_owned()
            },
            body: form.into(),
            at: NOW,
        }
    }

    pub(super) fn with<R>(&self, read: impl FnOnce(&Request<'_>) -> R) -> R {
        let header = |name: &str| match name {
            "content-type" => Some(self.content_type.as_bytes()),
            _ => None,
        };
        read(&Request {
            method: self.method,
            query: &self.query,
            header: &header,
            body: self.body.clone().into(),
            received_at: self.at,
        })
    }

    fn read_by(&self, settings: &config::Tmall) -> Reading {
        self.with(|request| source(settings).read(request))
    }

    pub(super) fn read(&self) -> Reading {
        self.read_by(&settings(SECRET))
    }
}

/// `lead`, or the reason why not.
fn verdict(reading: &Reading) -> &'static str {
    match reading {
        Reading::Lead(_) => "lead",
        Reading::Quarantinable(push) => known(push),
        Reading::Refused(reason) => reason,
        Reading::Handshake(_) => "handshake",
    }
}

/// Its reason, which must be one that a person can ask for.
fn known(push: &Quarantinable) -> &'static str {
    assert!(QUARANTINE_REASONS.contains(&push.reason), "{}", push.reason);
    push.reason
}

fn pushed(reading: Reading) -> Push {
    match reading {
        Reading::Lead(push) => *push,
        other => panic!("not a lead: {}", verdict(&other)),
    }
}

#[test]
fn the_sample_is_read() {
    let push = pushed(Sent::by(SAMPLE, Some("a.method")).read());
    assert_eq!(push.source, "shop");
    assert_eq!(push.lead.record_id, Some(371_009));
    assert!(push.identity.stable);
    assert_eq!(push.method.as_deref(), Some("a.method"));
    assert_eq!(push.raw, SAMPLE);
    assert_eq!(push.original, None, "the text is the bytes");
    assert_eq!(push.request_id.expect("a request id").len(), 16);
}

#[test]
fn a_push_in_gbk_gives_text() {
    let body = r#"{"record_id":1,"city_name":"杭州"}"#;
    let encoded = Charset::Gbk.encode(body);
    let query = "timestamp=2026-11-24+02:55:15&kf_name=%BA%BC";
    let params = Params::query(query, Charset::Gbk).expect("query");
    let signed = Signed::new(Charset::Gbk, params.iter(), encoded.clone());
    let sign = String::from_utf8(signed.sign(SECRET).to_vec()).expect("hex");
    let push = pushed(
        Sent {
            method: "POST",
            query: format!("{query}&sign={sign}"),
            content_type: "application/json;charset=GBK".into(),
            body: encoded.clone().into_owned(),
            at: NOW,
        }
        .read(),
    );
    assert_eq!(
        push.original.as_deref(),
        Some(&*encoded),
        "the bytes are kept"
    );
    assert_eq!(push.lead.city_name.as_deref(), Some("杭州"));
    assert_eq!(push.raw, body);
}

#[test]
fn a_form_is_a_lead_without_the_platforms_own_parameters() {
    let form = "record_id=5&name=%E5%BC%A0+x&phone=&new=1&timestamp=2026-11-24+02:55:15&v=2";
    let push = pushed(Sent::params("POST", "app_key=1", form).read());
    assert_eq!(push.lead.record_id, Some(5));
    assert_eq!(push.lead.name.as_deref(), Some("张 x"));
    assert_eq!(push.lead.phone, None);
    let others: Vec<_> = push.lead.other.keys().collect();
    assert_eq!(others, ["new"]);
    assert_eq!(push.raw, form);
}

#[test]
fn a_get_is_a_lead_of_the_known_parameters() {
    let query = "timestamp=2026-11-24+02:55:15&record_id=5&new=1";
    let sent = Sent::params("GET", query, "");
    let push = pushed(sent.read());
    assert_eq!(push.lead.record_id, Some(5));
    assert!(push.lead.other.is_empty());
    assert_eq!(push.raw, sent.query);
    let with_body = Sent {
        body: b"x".to_vec(),
        ..sent
    };
    assert_eq!(verdict(&with_body.read()), "unsigned_body");
}

#[test]
fn what_is_authentic_but_unreadable_is_quarantined_whole() {
    let deep = "[".repeat(200_000);
    for (body, reason) in [
        ("", "unparsable"),
        ("{\"a\":", "unparsable"),
        ("<lead/>", "unparsable"),
        (deep.as_str(), "unparsable"),
        ("[]", "not_an_object"),
        ("{}", "no_known_field"),
        (r#"{"z":1}"#, "no_known_field"),
    ] {
        let sent = Sent::json(body);
        match sent.read() {
            Reading::Quarantinable(push) => {
                assert_eq!(known(&push), reason);
                assert_eq!(push.then, QuarantinePolicy::Quarantine);
                assert_eq!(push.body, body);
                assert_eq!(push.query, sent.query);
                assert_eq!(push.content_type, sent.content_type);
                assert!(push.request_id.is_some());
            }
            other => panic!("{:.20}: {}", body, verdict(&other)),
        }
    }
}

#[test]
fn what_a_person_releases_is_read_as_it_would_have_been_or_kept_as_text() {
    let release = |sent: &Sent| {
        source(&settings(SECRET)).release(RawPush {
            query: &sent.query,
            content_type: &sent.content_type,
            body: &sent.body,
        })
    };
    let good = Sent::json(SAMPLE);
    let (read, released) = (pushed(good.read()), release(&good));
    assert_eq!(released.lead.json(), read.lead.json());
    assert_eq!(released.identity.key, read.identity.key);
    assert_eq!(released.raw, read.raw);
    let form = Sent::params("POST", "app_key=1", "name=a&record_id=5&method=m");
    assert_eq!(release(&form).lead.record_id, Some(5));
    let get = Sent::params("GET", "app_key=1&record_id=6", "");
    assert_eq!(release(&get).lead.record_id, Some(6));
    let (one, two) = (release(&Sent::json("{\"a\":")), release(&Sent::json("[2]")));
    let unread = |push: &Push| {
        push.lead
            .other
            .get("unread")
            .map(crate::lead::Json::to_value)
    };
    assert_eq!(unread(&one), Some("{\"a\":".into()));
    assert_eq!(unread(&two), Some("[2]".into()));
    assert_ne!(
        one.identity.key, two.identity.key,
        "each is a lead of its own"
    );
}

#[test]
fn what_the_merchant_rejects_is_marked_so() {
    let rejecting = config::Tmall {
        on_invalid: QuarantinePolicy::Reject,
        ..settings(SECRET)
    };
    for (sent, then) in [
        (Sent::json("{}"), QuarantinePolicy::Reject),
        (
            Sent {
                at: NOW + 3_600_000,
                ..Sent::json(SAMPLE)
            },
            QuarantinePolicy::Quarantine,
        ),
    ] {
        match sent.read_by(&rejecting) {
            Reading::Quarantinable(push) => assert_eq!(push.then, then),
            other => panic!("{}", verdict(&other)),
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_read_as_the_platform_signs_them() {
    let push = pushed(Sent::json(b"{\"name\":\"a\xFF\"}".as_slice()).read());
    assert_eq!(push.lead.name.as_deref(), Some("a\u{fffd}"));
    assert_eq!(push.raw, "{\"name\":\"a\u{fffd}\"}");
}

#[test]
fn timestamps_are_held_against_the_tolerance_either_way() {
    let sent = Sent::json(SAMPLE);
    // The push says whole seconds.
    let second = NOW - NOW % 1000;
    for (at, expected) in [
        (second + 600_000, "lead"),
        (second + 600_001, "stale"),
        (second - 600_000, "lead"),
        (second - 600_001, "stale"),
    ] {
        assert_eq!(verdict(&Sent { at, ..sent.clone() }.read()), expected);
    }
    let off = config::Tmall {
        timestamp_tolerance: None,
        ..settings(SECRET)
    };
    assert_eq!(verdict(&Sent { at: 0, ..sent }.read_by(&off)), "lead");
    let untimed = Sent::params("POST", "v=1", "record_id=1");
    assert_eq!(verdict(&untimed.read()), "no_timestamp");
    assert_eq!(verdict(&untimed.read_by(&off)), "lead");
}

#[test]
fn methods_and_open_key_are_checked_where_the_merchant_asks() {
    let strict = config::Tmall {
        methods: vec!["a.b".into()],
        open_key: Some(Secret::new("43534cf9d5154543")),
        ..settings(SECRET)
    };
    assert_eq!(
        verdict(&Sent::by(SAMPLE, Some("a.b")).read_by(&strict)),
        "lead"
    );
    assert_eq!(
        verdict(&Sent::by(SAMPLE, Some("a.c")).read_by(&strict)),
        "unknown_method"
    );
    assert_eq!(
        verdict(&Sent::by(SAMPLE, None).read_by(&strict)),
        "unknown_method"
    );
    let other = SAMPLE.replace("43534cf9d5154543", "x");
    assert_eq!(
        verdict(&Sent::by(other, Some("a.b")).read_by(&strict)),
        "open_key"
    );
    let without = r#"{"record_id":1}"#;
    assert_eq!(
        verdict(&Sent::by(without, Some("a.b")).read_by(&strict)),
        "open_key"
    );
}

#[test]
fn several_secrets_verify_while_rotating() {
    let rotating = config::Tmall {
        app_secret: vec![Secret::new("new"), Secret::new(SECRET)],
        ..settings(SECRET)
    };
    assert_eq!(verdict(&Sent::json(SAMPLE).read_by(&rotating)), "lead");
    assert_eq!(
        verdict(&Sent::json(SAMPLE).read_by(&settings("new"))),
        "wrong_sign"
    );
}

#[test]
fn a_push_is_taken_for_the_application_it_names() {
    let own = |app_key: &str| config::Tmall {
        app_key: Some(app_key.into()),
        ..settings(SECRET)
    };
    assert_eq!(
        verdict(&Sent::json(SAMPLE).read_by(&own("23456789"))),
        "lead"
    );
    assert_eq!(verdict(&Sent::json(SAMPLE).read_by(&own("1"))), "app_key");
    let between = "target_appkey=1&app_key=2&timestamp=2026-11-24+02:55:15&record_id=1";
    let unaddressed = "timestamp=2026-11-24+02:55:15&record_id=1";
    for (query, app_key, fit) in [
        (between, Some("1"), Fit::Addressee),
        (between, Some("2"), Fit::Sender),
        (between, Some("3"), Fit::None),
        (between, None, Fit::Anyone),
        (unaddressed, Some("1"), Fit::Unaddressed),
        (unaddressed, None, Fit::Anyone),
    ] {
        let settings = config::Tmall {
            app_key: app_key.map(Into::into),
            ..settings(SECRET)
        };
        let sent = Sent::params("GET", query, "");
        assert_eq!(sent.with(|request| source(&settings).fit(request)), fit);
        let taken = verdict(&sent.read_by(&settings)) == "lead";
        assert_eq!(taken, fit != Fit::None);
    }
}

#[test]
fn answers_are_those_of_the_document() {
    let source = source(&settings(SECRET));
    let answered = |answer| {
        let reply = source.answer(answer);
        assert_eq!(reply.content_type, "application/json;charset=UTF-8");
        (
            reply.status,
            String::from_utf8(reply.body.to_vec()).expect("text"),
        )
    };
    let success = r#"{"result":{"errCode":"0","success":true,"errMsg":"成功"}}"#;
    assert_eq!(answered(Answer::Success), (200, success.into()));
    let refused =
        r#"{"success":"false","errCode":"sign-check-failure","errMsg":"Illegal request"}"#;
    assert_eq!(answered(Answer::Refused), (200, refused.into()));
    let failed = concat!(
        r#"{"result":{"success":false,"errCode":"overloaded","#,
        r#""errMsg":"too many pushes at once, push again later"}}"#
    );
    assert_eq!(answered(Answer::Failed("overloaded")), (503, failed.into()));
}

proptest::proptest! {
    #[test]
    fn what_was_signed_verifies(body: Vec<u8>, app_key: String, secret: String, method: Option<String>) {
        let push = signed_push(&PushParts {
            app_key: &app_key,
            secret: &secret,
            method: method.as_deref(),
            now: NOW,
            body: &body,
        });
        let sent = Sent {
            method: "POST",
            query: push.query,
            content_type: push.content_type.to_owned(),
            body: push.body,
            at: NOW,
        };
        let reading = sent.read_by(&settings(&secret));
        proptest::prop_assert!(!matches!(reading, Reading::Refused(_)), "{}", verdict(&reading));
    }

    #[test]
    fn any_changed_byte_of_the_body_refuses(at: proptest::sample::Index, change in 1..=255_u8) {
        let mut sent = Sent::json(SAMPLE);
        let at = at.index(sent.body.len());
        sent.body[at] ^= change;
        proptest::prop_assert_eq!(verdict(&sent.read()), "wrong_sign");
    }

    #[test]
    fn any_changed_byte_of_the_query_refuses(at: proptest::sample::Index, to in "[ -~]") {
        let mut sent = Sent::json(SAMPLE);
        let before = sent.query.clone();
        let at = at.index(before.len());
        sent.query.replace_range(at..=at, &to);
        // `%3A` and `%3a` are two spellings of one text, and the text is what is signed.
        let text = |query| Params::query(query, Charset::Utf8).map(|params| {
            params.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
        });
        let same = text(&before) == text(&sent.query);
        let refused = matches!(sent.read(), Reading::Refused(_));
        proptest::prop_assert_eq!(refused, !same);
    }

    #[test]
    fn nothing_panics(query: String, content_type: String, body: Vec<u8>, get: bool, form: bool) {
        let known = if form { "application/x-www-form-urlencoded;charset=GBK" } else { "text/plain" };
        for content_type in [content_type, known.to_owned()] {
            let sent = Sent {
                method: if get { "GET" } else { "POST" },
                query: query.clone(),
                content_type,
                body: body.clone(),
                at: NOW,
            };
            sent.read();
        }
    }
}
