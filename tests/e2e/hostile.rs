//! Hostile and broken input: a clear answer to each, and the daemon goes on.

use leadgate_tests::{Crm, Daemon, REFUSED, SAMPLE, SUCCESS, Setup, Wire, post, until};
use serde_json::json;

/// Path with query, headers, body.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8]);

#[test]
fn what_is_not_authentic_is_refused_and_nothing_is_stored() {
    let daemon = Daemon::start(Setup::default());
    let json = [("content-type", "application/json")];
    let charset = [("content-type", "application/json;charset=klingon")];
    let multipart = [("content-type", "multipart/form-data; boundary=x")];
    let cases: [Case<'_>; 7] = [
        ("/tmall/leads?app_key=%&sign=A", &json, b"{}"),
        ("/tmall/leads?app_key=%4&sign=A", &json, b"{}"),
        (
            "/tmall/leads?sign=00000000000000000000000000000000",
            &json,
            SAMPLE.as_bytes(),
        ),
        ("/tmall/leads", &json, SAMPLE.as_bytes()),
        ("/tmall/leads?sign=A", &charset, b"{}"),
        ("/tmall/leads?sign=A", &multipart, b"--x--"),
        ("/tmall/leads?sign=A", &[], b"{}"),
    ];
    for (path, headers, body) in cases {
        let answer = post(daemon.public(), "POST", path, headers, body).expect(path);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, REFUSED),
            "{path}"
        );
    }
    assert_eq!(daemon.stat("/leads/refused"), 7);
    assert_eq!(
        daemon.stat("/leads/accepted") + daemon.stat("/leads/quarantined"),
        0
    );
}

#[test]
fn strange_leads_are_taken_as_they_are() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let push = |body: &[u8]| assert_eq!(daemon.shop().push(body).expect("answered").body, SUCCESS);
    // Ids beyond 2^53, numbers as strings and strings as numbers.
    push(br#"{"record_id":9007199254740993,"seller_id":"2912754296","store_id":"9007199254740995","phone":13567658911}"#);
    until("the first is delivered", || crm.taken() == 1);
    let lead = crm.received()[0].event()["lead"].clone();
    assert_eq!(lead["record_id"], 9_007_199_254_740_993_i64);
    assert_eq!(lead["seller_id"], 2_912_754_296_i64);
    assert_eq!(lead["store_id"], 9_007_199_254_740_995_i64);
    assert_eq!(lead["phone"], "13567658911");
    // No record id: the content is the identity.
    push(r#"{"phone":"13500000001","name":"李四"}"#.as_bytes());
    push(r#"{"phone":"13500000001","name":"李四"}"#.as_bytes());
    until("the second is delivered", || crm.taken() == 2);
    // Unknown fields are kept.
    push(br#"{"record_id":2,"new_field":{"deep":[1,2]},"another":"x"}"#);
    until("the third is delivered", || crm.taken() == 3);
    assert_eq!(
        crm.received()[2].event()["lead"]["other"],
        json!({"another": "x", "new_field": {"deep": [1, 2]}})
    );
    assert_eq!(
        (
            daemon.stat("/leads/accepted"),
            daemon.stat("/leads/duplicate")
        ),
        (3, 1)
    );
}

#[test]
fn each_field_may_be_missing() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let sample: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(SAMPLE).expect("JSON");
    for (number, missing) in sample.keys().enumerate() {
        let mut lead = sample.clone();
        lead.insert("record_id".to_owned(), json!(1000 + number));
        lead.remove(missing);
        let body = serde_json::Value::Object(lead).to_string();
        assert_eq!(
            daemon.shop().push(body).expect("answered").body,
            SUCCESS,
            "without {missing}"
        );
    }
    until("all are delivered", || {
        daemon.stat("/sinks/crm/delivered") == sample.len() as u64
    });
}

#[test]
fn bodies_that_are_no_leads_are_kept_for_a_person() {
    let daemon = Daemon::start(Setup::default());
    let deep = "[".repeat(100_000);
    let nested = format!(
        "{{\"phone\":{}{}}}",
        "{\"a\":".repeat(5_000),
        "1".to_owned() + &"}".repeat(5_000)
    );
    let bodies: [&[u8]; 5] = [
        b"\xff\xfe\x00garbage",
        deep.as_bytes(),
        nested.as_bytes(),
        b"",
        b"null",
    ];
    for body in bodies {
        assert_eq!(
            daemon.shop().push(body).map(|answer| answer.status).ok(),
            Some(200)
        );
    }
    assert_eq!(daemon.stat("/leads/accepted"), 0);
    assert_eq!(
        daemon.shop().push(SAMPLE).expect("answered").body,
        SUCCESS,
        "and the daemon goes on"
    );
}

#[test]
fn slow_headers_and_silent_connections_do_not_keep_others_out() {
    let daemon = Daemon::start(Setup {
        server: "header_timeout = \"1s\"\nbody_timeout = \"300ms\"\nmax_connections = 64\n"
            .to_owned(),
        ..Setup::default()
    });
    let mut slow: Vec<Wire> = Vec::new();
    for number in 0..60 {
        let mut wire = Wire::open(daemon.public()).expect("connects");
        if number % 2 == 0 {
            wire.send(b"POST /tmall/leads HTTP/1.1\r\nhost: t\r\nx-slow: ")
                .expect("sends");
        } else {
            wire.send(b"POST /tmall/leads HTTP/1.1\r\nhost: t\r\ncontent-length: 50\r\n\r\n{")
                .expect("sends");
        }
        slow.push(wire);
    }
    // More than the connections that are left: some wait until the slow ones are cut off.
    let pushers: Vec<_> = (1..=20)
        .map(|record| {
            let shop = daemon.shop();
            std::thread::spawn(move || {
                shop.push(leadgate_tests::Shop::lead(record))
                    .expect("answered")
                    .body
            })
        })
        .collect();
    for pusher in pushers {
        assert_eq!(pusher.join().expect("no panic"), SUCCESS);
    }
    assert_eq!(daemon.stat("/leads/accepted"), 20);
}
