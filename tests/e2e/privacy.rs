//! Privacy: no log line and no metric ever shows a person or a secret.

use leadgate_tests::{Behaviour, Crm, Daemon, SAMPLE, SUCCESS, Setup, library, until};

#[test]
fn nothing_personal_and_no_secret_is_ever_logged_or_measured() {
    let crm = Crm::start();
    let bad = format!(
        "[plugins.panicking]\npath = \"{}\"\n[sinks.bad]\nplugin = \"panicking\"\n\
         retry = {{ first = \"10ms\", max = \"10ms\", max_attempts = 2, max_age = \"1h\" }}\n",
        library().display()
    );
    let mut daemon = Daemon::start(Setup {
        level: "trace",
        rest: Setup::http_sink("crm", &crm.url()) + &bad,
        ..Setup::default()
    });
    crm.behave(Behaviour::Refuse(500, ""));
    assert_eq!(daemon.shop().push(SAMPLE).expect("answered").body, SUCCESS);
    // Unreadable, stale, and unauthentic pushes carry people, too.
    daemon
        .shop()
        .push(&SAMPLE[..SAMPLE.len() - 1])
        .expect("answered");
    let stale = daemon
        .shop()
        .request_at(SAMPLE.as_bytes(), "2020-01-01 00:00:00".to_owned());
    daemon.shop().send(&stale).expect("answered");
    let forged = leadgate_tests::Shop::new(daemon.public(), "/tmall/leads", "forged");
    forged.push(SAMPLE).expect("answered");
    until("some attempts have failed", || crm.received().len() >= 3);
    crm.behave(Behaviour::Refuse(400, ""));
    until("both sinks have given up", || {
        daemon.stat("/sinks/crm/dead") == 1 && daemon.stat("/sinks/bad/dead") == 1
    });
    let metrics = daemon.admin("/metrics").body;
    let stats = daemon.admin("/api/v1/stats").body;
    daemon.terminate();
    let log = daemon.log();
    assert!(log.contains("became dead letters"), "the log is there");
    for (name, text) in [("log", &log), ("metrics", &metrics), ("stats", &stats)] {
        for personal in [
            "13567658911",
            "张三",
            "仓前街道",
            "浙江杭州",
            "店小二",
            "43534cf9d5154543",
        ] {
            assert!(!text.contains(personal), "{name} shows {personal}");
        }
        for secret in [
            "e2e-app-secret",
            "e2e-admin-token",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            assert!(!text.contains(secret), "{name} shows a secret");
        }
    }
}
