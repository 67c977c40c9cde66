//! Reloads of a whole daemon: files in a temporary folder, pushes over HTTP, sinks that write
//! files.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::admin::Reloaded;
use crate::clock::SystemClock;
use crate::config::Environment;
use crate::lang::Lang;
use crate::lead::SAMPLE;
use crate::outbox::Filter;
use crate::source::tmall::{PushParts, signed_push};

/// A daemon with its configuration.
struct House {
    folder: TempDir,
    daemon: Daemon,
    client: reqwest::Client,
}

/// One sink that appends to a file of its name.
fn sink(name: &str, more: &str) -> String {
    format!(
        "[sinks.{name}]\nplugin = \"file\"\n{more}\n[sinks.{name}.settings]\npath = \"{name}.jsonl\"\n"
    )
}

/// A configuration with what differs from test to test.
fn text(server: &str, sinks: &[String]) -> String {
    let sinks = sinks.concat();
    format!(
        r#"[server]
listen = "127.0.0.1:0"
{server}
[admin]
listen = "127.0.0.1:0"
allow_without_token = true
[outbox]
path = "outbox"
min_free = "0B"
[sources.shop]
kind = "tmall"
path = "/tmall/leads"
app_secret = ["file:secret"]
{sinks}"#
    )
}

impl House {
    async fn start(sinks: &[String]) -> Self {
        Self::with("", sinks, &[]).await
    }

    /// With something in `[server]`, and these files beside the configuration.
    async fn with(server: &str, sinks: &[String], files: &[(&str, &str)]) -> Self {
        // A failed test says why by itself.
        leadgate_plugin::export::leave_panics_to_the_process();
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("writes");
        };
        write("secret", "old-secret-of-the-shop");
        write("leadgate.toml", &text(server, sinks));
        files.iter().for_each(|(name, text)| write(name, text));
        let file = folder.path().join("leadgate.toml");
        let mut plugins = Plugins::builtin().expect("they fit");
        let (config, report) = crate::config::load(&file, &Environment::process(), &mut plugins);
        let config = config.unwrap_or_else(|| panic!("{}", report.render(Lang::En, false)));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let daemon = Daemon::start(&config, &plugins, &clock, Sockets::default());
        let daemon = daemon.await.expect("it starts");
        // Only fails if another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build();
        Self {
            folder,
            daemon,
            client: client.expect("a client"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("writes");
    }

    async fn reload(&self) -> Result<Reloaded, NotReloaded> {
        (self.daemon.reloading())().await
    }

    /// Writes the configuration and reloads it.
    async fn load(&self, text: &str) -> Reloaded {
        self.write("leadgate.toml", text);
        match self.reload().await {
            Ok(reloaded) => reloaded,
            Err(NotReloaded::Failed(why)) => panic!("{why}"),
            Err(NotReloaded::Refused(report)) => panic!("{}", report.render(Lang::En, false)),
        }
    }

    /// Pushes a lead; whether it was taken.
    async fn push(&self, record: u64, secret: &str) -> bool {
        let body = SAMPLE.replace("371009", &record.to_string());
        let push = signed_push(&PushParts {
            app_key: "1",
            secret,
            method: None,
            now: SystemClock.now(),
            body: body.as_bytes(),
        });
        let url = format!(
            "http://{}/tmall/leads?{}",
            self.daemon.public_address(),
            push.query
        );
        let request = self.client.post(url).body(push.body);
        let request = request.header("content-type", push.content_type);
        let answer = request.send().await.expect("an answer").text().await;
        let answer: serde_json::Value = serde_json::from_str(&answer.expect("text")).expect("JSON");
        answer["result"]["success"] == true
    }

    /// Asks the operators' API.
    async fn ask(&self, path: &str, wish: serde_json::Value) -> (u16, serde_json::Value) {
        let url = format!("http://{}/api/v1{path}", self.daemon.admin_address());
        let answer = self.client.post(url).json(&wish).send().await;
        let answer = answer.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.expect("JSON"))
    }

    /// Where the one lead never went.
    async fn never(&self, lead: &str) -> serde_json::Value {
        let address = self.daemon.admin_address();
        let url = format!("http://{address}/api/v1/leads/{lead}");
        let answer = self.client.get(url).send().await.expect("an answer");
        let mut lead: serde_json::Value = answer.json().await.expect("JSON");
        lead["never"].take()
    }

    async fn give(&self, record: u64) {
        assert!(self.push(record, "old-secret-of-the-shop").await);
    }

    fn lines(&self, name: &str) -> usize {
        let text = std::fs::read_to_string(self.path(&format!("{name}.jsonl")));
        text.unwrap_or_default().lines().count()
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            let totals = self.daemon.outbox().totals();
            assert!(Instant::now() < deadline, "{what}: {totals:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn has(&self, name: &str, lines: usize) {
        let what = format!("{name} has {lines}");
        self.until(&what, || self.lines(name) == lines).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sinks_come_change_and_go_while_leads_come() {
    let [one, two] = ["one", "two"].map(|name| sink(name, ""));
    let house = House::start(std::slice::from_ref(&one)).await;
    house.give(1).await;
    house.has("one", 1).await;

    let reloaded = house.load(&text("", &[one.clone(), two.clone()])).await;
    assert_eq!(reloaded.applied, ["sinks.two"]);
    assert_eq!(reloaded.unchanged, ["sources.shop", "sinks.one"]);
    assert!(reloaded.needs_restart.is_empty());
    house.give(2).await;
    house.has("two", 1).await;
    house.has("one", 2).await;

    let rated = sink("two", "rate = \"500/s\"\nwhen = \"record_id > 3\"");
    let reloaded = house.load(&text("", &[one.clone(), rated])).await;
    assert_eq!(reloaded.applied, ["sinks.two.when", "sinks.two.rate"]);
    house.give(3).await;
    house.give(4).await;
    house.has("two", 2).await;
    house.has("one", 4).await;

    let reloaded = house.load(&text("", &[two])).await;
    assert_eq!(
        reloaded.applied,
        ["sinks.one", "sinks.two.when", "sinks.two.rate"]
    );
    house.give(5).await;
    house.has("two", 3).await;
    assert_eq!(house.lines("one"), 4, "it is gone");
    let reloaded = house.load(&text("", &[sink("two", "")])).await;
    assert!(reloaded.applied.is_empty());
    assert_eq!(reloaded.unchanged, ["sources.shop", "sinks.two"]);
    house.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lead_from_before_a_sink_says_so_and_a_replay_shows_what_it_would_be_sent() {
    let one = sink("one", "");
    let house = House::start(std::slice::from_ref(&one)).await;
    house.give(1).await;
    house.has("one", 1).await;
    house.load(&text("", &[one.clone(), sink("two", "")])).await;
    let wish = serde_json::json!({ "action": "replay", "to": "two" });
    let (status, plan) = house.ask("/bulk", wish).await;
    assert_eq!(status, 200, "{plan}");
    let sample = &plan["samples"][0];
    let now = sample["now"].as_str().expect("a line");
    assert!(now.contains("lead.created"), "{now}");
    assert!(
        !now.contains("13567658911") && !now.contains("张三"),
        "{now}"
    );
    assert_eq!(house.lines("two"), 0, "nothing was sent");
    let lead = sample["lead"].as_str().expect("an id");
    let never = house.never(lead).await;
    assert_eq!(never.as_array().map(Vec::len), Some(1), "{never}");
    assert_eq!(
        (&never[0]["sink"], &never[0]["why"]),
        (&"two".into(), &"configured_since".into())
    );
    let since = never[0]["since"].as_str().expect("a time");
    let rated = sink("two", "rate = \"500/s\"");
    house.load(&text("", &[one.clone(), rated])).await;
    assert_eq!(
        house.never(lead).await[0]["since"],
        since,
        "it wants the same leads"
    );
    let choosy = sink("two", "when = \"record_id > 3\"");
    house.load(&text("", &[one, choosy])).await;
    let never = house.never(lead).await;
    assert_eq!(never[0]["why"], "condition");
    assert_eq!(
        never[0]["when"]["values"],
        serde_json::json!({ "record_id": 1 })
    );
    house.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_errors_nothing_changes_and_they_are_those_of_check() {
    let house = House::start(&[sink("one", "")]).await;
    let wrong = sink("two", "rate = \"20/fortnight\"");
    let before = text("", &[sink("one", "")]);
    house.write("leadgate.toml", &text("", &[wrong]));
    let Err(NotReloaded::Refused(report)) = house.reload().await else {
        panic!("it was taken");
    };
    let shown = report.render(Lang::En, false);
    assert!(shown.contains("leadgate.toml"), "{shown}");
    assert!(shown.contains("20/fortnight"), "{shown}");
    let url = format!("http://{}/api/v1/reload", house.daemon.admin_address());
    let answer = house.client.post(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 422);
    let answer = answer.text().await.expect("text");
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["type"], "urn:leadgate:problem:bad-configuration");
    assert_eq!(answer["report"], shown);
    let problems = answer["problems"].as_array().expect("a list");
    let mut errors = problems.iter().filter(|one| one["severity"] == "error");
    let problem = errors.next().expect("one");
    assert_eq!(problem["path"], "sinks.two.rate");
    assert!(problem["line"].as_u64().is_some_and(|line| line > 1));
    house.give(1).await;
    house.has("one", 1).await;
    // What fails only when a sink is made.
    let folder = house.path("two.jsonl");
    std::fs::create_dir(folder).expect("made");
    house.write("leadgate.toml", &text("", &[sink("two", "")]));
    assert!(matches!(house.reload().await, Err(NotReloaded::Refused(_))));
    house.give(2).await;
    house.has("one", 2).await;
    assert!(house.load(&before).await.applied.is_empty());
    house.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_restart_is_said_each_time_and_the_rest_is_applied() {
    let house = House::start(&[sink("one", "")]).await;
    let other = text(
        "max_connections = 77\nfailure_status = 503",
        &[sink("one", "")],
    );
    let reloaded = house.load(&other).await;
    assert_eq!(reloaded.applied, ["server.failure_status"]);
    assert_eq!(
        reloaded.needs_restart,
        [
            "server.max_connections",
            "server.max_connections_per_address"
        ]
    );
    let reloaded = house.load(&other).await;
    assert!(reloaded.applied.is_empty());
    assert_eq!(reloaded.needs_restart.len(), 2, "still");
    // The address where the API was thought to be without a token is not where it is.
    let token = "token = \"a-token-of-some-length-1234567890\"";
    let moved = other.replace("allow_without_token = true", token);
    let moved = moved.replace(
        "[admin]\nlisten = \"127.0.0.1:0\"",
        "[admin]\nlisten = \"127.0.0.2:0\"",
    );
    let reloaded = house.load(&moved).await;
    assert!(reloaded.needs_restart.contains(&"admin.token".to_owned()));
    assert!(reloaded.applied.is_empty(), "{:?}", reloaded.applied);
    house.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_read_again() {
    let house = House::start(&[sink("one", "")]).await;
    house.give(1).await;
    house.write("secret", "new-secret-of-the-shop");
    let reloaded = house.reload().await.ok().expect("it is taken");
    assert_eq!(reloaded.applied, ["sources.shop"]);
    assert!(!house.push(2, "old-secret-of-the-shop").await);
    assert!(house.push(2, "new-secret-of-the-shop").await);
    house.has("one", 2).await;
    house.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_sink_is_taken_away_goes_on_when_it_is_there_again() {
    const LEADS: u64 = 30;
    // What comes to it comes by the job.
    let [one, two] = [sink("one", ""), sink("two", "when = \"record_id < 0\"")];
    let both = text("", &[one.clone(), two]);
    let house = House::start(std::slice::from_ref(&one)).await;
    for record in 1..=LEADS {
        house.give(record).await;
    }
    house.load(&both).await;
    let wish =
        serde_json::json!({ "action": "replay", "to": "two", "rate": 10, "regardless": true });
    let (status, job) = house.ask("/bulk", wish).await;
    assert_eq!(status, 200, "{job}");
    let id = job["id"].as_str().expect("an id").to_owned();
    let start = format!("/bulk/{id}/start");
    assert_eq!(house.ask(&start, serde_json::json!({})).await.0, 200);
    let id = crate::outbox::JobId(id.parse().expect("an id"));
    let job = || house.daemon.outbox().job(id).expect("it is kept");
    house.until("it has begun", || job().done > 0).await;
    house.load(&text("", &[one])).await;
    let is_cancelled = || matches!(job().state, crate::outbox::JobState::Cancelled { .. });
    house.until("it is cancelled", is_cancelled).await;
    assert!((1..LEADS).contains(&job().done), "{:?}", job());
    assert_eq!(job().seen(), job().done, "nothing was passed over");
    let (status, refused) = house.ask(&start, serde_json::json!({})).await;
    assert_eq!(status, 409, "{refused}");
    house.load(&both).await;
    assert_eq!(house.ask(&start, serde_json::json!({})).await.0, 200);
    house.until("it has all", || job().done == LEADS).await;
    let count = usize::try_from(LEADS).expect("small");
    house.has("two", count).await;
    assert_eq!(house.lines("one"), count);
    house.daemon.stop().await;
}

/// A certificate that vouches for itself, and its key.
fn certificate() -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let wanted = rcgen::CertificateParams::new(vec!["leads.shop.cn".to_owned()]);
    let certificate = wanted.and_then(|wanted| wanted.self_signed(&key));
    (
        certificate.expect("signs itself").pem(),
        key.serialize_pem(),
    )
}

/// Whether the public listener shows this certificate.
async fn shows(house: &House, certificate: &str) -> bool {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let der = rustls::pki_types::CertificateDer::from_pem_slice(certificate.as_bytes());
    roots.add(der.expect("PEM")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = tokio::net::TcpStream::connect(house.daemon.public_address()).await;
    let name = rustls::pki_types::ServerName::try_from("leads.shop.cn").expect("a name");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let greeted = connector.connect(name, socket.expect("connects")).await;
    greeted.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_shown_after_a_reload() {
    let server = "tls = { cert = \"cert.pem\", key = \"key.pem\" }";
    let sinks = [sink("one", "")];
    let ((first, first_key), (second, second_key)) = (certificate(), certificate());
    let files = [("cert.pem", &*first), ("key.pem", &*first_key)];
    let house = House::with(server, &sinks, &files).await;
    assert!(shows(&house, &first).await);
    // The new certificate is there, its key not yet.
    house.write("cert.pem", &second);
    assert!(matches!(house.reload().await, Err(NotReloaded::Refused(_))));
    assert!(shows(&house, &first).await, "what ran goes on");
    house.write("key.pem", &second_key);
    let reloaded = house.load(&text(server, &sinks)).await;
    assert_eq!(reloaded.applied, ["server.tls"]);
    assert!(shows(&house, &second).await);
    assert!(!shows(&house, &first).await);
    let reloaded = house.load(&text(server, &sinks)).await;
    assert!(reloaded.applied.is_empty(), "the files are as they were");
    // Each time: what runs speaks TLS still.
    for _ in 0..2 {
        let reloaded = house.load(&text("", &sinks)).await;
        assert!(reloaded.applied.is_empty());
        assert_eq!(reloaded.needs_restart, ["server.tls"]);
        assert!(shows(&house, &second).await);
    }
    house.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_and_reloads_nothing_is_refused_lost_or_sent_twice() {
    const LEADS: u64 = 400;
    let house = Arc::new(House::start(&[sink("always", "")]).await);
    let pushing = {
        let house = Arc::clone(&house);
        tokio::spawn(async move {
            for record in 1..=LEADS {
                house.give(record).await;
            }
        })
    };
    let mut round = 0;
    while !pushing.is_finished() || round < 20 {
        round += 1;
        let rate = format!("concurrency = {}", 1 + round % 4);
        let mut sinks = vec![sink("always", &rate)];
        if round % 2 == 0 {
            sinks.push(sink("sometimes", ""));
        }
        if round % 5 == 0 {
            house.write("leadgate.toml", "[sinks.broken");
            assert!(house.reload().await.is_err());
        } else if round % 7 == 0 {
            // Two at once: one waits for the other.
            house.write("leadgate.toml", &text("", &sinks));
            let (one, two) = tokio::join!(house.reload(), house.reload());
            assert!(one.is_ok() && two.is_ok());
        } else {
            house.load(&text("", &sinks)).await;
        }
    }
    pushing.await.expect("all were taken");
    let count = usize::try_from(LEADS).expect("small");
    house.has("always", count).await;
    house
        .load(&text("", &[sink("always", ""), sink("sometimes", "")]))
        .await;
    let settled = || house.daemon.outbox().totals().sinks["sometimes"].waiting == 0;
    house.until("what was orphaned is delivered", settled).await;
    let totals = house.daemon.outbox().totals();
    assert_eq!(totals.leads, LEADS);
    let sometimes = totals.sinks["sometimes"].delivered;
    house
        .has("sometimes", usize::try_from(sometimes).expect("small"))
        .await;
    for name in ["always", "sometimes"] {
        let lines = std::fs::read_to_string(house.path(&format!("{name}.jsonl")));
        let lines = lines.expect("there");
        let ids = lines.lines().map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            event["lead"]["record_id"].to_string()
        });
        let mut ids: Vec<_> = ids.collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{name} has one twice");
    }
    let house = Arc::into_inner(house).expect("nobody else has it");
    house.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_was_changed_in_its_place_is_started_anew() {
    use std::os::unix::fs::PermissionsExt;
    let erp = "[sinks.erp]\nplugin = \"exec\"\n[sinks.erp.settings]\ncommand = [\"./erp\"]\n";
    let sinks = [sink("one", ""), erp.to_owned()];
    let house = House::start(&[sink("one", "")]).await;
    let program = |text: &str| {
        house.write("erp", text);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(house.path("erp"), mode).expect("set");
    };
    program("#!/bin/sh\ncat > /dev/null\n");
    assert_eq!(house.load(&text("", &sinks)).await.applied, ["sinks.erp"]);
    house.give(1).await;
    house.has("one", 1).await;
    let reloaded = house.load(&text("", &sinks)).await;
    assert!(reloaded.applied.is_empty(), "{:?}", reloaded.applied);
    program("#!/bin/sh\n# mended\ncat > /dev/null\n");
    let before = house.daemon.made("erp").await;
    let reloaded = house.load(&text("", &sinks)).await;
    assert_eq!(reloaded.applied, ["sinks.erp.settings.command.0"]);
    // What the sink itself writes is none of that.
    assert_eq!(reloaded.unchanged, ["sources.shop", "sinks.one"]);
    assert!(!Arc::ptr_eq(&before, &house.daemon.made("erp").await));
    house.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_and_what_must_be_free_change_without_a_restart() {
    let house = House::start(&[sink("one", "")]).await;
    house.give(1).await;
    house.has("one", 1).await;
    let outbox = |keys: &str| {
        let all = text("", &[sink("one", "")]);
        all.replace("min_free = \"0B\"", keys)
    };
    let reloaded = house.load(&outbox("min_free = \"1000000GiB\"")).await;
    assert_eq!(reloaded.applied, ["outbox.min_free"]);
    assert!(!house.push(2, "old-secret-of-the-shop").await, "no room");
    let keys = "min_free = \"0B\"\nretention = \"2h\"\nretention_dead = \"3h\"";
    let reloaded = house.load(&outbox(keys)).await;
    assert_eq!(
        reloaded.applied,
        [
            "outbox.retention",
            "outbox.retention_dead",
            "outbox.min_free"
        ]
    );
    assert!(reloaded.needs_restart.is_empty());
    assert!(house.push(2, "old-secret-of-the-shop").await);
    let kept = house.daemon.behind.reloader.retention.borrow().leads;
    assert_eq!((kept.done_ms, kept.dead_ms), (7_200_000, 10_800_000));
    assert!(house.load(&outbox(keys)).await.applied.is_empty());
    house.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_orphaned_is_told_by_the_reload_and_counted() {
    let paused = house_with_one_paused().await;
    paused.give(1).await;
    paused.give(2).await;
    let reloaded = paused.load(&text("", &[sink("two", "")])).await;
    let [orphaned] = &reloaded.orphaned[..] else {
        panic!("{:?}", reloaded.orphaned);
    };
    assert_eq!(
        (&*orphaned.sink, orphaned.waiting, orphaned.dead),
        ("one", 2, 0)
    );
    let stats = paused.tells("stats").await;
    assert_eq!(stats["orphaned"], 2);
    assert_eq!(stats["sinks"]["one"]["orphaned"], true);
    let metrics = paused.metrics().await;
    assert!(
        metrics.contains("leadgate_sink_paused{sink=\"one\"} 1"),
        "{metrics}"
    );
    let reloaded = paused.load(&text("", &[sink("one", "")])).await;
    assert!(reloaded.orphaned.is_empty());
    assert_eq!(paused.tells("stats").await["orphaned"], 0);

    // Once nothing is left of it, nothing is measured of how it is.
    paused.load(&text("", &[sink("two", "")])).await;
    paused.metrics().await;
    let wish = serde_json::json!({ "action": "move", "sink": "one", "to": "two" });
    let (status, job) = paused.ask("/bulk", wish).await;
    assert_eq!(status, 200, "{job}");
    let start = format!("/bulk/{}/start", job["id"].as_str().expect("an id"));
    assert_eq!(paused.ask(&start, serde_json::json!({})).await.0, 200);
    paused.has("two", 2).await;
    let metrics = paused.metrics().await;
    for family in [
        "sink_paused",
        "sink_held",
        "sink_held_until_timestamp_seconds",
    ] {
        let of_it = |line: &&str| line.contains("sink=\"one\"") && line.contains(family);
        assert_eq!(metrics.lines().find(of_it), None);
    }
    paused.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_a_secret_from_now_on_is_hidden_by_a_sink_made_anew() {
    let url = "http://127.0.0.1:9/leads?k=abcdef123456";
    let http = |url: &str| {
        format!("[sinks.crm]\nplugin = \"http\"\n[sinks.crm.settings]\nurl = \"{url}\"\n")
    };
    let house = House::start(&[http(url)]).await;
    house.write("url", url);
    let before = house.daemon.made("crm").await;
    let reloaded = house.load(&text("", &[http("file:url")])).await;
    assert_eq!(reloaded.applied, ["sinks.crm.settings"]);
    assert!(!Arc::ptr_eq(&before, &house.daemon.made("crm").await));
    let reloaded = house.load(&text("", &[http("file:url")])).await;
    assert!(reloaded.applied.is_empty(), "{:?}", reloaded.applied);
    house.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_revision_that_runs_is_shown_and_whether_the_files_are_another() {
    let house = House::start(&[sink("one", "")]).await;
    let system = house.tells("system").await;
    let first = system["revision"].as_str().expect("a revision").to_owned();
    assert_eq!(system["files"], "same");
    assert_eq!(system["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        system["outbox"]["path"],
        house.path("outbox").display().to_string()
    );
    assert!(system["uptime_seconds"].is_u64());
    house.give(1).await;
    house.has("one", 1).await;
    house.write(
        "leadgate.toml",
        &text("", &[sink("one", "rate = \"500/s\"")]),
    );
    assert_eq!(house.tells("system").await["files"], "changed");
    let reloaded = house.reload().await.ok().expect("it is taken");
    let second = reloaded.revision.expect("a revision").hash;
    assert_ne!(second, first);
    for (path, at) in [("system", ""), ("stats", "/config"), ("sinks", "/config")] {
        let answer = house.tells(path).await;
        let config = answer.pointer(at).expect("there");
        assert_eq!(config["revision"], second, "{path}");
        assert!(config["loaded_at"].is_string(), "{path}");
    }
    house.give(2).await;
    let settled = || house.daemon.outbox().totals().sinks["one"].delivered == 2;
    house.until("both are delivered", settled).await;
    let page = house
        .daemon
        .outbox()
        .deliveries(&Filter::default(), None, 10);
    let all = page.expect("reads").items;
    let revisions = all.iter().flat_map(|one| &one.delivery.history);
    let mut revisions: Vec<_> = revisions.map(|one| one.config_revision.clone()).collect();
    revisions.sort_by_key(|one| *one == second);
    assert_eq!(revisions, [first, second]);
    house.daemon.stop().await;
}

/// With a sink that is paused.
async fn house_with_one_paused() -> House {
    let house = House::start(&[sink("one", "")]).await;
    let pause = crate::outbox::PauseCause::Person(String::new());
    let paused = house.daemon.outbox().pause("one", Some(pause));
    paused.await.expect("paused");
    house
}

impl House {
    /// What is measured.
    async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.daemon.admin_address());
        let answer = self.client.get(url).send().await.expect("an answer");
        answer.text().await.expect("text")
    }

    /// What the operators' API says at a path.
    async fn tells(&self, path: &str) -> serde_json::Value {
        let url = format!("http://{}/api/v1/{path}", self.daemon.admin_address());
        let answer = self.client.get(url).send().await.expect("an answer");
        let answer = answer.text().await.expect("text");
        serde_json::from_str(&answer).expect("JSON")
    }
}

impl Daemon {
    /// What takes the attempts of a sink.
    async fn made(&self, sink: &str) -> Arc<dyn crate::delivery::Destination> {
        let running = self.behind.reloader.running.lock().await;
        Arc::clone(&running.made[sink].destination)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_socket_the_first_token_is_made_and_after_a_stop_it_is_gone() {
    let shut = text("", &[]).replace("allow_without_token = true", "");
    let house = House::with("", &[], &[("leadgate.toml", &shut)]).await;
    let socket = house.path("outbox/admin.sock");
    let local = reqwest::Client::builder().no_proxy();
    let local = local
        .unix_socket(socket.as_path())
        .build()
        .expect("a client");
    let over = format!("http://{}/api/v1", house.daemon.admin_address());
    let ask = async |client: &reqwest::Client, url: String, token: &str| {
        let request = client.get(url).bearer_auth(token);
        request.send().await.expect("an answer").status().as_u16()
    };
    let refused = house.client.get(format!("{over}/stats")).send().await;
    assert_eq!(
        refused.expect("an answer").status(),
        403,
        "nobody has a token"
    );
    let wish = serde_json::json!({ "name": "wang", "role": "viewer" });
    let made = local.post("http://localhost/api/v1/tokens").json(&wish);
    let made = made.send().await.expect("an answer");
    assert_eq!(made.status(), 200);
    let made: serde_json::Value = made.json().await.expect("JSON");
    let token = made["token"].as_str().expect("a token");
    let list = local.get("http://localhost/api/v1/tokens").send().await;
    let list: serde_json::Value = list.expect("an answer").json().await.expect("JSON");
    let us = rustix::process::geteuid().as_raw();
    assert_eq!(list["items"][0]["by"], format!("uid:{us}"), "{list}");
    for (path, status) in [("/stats", 200), ("/tokens", 403)] {
        assert_eq!(
            ask(&house.client, format!("{over}{path}"), token).await,
            status
        );
    }
    assert_eq!(
        ask(&house.client, format!("{over}/stats"), "lg_x").await,
        401
    );
    // The outbox's folder is the socket's too, and nothing of it is in the way of the store.
    let House { folder, daemon, .. } = house;
    daemon.stop().await;
    assert!(!socket.exists());
    drop(folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_cannot_be_where_it_was_wanted_is_said_and_one_nobody_wanted_is_not_missed() {
    let long = "x".repeat(120);
    let unwanted = text("", &[]).replace("path = \"outbox\"", &format!("path = \"{long}\""));
    let house = House::with("", &[], &[("leadgate.toml", &unwanted)]).await;
    house.daemon.stop().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("leadgate.toml");
    let wanted = text("", &[]).replace(
        "allow_without_token = true",
        "allow_without_token = true\nsocket = \"nowhere/admin.sock\"",
    );
    std::fs::write(&file, wanted).expect("writes");
    std::fs::write(folder.path().join("secret"), "old-secret-of-the-shop").expect("writes");
    let mut plugins = Plugins::builtin().expect("they fit");
    let (config, _) = crate::config::load(&file, &Environment::process(), &mut plugins);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = config.expect("it is good");
    let started = Daemon::start(&config, &plugins, &clock, Sockets::default()).await;
    let Err(error @ StartError::Socket { .. }) = started else {
        panic!("it started");
    };
    assert!(error.to_string().contains("nowhere/admin.sock"), "{error}");
}
