//! Signatures that are wrong in the ways in which they are wrong in the field, and what is said of
//! each.

use super::tests::{NOW, SECRET, Sent, settings, source};
use super::*;
use crate::telemetry::signed::{ClueKind, Oddity, SignShape, Signed};

/// What is said of a push that is refused.
fn explained(sent: &Sent) -> Signed {
    explained_by(&settings(SECRET), sent)
}

fn explained_by(settings: &config::Tmall, sent: &Sent) -> Signed {
    let source = source(settings);
    sent.with(|request| {
        assert!(matches!(source.read(request), Reading::Refused(_)));
        source.explain(request).expect("it can be split")
    })
}

fn clue(sent: &Sent) -> Option<(ClueKind, Option<String>)> {
    explained(sent).clue.map(|clue| (clue.what, clue.detail))
}

/// A push whose query is changed after it was signed.
fn changed(body: &str, change: impl FnOnce(&str) -> String) -> Sent {
    let sent = Sent::json(body);
    Sent {
        query: change(&sent.query),
        ..sent
    }
}

/// A push by GET, signed however this query says.
fn got(query: &str) -> Sent {
    Sent {
        method: "GET",
        query: query.to_owned(),
        content_type: String::new(),
        body: Vec::new(),
        at: NOW,
    }
}

/// A push of these parameters and this body, whose signature is over these pieces.
fn signed_over(query: &str, content_type: &str, body: &[u8], pieces: &[&[u8]]) -> Sent {
    use md5::Digest;
    let mut md5 = md5::Md5::new();
    for piece in [&[SECRET.as_bytes()], pieces, &[SECRET.as_bytes()]].concat() {
        md5.update(piece);
    }
    let made = md5.finalize();
    let sign = leadgate_plugin::hex(made.as_slice()).to_ascii_uppercase();
    Sent {
        query: format!("{query}&sign={sign}"),
        content_type: content_type.to_owned(),
        body: body.to_vec(),
        ..Sent::json("{}")
    }
}

const JSON: &str = "application/json;charset=UTF-8";

#[test]
fn a_wrong_secret_leaves_no_clue_and_nothing_of_it_is_said() {
    let body = r#"{"record_id":1,"name":"张三","phone":"13567658911"}"#;
    let sent = Sent::json(body);
    let wrong = settings("another secret");
    let said = explained_by(&wrong, &sent);
    assert_eq!(said.clue, None);
    assert!(said.tried);
    let given = said.given.as_ref().expect("a signature came");
    assert_eq!((given.length, given.shape), (32, SignShape::Right));
    assert_eq!(said.expected_length, 32);
    assert_eq!(said.charset, "utf-8");
    assert_eq!(said.secrets, 1);
    let start = "⟨secret⟩app_key23456789formatjsonrequest_id⟨16⟩sign_methodmd5target_appkey23456789timestamp20";
    assert!(said.text.starts_with(start), "{}", said.text);
    let end = format!("⟨body {}⟩⟨secret⟩", body.len());
    assert!(said.text.ends_with(&end), "{}", said.text);
    assert_eq!(said.order[..2], ["app_key", "format"]);
    // Neither of the secrets, nor the signature that would be right, nor the one that came.
    let all = format!("{said:?}");
    let right = signed_push(&PushParts {
        app_key: "23456789",
        secret: "another secret",
        method: None,
        now: sent.at,
        body: body.as_bytes(),
    });
    let sign = |query: &str| query.rsplit_once("sign=").expect("signed").1.to_owned();
    for hidden in [
        SECRET,
        "another secret",
        &sign(&right.query),
        &sign(&sent.query),
        "13567658911",
        "张三",
    ] {
        assert!(!all.contains(hidden), "{hidden}: {all}");
    }
}

#[test]
fn names_and_values_that_may_be_somebodys_are_not_said() {
    let sign = "0123456789ABCDEF0123456789ABCDEF";
    let query = format!(
        "app_key=13567658911&customerid=13567658911&13567658911=x&timestamp=13567658911\
         &method=13567658911&v=2.0&name=%E5%BC%A0%E4%B8%89&sign={sign}"
    );
    let said = explained(&got(&query));
    assert_eq!(
        said.text,
        "⟨secret⟩⟨11⟩⟨1⟩app_key⟨11⟩customerid⟨11⟩method⟨11⟩name⟨2⟩timestamp⟨11⟩v2.0⟨secret⟩"
    );
    assert_eq!(said.order[0], "⟨11⟩");
    assert!(!format!("{said:?}").contains("13567658911"));
    let many: Vec<String> = (0..200).map(|at| format!("name{at}=1&")).collect();
    let many = many.concat();
    let said = explained(&got(&format!("{many}sign={sign}")));
    assert!(said.text.len() < 4_000, "{}", said.text.len());
}

#[test]
fn a_signature_of_another_shape_is_told_from_a_wrong_one() {
    let with = |sign: &str| {
        changed("{\"record_id\":1}", |query| {
            let (start, _) = query.rsplit_once("sign=").expect("signed");
            format!("{start}sign={sign}")
        })
    };
    for (sign, shape, length) in [
        ("13567658911", SignShape::Length, 11),
        ("abc", SignShape::Length, 3),
        ("%E5%BC%A0", SignShape::NotHex, 1),
        (&"0a".repeat(16), SignShape::LowerCase, 32),
        (&"0A".repeat(32), SignShape::Length, 64),
    ] {
        let given = explained(&with(sign)).given.expect("one came");
        assert_eq!((given.shape, given.length), (shape, length), "{sign}");
        assert!(!format!("{given:?}").contains(sign));
    }
    assert_eq!(explained(&with("")).given, None);
}

#[test]
fn what_proxies_do_to_a_body_is_found() {
    let body = "{\"record_id\": 1, \"name\": \"a b\"}";
    let after = |body: &str| Sent {
        body: body.into(),
        ..Sent::json("{\"record_id\": 1, \"name\": \"a b\"}")
    };
    assert!(!matches!(Sent::json(body).read(), Reading::Refused(_)));
    for (came, what) in [
        (format!("{body}\n"), ClueKind::BodyEnds),
        (format!("\u{feff}{body}"), ClueKind::BodyEnds),
        (
            "{\"record_id\":1,\"name\":\"a b\"}".to_owned(),
            ClueKind::BodyAnew,
        ),
        (
            "{\n  \"record_id\": 1,\n  \"name\": \"a b\"\n}".to_owned(),
            ClueKind::BodyAnew,
        ),
    ] {
        assert_eq!(clue(&after(&came)), Some((what, None)), "{came}");
    }
    let said = explained(&after(&format!("\u{feff}{body}\n")));
    assert_eq!(said.oddities, [Oddity::Mark, Oddity::SpaceAtEnd]);
    assert_eq!(clue(&after("{\"record_id\":2}")), None, "another body");
    let large = " ".repeat(40_000) + body;
    let said = explained(&after(&large));
    assert_eq!((said.clue, said.tried), (None, false));
}

#[test]
fn what_senders_do_otherwise_is_found() {
    let (body, query) = (
        "{\"record_id\":1}",
        "v=2&app_key=1&timestamp=2026-11-24+02:55:15",
    );
    let time: &[u8] = b"timestamp2026-11-24 02:55:15";
    for (what, pieces) in [
        (
            ClueKind::Unsorted,
            vec![b"v2app_key1".as_slice(), time, body.as_bytes()],
        ),
        (ClueKind::WithoutBody, vec![b"app_key1", time, b"v2"]),
        (
            ClueKind::Encoded,
            vec![b"app_key1timestamp2026-11-24+02:55:15v2", body.as_bytes()],
        ),
    ] {
        let sent = signed_over(query, JSON, body.as_bytes(), &pieces);
        assert_eq!(clue(&sent), Some((what, None)));
    }
    // A parameter that somebody between has added.
    let added = |name: &str| changed(body, |query| format!("{name}=1&{query}"));
    let found = |detail: &str| Some((ClueKind::AddedParameter, Some(detail.to_owned())));
    assert_eq!(clue(&added("session")), found("session"));
    assert_eq!(clue(&added("13567658911")), found("⟨11⟩"));
    // In small letters.
    let small = changed(body, |query| {
        let (start, sign) = query.rsplit_once("sign=").expect("signed");
        format!("{start}sign={}", sign.to_lowercase())
    });
    assert_eq!(clue(&small), Some((ClueKind::LowerCase, None)));
    // For another application, and right.
    let own = config::Tmall {
        app_key: Some("1".into()),
        ..settings(SECRET)
    };
    let said = explained_by(&own, &Sent::json(body));
    assert_eq!(said.clue.map(|clue| clue.what), Some(ClueKind::Nothing));
    // With a secret that was copied with a space.
    let said = explained_by(&settings(&format!("{SECRET} ")), &Sent::json(body));
    assert_eq!(said.clue.map(|clue| clue.what), Some(ClueKind::SecretSpace));
    assert_eq!(said.oddities, [Oddity::SecretSpace]);
}

#[test]
fn another_charset_or_content_type_is_found() {
    let body = "{\"record_id\":1,\"city_name\":\"杭州\"}";
    let gbk = Charset::Gbk.encode(body);
    let sent = signed_over("v=2", JSON, &gbk, &[b"v2", &gbk]);
    let said = explained(&sent);
    let clue_of = said.clue.map(|clue| (clue.what, clue.detail));
    assert_eq!(clue_of, Some((ClueKind::Charset, Some("gbk".to_owned()))));
    assert_eq!(said.oddities, [Oddity::NotInCharset]);
    let form = "record_id=5&a=1";
    let sent = signed_over("v=2", JSON, form.as_bytes(), &[b"a1record_id5v2"]);
    assert_eq!(clue(&sent), Some((ClueKind::BodyAsParameters, None)));
    let urlencoded = "application/x-www-form-urlencoded;charset=UTF-8";
    let sent = signed_over(
        "v=2",
        urlencoded,
        form.as_bytes(),
        &[b"v2", form.as_bytes()],
    );
    assert_eq!(clue(&sent), Some((ClueKind::BodyAsText, None)));
}

#[test]
fn a_signature_by_hmac_is_found() {
    use hmac::{KeyInit, Mac};
    let mut mac = hmac::Hmac::<md5::Md5>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(b"v2{}");
    let made = mac.finalize().into_bytes();
    let sign = leadgate_plugin::hex(made.as_slice()).to_ascii_uppercase();
    let sent = Sent {
        query: format!("v=2&sign={sign}"),
        ..Sent::json("{}")
    };
    assert_eq!(clue(&sent), Some((ClueKind::Hmac, None)));
}

#[test]
fn what_cannot_be_split_is_not_explained() {
    let source = source(&settings(SECRET));
    for sent in [
        Sent {
            content_type: "application/pdf".into(),
            ..Sent::json("{}")
        },
        changed("{}", |query| format!("{query}&a=%")),
        changed("{}", |query| format!("{query}&app_key=1")),
    ] {
        assert_eq!(sent.with(|request| source.explain(request)), None);
    }
}

proptest::proptest! {
    #[test]
    fn nothing_panics_and_nothing_of_the_body_is_said(query: String, content_type: String, body: Vec<u8>, get: bool) {
        let sent = Sent {
            method: if get { "GET" } else { "POST" },
            query: format!("sign=0123456789ABCDEF0123456789ABCDEF&{query}"),
            content_type: if get { content_type } else { JSON.to_owned() },
            body: [b"13567658911 ".as_slice(), &body].concat(),
            ..Sent::json("")
        };
        let source = source(&settings(SECRET));
        if let Some(said) = sent.with(|request| source.explain(request)) {
            let said = format!("{said:?}");
            proptest::prop_assert!(!said.contains("13567658911"), "{said}");
            proptest::prop_assert!(!said.contains(SECRET), "{said}");
        }
    }
}
