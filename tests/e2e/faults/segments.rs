//! Segments: long pushes fill one of the journal's within seconds.

use leadgate_tests::{Daemon, SUCCESS, Setup};
use serde_json::json;

/// A setup with room for long pushes, in quarantine too.
pub(super) fn roomy(setup: Setup) -> Setup {
    Setup {
        server: "max_body = \"8MiB\"\n".to_owned(),
        source: "kind = \"tmall\"\npath = \"/tmall/leads\"\napp_secret = [\"e2e-app-secret\"]\n\
                 quarantine = { max_bytes = \"1GiB\" }\n"
            .to_owned(),
        ..setup
    }
}

/// Puts pushes of 4 MiB into quarantine, because their time is long over, until the first segment
/// is full; `between` them pushes others. Gives how many.
pub(super) fn fill_one(daemon: &Daemon, between: impl FnMut()) -> usize {
    let second = daemon.folder().join("store/journal/00000002.seg");
    fill_until(daemon, || second.exists(), between)
}

/// The same, until somebody sees that it is.
pub(super) fn fill_until(
    daemon: &Daemon,
    full: impl Fn() -> bool,
    mut between: impl FnMut(),
) -> usize {
    const LONG: usize = 4 << 20;
    let mut count = 0;
    while !full() {
        let text = format!("{count:03} ").repeat(LONG / 4);
        let body = format!("{{\"record_id\":{count},\"remark\":\"{text}\"}}");
        let shop = daemon.shop();
        let request = shop.request_at(body.as_bytes(), "2020-01-01 00:00:00".to_owned());
        assert_eq!(shop.send(&request).expect("answered").body, SUCCESS);
        count += 1;
        (0..4).for_each(|_| between());
    }
    count
}

/// Discards so many of the pushes in quarantine; `each` is told before and after.
pub(super) fn discard(daemon: &Daemon, count: usize, mut each: impl FnMut()) {
    let list = daemon.admin("/api/v1/quarantine?limit=100").json();
    let items = list["items"].as_array().expect("a list");
    assert!(items.len() >= count, "{list}");
    for one in &items[..count] {
        let id = one["id"].as_str().expect("an id");
        each();
        let answer = daemon.post(&format!("/quarantine/{id}/discard"), &json!({}));
        assert_eq!(answer.status, 200, "{}", answer.body);
        each();
    }
}
