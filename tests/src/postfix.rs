//! Postfix: a mail server as companies run it, with configuration, queue and mailboxes of its
//! own in a temporary folder. The system's own postfix, if there is one, is not touched.
//!
//! It delivers to the mailboxes it has into Maildirs, and refuses everybody else. It must be
//! started by root, as every postfix.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Certificate, free_port, here, until};

/// What every instance has. `@FOLDER@` is its folder.
const MAIN: &str = "\
compatibility_level = 3.6
queue_directory = @FOLDER@/queue
data_directory = @FOLDER@/data
maillog_file = @FOLDER@/log
maillog_file_prefixes = @FOLDER@
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.x.example
mydestination =
smtpd_relay_restrictions = reject_unauth_destination
virtual_mailbox_domains = x.example
virtual_mailbox_base = @FOLDER@/mail
virtual_uid_maps = static:@USER@
virtual_gid_maps = static:@GROUP@
virtual_minimum_uid = 1
";

/// The services that take mail and deliver it here. None of them sends mail away.
const SERVICES: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";

/// A running mail server.
pub struct Postfix {
    folder: TempDir,
    /// Where it takes mail, in the open or after STARTTLS.
    pub port: u16,
    /// Where it takes mail encrypted from the first byte, if it has a certificate.
    pub tls_port: u16,
}

impl Postfix {
    /// Starts one with mailboxes for these users of `x.example`.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start(users: &[&str]) -> Self {
        Self::start_with(users, None)
    }

    /// The same with a certificate, so that it offers STARTTLS and TLS and takes nothing in
    /// the open.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start_encrypted(users: &[&str], certificate: &Certificate) -> Self {
        Self::start_with(users, Some(certificate))
    }

    fn start_with(users: &[&str], certificate: Option<&Certificate>) -> Self {
        let server = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            port: free_port(),
            tls_port: free_port(),
        };
        let folder = server.folder.path();
        // Its services leave root behind and must still find their way.
        fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("opens the folder");
        for part in ["etc", "queue", "data", "mail"] {
            fs::create_dir(folder.join(part)).expect("makes a folder");
        }
        for part in ["data", "mail"] {
            run(Command::new("chown").arg("postfix").arg(folder.join(part)));
        }
        let mut main = MAIN
            .replace("@FOLDER@", &folder.display().to_string())
            .replace("@USER@", &run(Command::new("id").args(["-u", "postfix"])))
            .replace("@GROUP@", &run(Command::new("id").args(["-g", "postfix"])));
        let boxes: Vec<_> = users
            .iter()
            .map(|user| format!("{user}@x.example={user}/"))
            .collect();
        let _ = writeln!(
            main,
            "virtual_mailbox_maps = inline:{{ {} }}",
            boxes.join(" ")
        );
        let mut services = format!("{} inet n - n - - smtpd\n{SERVICES}", server.port);
        if let Some(certificate) = certificate {
            fs::write(folder.join("pem"), &certificate.pem).expect("writes");
            let pem = folder.join("pem");
            let _ = writeln!(
                main,
                "smtpd_tls_chain_files = {}\nsmtpd_tls_security_level = encrypt",
                pem.display()
            );
            let _ = writeln!(
                services,
                "{} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes",
                server.tls_port
            );
        }
        fs::write(folder.join("etc/main.cf"), main).expect("writes");
        fs::write(folder.join("etc/master.cf"), services).expect("writes");
        run(server.control().arg("start"));
        server
    }

    /// The command that controls this instance.
    fn control(&self) -> Command {
        let mut command = Command::new("/usr/sbin/postfix");
        command.arg("-c").arg(self.folder.path().join("etc"));
        command
    }

    /// The one message that `user` gets, decoded by Python's parser.
    ///
    /// # Panics
    ///
    /// If none comes, or more than one.
    pub fn message(&self, user: &str) -> Value {
        let mut letters = Vec::new();
        until("the message is in the mailbox", || {
            letters = self.letters(user);
            !letters.is_empty()
        });
        assert_eq!(letters.len(), 1, "messages in the mailbox");
        decoded(&letters[0])
    }

    /// What is in the mailbox of `user`.
    pub fn letters(&self, user: &str) -> Vec<Vec<u8>> {
        let folder = self.folder.path().join("mail").join(user).join("new");
        // The folder comes with the first message.
        let files = fs::read_dir(folder).into_iter().flatten();
        files
            .map(|file| fs::read(file.expect("a file").path()).expect("reads"))
            .collect()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = self.control().arg("stop").output();
    }
}

fn decoded(letter: &[u8]) -> Value {
    let mut python = Command::new("python3")
        .arg(here("counterparts/mail.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut stdin = python.stdin.take().expect("piped");
    stdin.write_all(letter).expect("writes");
    drop(stdin);
    let output = python.wait_with_output().expect("ends");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Runs a command to its end and gives what it prints.
fn run(command: &mut Command) -> String {
    let output = command.output().expect("the command runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
