//! A database: a real server of its own, in a temporary folder, on a free loopback port.
//!
//! What is in it is asked of the database's own client, which shares no code with the gateway.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{Certificate, free_port, output_of, until};

/// The password of the user `leadgate`, who may do everything.
const PASSWORD: &str = "pa:ss/w@rd#%";

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
}

/// A server. It is ended when this is dropped.
pub struct Database {
    kind: Kind,
    folder: TempDir,
    port: u16,
    secure: bool,
    server: Option<Child>,
}

/// The database's own client, in one session.
pub struct Client(Child);

impl Database {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start(kind: Kind) -> Self {
        Self::prepare(kind, None)
    }

    /// Starts one that takes TLS connections with `certificate`.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start_secure(kind: Kind, certificate: &Certificate) -> Self {
        Self::prepare(kind, Some(certificate))
    }

    fn prepare(kind: Kind, certificate: Option<&Certificate>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("writes");
            secret(&path);
        };
        write("password", PASSWORD);
        if let Some(certificate) = certificate {
            write("server.pem", &certificate.pem);
        }
        let mut database = Self {
            kind,
            port: free_port(),
            secure: certificate.is_some(),
            server: None,
            folder,
        };
        database.own();
        let data = database.path("data");
        let mut making = match kind {
            Kind::Postgres => {
                let mut making = database.command("initdb");
                making.arg("-D").arg(data).args([
                    "--username=leadgate",
                    "--auth-host=scram-sha-256",
                    "--auth-local=trust",
                    "--encoding=UTF8",
                    "--no-locale",
                    "--no-sync",
                ]);
                making.arg(format!("--pwfile={}", database.path("password").display()));
                making
            }
            Kind::MariaDb => {
                let mut making = database.command("mariadb-install-db");
                making.args([
                    "--no-defaults",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                ]);
                making.arg(format!("--datadir={}", data.display()));
                making
            }
        };
        let made = making.output().expect("tests/run has installed it");
        assert!(made.status.success(), "{}", output_of(&made));
        database.go();
        if kind == Kind::MariaDb {
            database.sql(&format!(
                "create database shop character set utf8mb4;
                 create user leadgate@'127.0.0.1' identified by '{PASSWORD}';
                 grant all on *.* to leadgate@'127.0.0.1'"
            ));
        }
        database
    }

    /// The server's processes do not run as root, and need its files.
    fn own(&self) {
        if let Some(user) = self.user() {
            let status = Command::new("chown")
                .arg("-R")
                .arg(user)
                .arg(self.folder.path())
                .status();
            assert!(status.expect("chown runs").success(), "a user {user}");
        }
    }

    fn user(&self) -> Option<&'static str> {
        let own = std::fs::metadata("/proc/self").expect("a process");
        let is_root = std::os::unix::fs::MetadataExt::uid(&own) == 0;
        is_root.then_some(match self.kind {
            Kind::Postgres => "postgres",
            Kind::MariaDb => "mysql",
        })
    }

    /// One of the database's programs, as its user.
    fn command(&self, program: &str) -> Command {
        let mut command = match self.user() {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", user, "--regid", user, "--init-groups", "--"]);
                command.arg(found(program));
                command
            }
            None => Command::new(found(program)),
        };
        // MariaDB's temporary tables have names that are unique in one server only.
        command.env("TMPDIR", self.folder.path());
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the server, again after [`Database::stop`], and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn go(&mut self) {
        let option = |name: &str, value: &Path| format!("{name}={}", value.display());
        let (data, pem) = (self.path("data"), self.path("server.pem"));
        let mut server;
        match self.kind {
            Kind::Postgres => {
                server = self.command("postgres");
                let mut options = vec![
                    "listen_addresses=127.0.0.1".to_owned(),
                    format!("port={}", self.port),
                    "fsync=off".to_owned(),
                    option("unix_socket_directories", self.folder.path()),
                ];
                if self.secure {
                    options.push("ssl=on".to_owned());
                    options.push(option("ssl_cert_file", &pem));
                    options.push(option("ssl_key_file", &pem));
                }
                server.arg("-D").arg(data);
                server.args(options.iter().flat_map(|one| ["-c", one.as_str()]));
            }
            Kind::MariaDb => {
                server = self.command("mariadbd");
                server.args([
                    "--no-defaults",
                    "--bind-address=127.0.0.1",
                    "--skip-name-resolve",
                    "--innodb-flush-log-at-trx-commit=0",
                    &format!("--port={}", self.port),
                    &option("--datadir", &data),
                    &option("--socket", &self.path("socket")),
                    &option("--pid-file", &self.path("pid")),
                ]);
                if self.secure {
                    server.args([option("--ssl-cert", &pem), option("--ssl-key", &pem)]);
                }
            }
        }
        let log = File::create(self.path("log")).expect("a log");
        let errors = log.try_clone().expect("a log");
        server.stdout(log).stderr(errors);
        self.server = Some(server.spawn().expect("the server starts"));
        until("the database answers", || {
            self.client(&["select 1"])
                .output()
                .expect("runs")
                .status
                .success()
        });
    }

    /// Stops the server: connections are ended, everything stays.
    ///
    /// # Panics
    ///
    /// If it does not end.
    pub fn stop(&mut self) {
        let signal = match self.kind {
            Kind::Postgres => "-INT",
            Kind::MariaDb => "-TERM",
        };
        self.end(signal);
    }

    fn end(&mut self, signal: &str) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let _ = Command::new("kill")
            .args([signal, &server.id().to_string()])
            .status();
        let _ = server.wait();
    }

    /// The port of its server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A sink's `url` for it.
    pub fn url(&self) -> String {
        self.url_at("127.0.0.1", self.port)
    }

    /// A sink's `url` for it under another address.
    pub fn url_at(&self, host: &str, port: u16) -> String {
        let login = "leadgate:pa%3Ass%2Fw%40rd%23%25";
        match self.kind {
            Kind::Postgres => format!("postgres://{login}@{host}:{port}/postgres"),
            Kind::MariaDb => format!("mysql://{login}@{host}:{port}/shop"),
        }
    }

    fn client(&self, statements: &[&str]) -> Command {
        let mut client;
        match self.kind {
            Kind::Postgres => {
                client = Command::new(found("psql"));
                client.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
                client.args(["-U", "leadgate", "-d", "postgres"]);
                client.arg(format!("-p{}", self.port));
                client.arg("-h").arg(self.folder.path());
                client.args(statements.iter().flat_map(|one| ["-c", one]));
            }
            Kind::MariaDb => {
                client = Command::new(found("mariadb"));
                client.args(["--no-defaults", "-N", "-B", "--unbuffered", "-uroot"]);
                client.arg("--default-character-set=utf8mb4");
                client.arg(format!("--socket={}", self.path("socket").display()));
                client.args(statements.iter().flat_map(|one| ["-e", one]));
            }
        }
        client
    }

    /// What the database's own client says to `statement`, columns parted by `|`.
    ///
    /// # Panics
    ///
    /// If it says an error.
    pub fn sql(&self, statement: &str) -> String {
        let said = self.client(&[statement]).output().expect("the client runs");
        assert!(said.status.success(), "{}", output_of(&said));
        let text = String::from_utf8_lossy(&said.stdout);
        text.trim_end().replace('\t', "|")
    }

    /// A session that lasts, after `statements`.
    ///
    /// # Panics
    ///
    /// If they cannot be said.
    pub fn session(&self, statements: &str) -> Client {
        let mut client = self.client(&[]);
        client.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = client.spawn().expect("the client runs");
        let input = client.stdin.as_mut().expect("piped");
        input
            .write_all(format!("{statements};\nselect 'said';\n").as_bytes())
            .expect("the client listens");
        let output = client.stdout.take().expect("piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "said"), "{statements}");
        Client(client)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.end(match self.kind {
            // Without goodbyes, but with its processes.
            Kind::Postgres => "-QUIT",
            Kind::MariaDb => "-KILL",
        });
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The end of its input ends the session.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A program; PostgreSQL's are not always where programs are looked for.
fn found(program: &str) -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib/postgresql");
    let mut versions: Vec<_> = folders
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin").join(program)))
        .filter(|path| path.exists())
        .collect();
    versions.sort();
    versions.pop().unwrap_or_else(|| program.into())
}

fn secret(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, mode).expect("sets the mode");
}
