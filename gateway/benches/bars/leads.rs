//! The leads that are pushed: the document's sample with another person in each.
//!
//! Every field that is indexed differs from push to push, as in real life: equal values would
//! lie side by side in the store and make its index cheaper than it is.

use leadgate::clock::{Clock, SystemClock};
use leadgate::source::tmall::{self, PushParts};

pub(crate) const SECRET: &str = "bench-app-secret";

/// A lead as Tmall writes it. The record id is the only value that says which one it is.
pub(crate) fn lead(record: usize) -> String {
    let digits = |count| fastrand::u64(10_u64.pow(count - 1)..10_u64.pow(count)).to_string();
    let hex = |bits: u32| format!("{:x}", fastrand::u64(..) >> (64 - bits));
    let phone = format!("1{}{}", fastrand::u8(3..=9), digits(9));
    leadgate::lead::SAMPLE
        .replace("371009", &(10_000_000 + record).to_string())
        .replace("13567658911", &phone)
        .replace("张三淘宝", &format!("tb{}", digits(9)))
        .replace("张三", &format!("张{}", hex(20)))
        .replace("\"11111\"", &format!("\"AAE{}{}\"", hex(60), hex(40)))
        .replace("\"100000\"", &format!("\"{}\"", digits(19)))
}

/// `count` whole HTTP requests, made and signed before any clock starts.
pub(crate) fn signed_pushes(count: usize) -> Vec<Vec<u8>> {
    let now = SystemClock.now();
    (0..count)
        .map(|record| {
            let body = lead(record);
            let push = tmall::signed_push(&PushParts {
                app_key: "23456789",
                secret: SECRET,
                method: None,
                now,
                body: body.as_bytes(),
            });
            let mut request = format!(
                "POST /tmall/leads?{} HTTP/1.1\r\nhost: bench\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n",
                push.query,
                push.content_type,
                push.body.len()
            )
            .into_bytes();
            request.extend_from_slice(&push.body);
            request
        })
        .collect()
}
