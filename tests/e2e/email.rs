//! Mail: what a real mail server understands of it.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use leadgate_tests::{Daemon, SAMPLE, SUCCESS, Setup, here, until};
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
