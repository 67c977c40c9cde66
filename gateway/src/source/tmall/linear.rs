//! That a refusal costs what the body is long, whatever is in it: strangers choose the bytes.
//!
//! Measured as a ratio of two sizes, far enough apart that noise does not decide: sixteen
//! times the bytes may take some sixteen times as long; by the square it would be 256 times.

use std::time::{Duration, Instant};

use super::*;

const SMALL: usize = 16 << 10;
const LARGE: usize = 256 << 10;
/// Four times what linear is, a quarter of what the square would be.
const MOST: u32 = 64;

/// How often a ratio is measured before it counts.
const TRIES: usize = 8;

/// What each charset finds hardest, as a pattern that is repeated.
const WORST: [&[u8]; 12] = [
    b"\xFF",
    b"\x81",
    b"a\xFF",
    b"\xFF\x30",
    b"\x81\x30",
    b"\x81\x30\x81",
    b"\x84\x31\xA4\x37",
    b"\x90\x30\x81\x30",
    b"\xBA\xBC",
    b"\xE4\xBD",
    b"\xF0\x9F\x8F\xA0",
    b"\xC3\xA9\xFF",
];

/// The same as form bodies.
const FORMS: [&[u8]; 5] = [b"%FF", b"%FF+", b"%81%30%81%30", b"%E4%BD+a", b"%"];

fn fastest(read: impl Fn() -> Reading) -> Duration {
    let once = || {
        let began = Instant::now();
        assert!(matches!(read(), Reading::Refused(_)));
        began.elapsed()
    };
    (0..4).map(|_| once()).min().unwrap_or_default()
}

#[test]
fn what_is_refused_costs_no_more_than_its_length() {
    let source = tests::source(&config::Tmall {
        app_secret: vec![Secret::new("one"), Secret::new("two"), Secret::new("three")],
        ..tests::settings("")
    });
    let took = |content_type: &str, pattern: &[u8], prefix: &[u8], size: usize| {
        let mut body = prefix.to_vec();
        body.extend(pattern.iter().cycle().take(size));
        let body = Bytes::from(body);
        let header = |name: &str| (name == "content-type").then_some(content_type.as_bytes());
        fastest(|| {
            source.read(&Request {
                method: "POST",
                query: "sign=0123456789ABCDEF0123456789ABCDEF",
                header: &header,
                body: body.clone(),
                received_at: 0,
            })
        })
    };
    for charset in ["utf-8", "gbk", "gb18030", "iso-8859-1", "us-ascii"] {
        let json = format!("application/json;charset={charset}");
        let form = format!("application/x-www-form-urlencoded;charset={charset}");
        let texts = WORST
            .iter()
            .map(|pattern| (&json, *pattern, b"".as_slice()));
        let forms = FORMS.iter().chain(&WORST);
        let forms = forms.map(|pattern| (&form, *pattern, b"a=".as_slice()));
        for (content_type, pattern, prefix) in texts.chain(forms) {
            let measure = || {
                // A clock that stands still for what is too short says nothing.
                let small = took(content_type, pattern, prefix, SMALL);
                let large = took(content_type, pattern, prefix, LARGE);
                (small.max(Duration::from_micros(20)), large)
            };
            // Another process may have had the core meanwhile; not each time.
            let mut measured = (0..TRIES).map(|_| measure());
            assert!(
                measured.any(|(small, large)| large <= small * MOST),
                "{content_type} {pattern:x?}: {LARGE} bytes take more than {MOST} times as long \
                 as {SMALL}"
            );
        }
    }
}

#[test]
fn without_a_signature_the_body_is_not_looked_at() {
    let source = tests::source(&tests::settings("s"));
    // Bytes that would be another refusal, if anything looked at them.
    let header = |name: &str| {
        (name == "content-type").then_some(b"application/x-www-form-urlencoded".as_slice())
    };
    for (query, reason) in [
        ("", "no_sign"),
        ("sign=", "no_sign"),
        ("sign=x", "wrong_sign"),
        ("sign=0123456789abcdef0123456789abcdef", "wrong_sign"),
        ("sign=0123456789ABCDEF0123456789ABCDE", "wrong_sign"),
        ("sign=0123456789ABCDEF0123456789ABCDEF", "broken_escape"),
    ] {
        let reading = source.read(&Request {
            method: "POST",
            query,
            header: &header,
            body: Bytes::from_static(b"a=%"),
            received_at: 0,
        });
        assert!(
            matches!(reading, Reading::Refused(found) if found == reason),
            "{query}"
        );
    }
}
