//! `check --connect`, and what sinks keep from one run to the next.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use leadgate_tests::{Crm, Daemon, Setup, free_port, output, until};
use serde_json::Value;

/// A token endpoint whose refresh token is good once: it wants the one it gave last.
struct Rotating {
    port: u16,
    good: Arc<Mutex<String>>,
    refused: Arc<Mutex<u32>>,
}

impl Rotating {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("bound").port();
        let good = Arc::new(Mutex::new("configured-refresh".to_owned()));
        let refused = Arc::new(Mutex::new(0));
        let (wanted, count) = (Arc::clone(&good), Arc::clone(&refused));
        std::thread::spawn(move || {
            let mut number = 0;
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut text = String::new();
                let mut bytes = [0; 4096];
                while !text.contains("refresh_token=") {
                    match stream.read(&mut bytes) {
                        Ok(0) | Err(_) => break,
                        Ok(some) => text += &String::from_utf8_lossy(&bytes[..some]),
                    }
                }
                let mut wanted = wanted.lock().expect("no panics");
                let fits = text.ends_with(&format!("refresh_token={wanted}"));
                let (status, body) = if fits {
                    number += 1;
                    *wanted = format!("rotated-{number}");
                    let token = format!(
                        r#"{{"access_token":"access-{number}","expires_in":3600,"refresh_token":"{wanted}"}}"#
                    );
                    (200, token)
                } else {
                    *count.lock().expect("no panics") += 1;
                    (400, r#"{"error":"invalid_grant"}"#.to_owned())
                };
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        Self {
            port,
            good,
            refused,
        }
    }

    fn sink(&self, crm: &Crm, refresh: &str) -> String {
        format!(
            "[sinks.crm]\nplugin = \"http\"\ntimeout = \"5s\"\n\
             retry = {{ first = \"20ms\", max = \"100ms\", max_attempts = 100000, max_age = \"1h\" }}\n\
             breaker = {{ failures = 0 }}\n[sinks.crm.settings]\nurl = \"{}\"\n\
             [sinks.crm.settings.auth]\nkind = \"oauth2_refresh_token\"\n\
             token_url = \"http://127.0.0.1:{}/token\"\nclient_id = \"me\"\nclient_secret = \"client-secret\"\nclient_basic = true\n\
             refresh_token = \"{refresh}\"\n",
            crm.url(),
            self.port
        )
    }
}

#[test]
fn a_rotated_refresh_token_outlives_restarts_until_another_is_configured() {
    let (crm, tokens) = (Crm::start(), Rotating::start());
    let mut daemon = Daemon::start(Setup {
        outbox: format!("key = \"{}\"\n", "ab".repeat(32)),
        rest: tokens.sink(&crm, "configured-refresh"),
        ..Setup::default()
    });
    let mut record = 0;
    for round in 1..=3 {
        record += 1;
        daemon.shop().give(record..=record);
        until("delivered with a token", || {
            daemon.stat("/sinks/crm/delivered") == record
        });
        assert_eq!(
            *tokens.refused.lock().expect("no panics"),
            0,
            "round {round}"
        );
        if round == 2 {
            daemon.kill();
        } else {
            assert_eq!(daemon.terminate(), Some(0));
        }
        daemon.restart();
    }
    let log = daemon.log();
    assert!(log.contains("it is kept in the outbox"), "{log}");
    for secret in ["rotated-", "configured-refresh", "client-secret", "access-"] {
        assert!(!log.contains(secret), "{secret} in the log: {log}");
    }
    let journal = std::fs::read_dir(daemon.folder().join("store/journal")).expect("reads");
    let shows = journal.flatten().any(|entry| {
        let bytes = std::fs::read(entry.path()).expect("reads");
        bytes.windows(8).any(|bytes| bytes == b"rotated-")
    });
    assert!(!shows, "the kept token is sealed");

    // A new authorisation: the kept one is not used any more.
    assert_eq!(daemon.terminate(), Some(0));
    let file = daemon.folder().join("leadgate.toml");
    let text = std::fs::read_to_string(&file).expect("reads");
    std::fs::write(&file, text.replace("configured-refresh", "second-refresh")).expect("writes");
    *tokens.good.lock().expect("no panics") = "second-refresh".to_owned();
    daemon.restart();
    record += 1;
    daemon.shop().give(record..=record);
    until("delivered with the new one", || {
        daemon.stat("/sinks/crm/delivered") == record
    });
    assert_eq!(*tokens.refused.lock().expect("no panics"), 0);
}

pub(super) fn check(folder: &std::path::Path, sinks: &str, more: &[&str]) -> (Option<i32>, String) {
    let config = folder.join("leadgate.toml");
    let text = format!(
        "[outbox]\npath = \"store\"\n[sources.s]\nkind = \"tmall\"\npath = \"/x\"\napp_secret = \"e2e-app-secret\"\n{sinks}"
    );
    std::fs::write(&config, text).expect("writes");
    let mut args = vec![
        "check",
        "--connect",
        "--config",
        config.to_str().expect("text"),
    ];
    args.extend(more);
    let output = output(&args, &[]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), said)
}

#[test]
fn check_connects_to_every_sink_without_a_lead_and_fails_if_one_does() {
    let crm = Crm::start();
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.jsonl");
    let file = format!(
        "[sinks.disk]\nplugin = \"file\"\n[sinks.disk.settings]\npath = \"{}\"\n",
        out.display()
    );
    let good = Setup::http_sink("crm", &crm.url()) + &file;
    let (code, said) = check(folder.path(), &good, &[]);
    assert_eq!(code, Some(0), "{said}");
    for line in ["crm: dns ok (", "crm: tcp ok (", "disk: folder ok ("] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(crm.received().is_empty(), "nothing was sent");
    assert!(!out.exists(), "nothing was made");

    let dead = Setup::http_sink("dead", &format!("http://127.0.0.1:{}/", free_port()));
    let mail = format!(
        "[sinks.mail]\nplugin = \"email\"\n[sinks.mail.settings]\nhost = \"127.0.0.1\"\nport = {}\n\
         tls = \"none\"\nfrom = \"a@shop.test\"\nto = [\"b@shop.test\"]\n",
        free_port()
    );
    let (code, said) = check(folder.path(), &(good + &dead + &mail), &["--json"]);
    assert_eq!(code, Some(1), "{said}");
    let said: Value = serde_json::from_str(&said).expect("JSON alone on stdout");
    let result = |name: &str| {
        let all = said["connect"].as_array().expect("a list").iter();
        let one = all.clone().find(|one| one["sink"] == name);
        one.expect("each sink").clone()
    };
    assert_eq!(result("crm")["result"], "ok");
    assert_eq!(result("disk")["result"], "ok");
    for name in ["dead", "mail"] {
        let failed = result(name);
        assert_eq!(failed["result"], "failed", "{failed}");
        let steps = failed["steps"].as_array().expect("a list");
        let last = steps.last().expect("a step");
        assert_eq!((&last["step"], &last["ok"]), (&"tcp".into(), &false.into()));
        assert!(last["milliseconds"].is_u64());
        assert!(last["note"].as_str().expect("why").contains("127.0.0.1"));
    }
}
