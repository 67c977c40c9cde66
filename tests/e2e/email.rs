//! Mail: what a real mail server understands of it.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use leadgate_tests::{Authority, Daemon, Postfix, SAMPLE, SUCCESS, Setup, here, until};
use serde_json::{Value, json};

/// The mail server; it ends with its standard input.
struct Mailbox {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Mailbox {
    fn start() -> (Self, String) {
        let mut process = Command::new(here(".counterparts/venv/bin/python"))
            .arg(here("counterparts/mailbox.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/run has installed aiosmtpd");
        let stdout = process.stdout.take().expect("piped");
        let mut lines = BufReader::new(stdout).lines();
        let port = lines.next().expect("a port").expect("reads");
        (Self { process, lines }, port)
    }

    /// The next message that it has printed.
    fn message(&mut self) -> Value {
        let line = self.lines.next().expect("a message").expect("reads");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "needs the PyPI library aiosmtpd; run tests/run"]
fn a_mail_server_gets_the_lead_in_chinese() {
    let (mut mailbox, port) = Mailbox::start();
    let sink = format!(
        "[sinks.mail]\nplugin = \"email\"\ntimeout = \"5s\"\n[sinks.mail.settings]\n\
         host = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
         from = \"天猫客资 <leads@shop.example>\"\nto = [\"销售 <sales@x.example>\"]\n\
         bcc = [\"{{{{ store_id | lookup('mailbox') }}}}\"]\nhtml = \"<b>{{{{ name }}}}</b>\"\n\
         [tables.mailbox]\n437763404 = \"boss@x.example\"\n"
    );
    let daemon = Daemon::start(Setup {
        rest: sink,
        ..Setup::default()
    });
    assert_eq!(daemon.shop().push(SAMPLE).expect("answered").body, SUCCESS);
    until("the mail is delivered", || {
        daemon.stat("/sinks/mail/delivered") == 1
    });
    let message = mailbox.message();
    assert_eq!(message["defects"], json!([]));
    assert_eq!(message["from"], "leads@shop.example");
    assert_eq!(
        message["recipients"],
        json!(["sales@x.example", "boss@x.example"])
    );
    let headers = &message["headers"];
    assert_eq!(headers["subject"], "新客资：张三（杭州）");
    assert_eq!(headers["from"], "天猫客资 <leads@shop.example>");
    assert_eq!(headers["to"], "销售 <sales@x.example>");
    assert!(headers["bcc"].is_null(), "{headers}");
    let id = headers["message-id"].as_str().expect("an id");
    assert!(id.ends_with("@shop.example>"), "{id}");
    let text = message["plain"].as_str().expect("a text");
    assert!(text.contains("姓名：张三\n电话：13567658911\n"), "{text}");
    assert_eq!(message["html"], "<b>张三</b>");
}

/// A daemon with one sink that mails to `to` through `server`, and the sample lead for it.
/// `ca` is in the daemon's folder as `ca.pem`.
fn mailing(server: &str, ca: &str, to: &str) -> Daemon {
    let sink = format!(
        "[sinks.mail]\nplugin = \"email\"\ntimeout = \"20s\"\n[sinks.mail.settings]\n\
         {server}\nfrom = \"天猫客资 <leads@shop.example>\"\nto = [\"{to}\"]\n\
         subject = \"新客资：{{{{ name }}}}，请在今天内联系（{{{{ city_name }}}}）\"\n\
         text = \"姓名：{{{{ name }}}}\\n地址：{{{{ address }}}}\\n备注：尽快回电 📞\\n\"\n\
         html = \"<p>{{{{ name }}}}，{{{{ city_name }}}}</p>\"\n"
    );
    let setup = Setup {
        rest: sink,
        ..Setup::default()
    };
    let daemon = Daemon::start_on(setup, |folder| {
        std::fs::write(folder.join("ca.pem"), ca).expect("writes");
    });
    assert_eq!(daemon.shop().push(SAMPLE).expect("answered").body, SUCCESS);
    daemon
}

/// How to reach a server that takes mail in the open.
fn open(postfix: &Postfix) -> String {
    format!(
        "host = \"127.0.0.1\"\nport = {}\ntls = \"none\"",
        postfix.port
    )
}

/// The one delivery, once it has ended in `state`.
fn ended(daemon: &Daemon, state: &str) -> Value {
    until("the delivery has ended", || {
        daemon.stat(&format!("/sinks/mail/{state}")) == 1
    });
    the_delivery(daemon)
}

fn the_delivery(daemon: &Daemon) -> Value {
    let list = daemon.admin("/api/v1/deliveries?sink=mail").json();
    let id = list["items"][0]["id"].as_str().expect("an id");
    daemon.admin(&format!("/api/v1/deliveries/{id}")).json()
}

#[test]
#[ignore = "needs Debian's postfix; run tests/run"]
fn postfix_puts_the_lead_whole_into_the_mailbox() {
    let postfix = Postfix::start(&["sales"]);
    let daemon = mailing(&open(&postfix), "", "销售 <sales@x.example>");
    let delivery = ended(&daemon, "delivered");
    let message = postfix.message("sales");
    let id = delivery["id"].as_str().expect("an id");
    assert_eq!(message["defects"], json!([]));
    assert_eq!(message["kind"], "multipart/alternative");
    let headers = &message["headers"];
    assert_eq!(headers["subject"], "新客资：张三，请在今天内联系（杭州）");
    assert_eq!(headers["from"], "天猫客资 <leads@shop.example>");
    assert_eq!(headers["to"], "销售 <sales@x.example>");
    assert_eq!(headers["delivered-to"], "sales@x.example");
    assert_eq!(headers["message-id"], format!("<{id}@shop.example>"));
    assert_eq!(
        message["plain"],
        "姓名：张三\n地址：浙江杭州\n备注：尽快回电 📞"
    );
    assert_eq!(message["html"], "<p>张三，杭州</p>");
}

#[test]
#[ignore = "needs Debian's postfix; run tests/run"]
fn whom_postfix_does_not_know_is_a_dead_letter_that_names_nobody() {
    let postfix = Postfix::start(&["sales"]);
    for (to, rule, reason) in [
        (
            "nobody@x.example",
            "smtp-550",
            "the recipients: 550 5.1.1 *** Recipient address rejected: User unknown in virtual mailbox table",
        ),
        (
            "sales@elsewhere.example",
            "smtp-554",
            "the recipients: 554 5.7.1 *** Relay access denied",
        ),
    ] {
        let mut daemon = mailing(&open(&postfix), "", to);
        let delivery = ended(&daemon, "dead");
        assert_eq!(delivery["reason"], "rejected", "{delivery}");
        assert_eq!(delivery["last_reason"], reason, "{delivery}");
        assert_eq!(delivery["history"][0]["rule"], rule, "{delivery}");
        daemon.terminate();
        let (user, domain) = to.split_once('@').expect("an address");
        for text in [delivery.to_string(), daemon.log()] {
            assert!(!text.contains(user) && !text.contains(domain), "{text}");
        }
    }
    assert!(postfix.letters("sales").is_empty());
}

/// How to reach a server that takes mail only encrypted, by STARTTLS and from the first byte.
fn encrypted(postfix: &Postfix) -> [String; 2] {
    let ways = [("starttls", postfix.port), ("tls", postfix.tls_port)];
    ways.map(|(tls, port)| format!("host = \"localhost\"\nport = {port}\ntls = \"{tls}\""))
}

#[test]
#[ignore = "needs Debian's postfix; run tests/run"]
fn with_the_companys_own_authority_mail_goes_out_encrypted() {
    let authority = Authority::new();
    let postfix = Postfix::start_encrypted(&["sales"], &authority.certificate(&["localhost"]));
    for (number, server) in encrypted(&postfix).into_iter().enumerate() {
        let server = server + "\nca = \"@FOLDER@/ca.pem\"";
        let daemon = mailing(&server, &authority.pem(), "sales@x.example");
        ended(&daemon, "delivered");
        until("it is in the mailbox", || {
            postfix.letters("sales").len() == number + 1
        });
    }
}

#[test]
#[ignore = "needs Debian's postfix; run tests/run"]
fn who_is_vouched_for_by_nobody_we_trust_gets_nothing() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let stranger = "connecting: no trusted TLS: the server's certificate is from an authority \
                    that is not trusted here; `ca` names a file of those to trust";
    for (names, ca, why) in [
        (["localhost"], None, stranger),
        (["localhost"], Some(theirs.pem()), stranger),
        (
            ["mail.x.example"],
            Some(ours.pem()),
            "connecting: no trusted TLS: the server's certificate is not for the name in `host`: \
             that must be among its alternative names (subjectAltName)",
        ),
    ] {
        let postfix = Postfix::start_encrypted(&["sales"], &ours.certificate(&names));
        for server in encrypted(&postfix) {
            let given = ca.as_ref().map_or("", |_| "\nca = \"@FOLDER@/ca.pem\"");
            let daemon = mailing(
                &(server + given),
                ca.as_deref().unwrap_or_default(),
                "sales@x.example",
            );
            let mut delivery = Value::Null;
            until("it was tried", || {
                delivery = the_delivery(&daemon);
                delivery["attempts"].as_u64() > Some(0)
            });
            let attempt = &delivery["history"][0];
            assert_eq!(attempt["outcome"], "retry", "{delivery}");
            assert_eq!(attempt["rule"], "tls", "{delivery}");
            assert_eq!(attempt["reason"], why, "{delivery}");
        }
        assert!(postfix.letters("sales").is_empty());
    }
}
