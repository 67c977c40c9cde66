//! The walk: exactly the commands of the README's way to the first lead, as an English and as
//! a Chinese merchant types them, with everything that they then read.
//!
//! What is read is kept in `walk/*.txt`; `LEADGATE_WALK_UPDATE=1` writes it anew. Ports are
//! changed on the way in and back on the way out, so that walks can go on side by side.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use leadgate_tests::{binary, free_port, get, here, until};
use serde_json::Value;

/// The ports that the README and the written configuration name.
const PORTS: [u16; 3] = [8080, 8081, 9000];

struct Walk {
    folder: tempfile::TempDir,
    locale: &'static str,
    ports: [u16; 3],
    /// What the merchant reads, command by command.
    read: String,
}

/// A command that keeps running.
struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The blocks of commands below a heading, without comments; each is a terminal.
fn terminals(heading: &str) -> Vec<Vec<String>> {
    let readme = std::fs::read_to_string(here("../README.md")).expect("reads");
    let (_, section) = readme.split_once(heading).expect("the heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```sh\n").skip(1);
    let blocks = blocks.map(|block| {
        let block = block.split("```").next().unwrap_or_default();
        let lines = block.lines().map(|line| {
            let command = line.split(" # ").next().unwrap_or_default();
            command.trim_end().to_owned()
        });
        lines.collect::<Vec<_>>()
    });
    // What is installed is what is tested.
    blocks
        .filter(|block| block.iter().all(|line| !line.starts_with("cargo ")))
        .collect()
}

impl Walk {
    fn new(locale: &'static str) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            locale,
            ports: [free_port(), free_port(), free_port()],
            read: String::new(),
        }
    }

    fn shop(&self) -> PathBuf {
        self.folder.path().join("shop")
    }

    /// A command in a shell of its own, after what its terminal remembers.
    fn command(&self, remembered: &[String], line: &str) -> Command {
        let mut line = self.moved(line, true);
        if line.starts_with("leadgate sink listen") {
            line = format!("{line} --port {}", self.ports[2]);
        }
        let mut script = remembered.join("\n");
        script += if line.starts_with("leadgate") {
            "\nexec "
        } else {
            "\n"
        };
        script += &line;
        let program = binary();
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", program.parent().expect("a folder").display());
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", &script])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("LANG", self.locale)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `text` with the README's ports as this walk's, or the other way round.
    fn moved(&self, text: &str, inward: bool) -> String {
        let mut text = text.to_owned();
        for (of_readme, own) in PORTS.iter().zip(self.ports) {
            let (of_readme, own) = (format!("127.0.0.1:{of_readme}"), format!("127.0.0.1:{own}"));
            text = if inward {
                text.replace(&of_readme, &own)
            } else {
                text.replace(&own, &of_readme)
            };
        }
        text
    }

    /// Lets the written configuration use this walk's ports.
    fn move_ports(&self) {
        for file in ["leadgate.toml", "sinks.d/webhook.toml"] {
            let file = self.shop().join(file);
            let text = std::fs::read_to_string(&file).expect("was written");
            std::fs::write(&file, self.moved(&text, true)).expect("writes");
        }
    }

    /// Runs a command to its end; gives its exit code.
    fn run(&mut self, remembered: &[String], line: &str) -> Option<i32> {
        let output = self.command(remembered, line).output().expect("runs");
        let text = [&output.stdout, &output.stderr].map(|one| String::from_utf8_lossy(one));
        let said = text.concat();
        self.note(line, &said);
        output.status.code()
    }

    /// Starts a command that keeps running.
    fn start(&self, remembered: &[String], line: &str) -> Running {
        let mut child = self.command(remembered, line).spawn().expect("starts");
        let said = Arc::new(Mutex::new(String::new()));
        let stdout: Box<dyn Read + Send> = Box::new(child.stdout.take().expect("piped"));
        let stderr: Box<dyn Read + Send> = Box::new(child.stderr.take().expect("piped"));
        for pipe in [stdout, stderr] {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut said = said.lock().expect("whole");
                    said.push_str(&line);
                    said.push('\n');
                }
            });
        }
        Running { child, said }
    }

    /// Whether the daemon knows that the sink has its lead.
    fn is_delivered(&self, remembered: &[String]) -> bool {
        let mut stats = self.command(remembered, "leadgate outbox stats --json");
        let output = stats.output().expect("runs");
        let stats: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        stats["sinks"]["webhook"]["delivered"] == 1
    }

    fn note(&mut self, line: &str, said: &str) {
        let said = self.moved(said, false);
        let said = said.replace(&self.folder.path().display().to_string(), "/home/merchant");
        self.read.extend(["$ ", line, "\n", &steady(&said), "\n"]);
    }
}

impl Running {
    fn said(&self) -> String {
        self.said.lock().expect("whole").clone()
    }

    /// Ctrl-C; gives the exit code.
    fn interrupt(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.expect("kill runs").success());
        let mut code = None;
        until("the command has ended", || {
            self.child.try_wait().expect("waits").is_some_and(|status| {
                code = status.code();
                true
            })
        });
        code
    }
}

/// Without what is another one each time: ids, times, durations and signatures.
fn steady(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let words = line.split_inclusive([' ', '"', '`', ',', '(', ')', '：', '，', '。']);
        for word in words {
            let end = word
                .trim_end_matches([' ', '"', '`', ',', '(', ')', '：', '，', '。'])
                .len();
            let (word, behind) = word.split_at(end);
            out.push_str(&steady_word(word));
            out.push_str(behind);
        }
        out.push('\n');
    }
    out
}

/// As the sample lead has it: it looks like a revision.
const OPEN_KEY: &str = "43534cf9d5154543";

fn steady_word(word: &str) -> String {
    if let Some((title, value)) = word.rsplit_once('：') {
        return format!("{title}：{}", steady_word(value));
    }
    let shape: String = word
        .chars()
        .map(|letter| match letter {
            '0'..='9' => '9',
            letter => letter,
        })
        .collect();
    // A key that is added to the commented file moves the others.
    if let Some((file, line)) = word.split_once(".toml:")
        && line.starts_with(|first: char| first.is_ascii_digit())
    {
        let behind = line.trim_start_matches(|digit: char| digit.is_ascii_digit());
        return format!("{file}.toml:N{behind}");
    }
    let is_hex = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    };
    if word.len() == 36 && is_hex(word) {
        return "ID".to_owned();
    }
    if shape == "9999-99-99" {
        return "DATE".to_owned();
    }
    if shape == "99:99:99+99:99" {
        return format!("TIME{}", &word[8..]);
    }
    if matches!(shape.as_str(), "99:99:99" | "99:99:99Z") || shape.starts_with("9999-99-99T") {
        return "TIME".to_owned();
    }
    if word.starts_with("v1,") || (word.len() == 44 && word.ends_with('=')) {
        return "SIGNATURE".to_owned();
    }
    if let Some((revision, behind)) = word.split_at_checked(16)
        && is_hex(revision)
        && matches!(behind, "" | ",")
        && revision != OPEN_KEY
    {
        return format!("REVISION{behind}");
    }
    let is_seconds = word.len() == 10 && shape == "9999999999" && word.starts_with('1');
    let is_duration = shape.contains('.') && shape.trim_start_matches('9').starts_with('.');
    if is_seconds || (is_duration && shape.chars().all(|letter| "9.".contains(letter))) {
        return "N".to_owned();
    }
    word.to_owned()
}

fn walk(heading: &str, locale: &'static str, kept: &str) {
    let mut walk = Walk::new(locale);
    let terminals = terminals(heading);
    assert_eq!(terminals.len(), 3, "{terminals:?}");
    let (mut stand_in, mut daemon) = (None, None);
    for terminal in &terminals {
        let mut remembered = Vec::new();
        for line in terminal {
            if line.starts_with("cd ") || line.starts_with("export ") {
                remembered.push(line.clone());
            } else if line.starts_with("leadgate sink listen") {
                let running = walk.start(&remembered, line);
                until("the stand-in listens", || {
                    running.said().contains("127.0.0.1")
                });
                stand_in = Some((running, line.clone()));
            } else if line == "leadgate run" {
                let mut running = walk.start(&remembered, line);
                let admin = ([127, 0, 0, 1], walk.ports[1]).into();
                until("the daemon is ready", || {
                    let ended = running.child.try_wait().expect("waits");
                    assert!(ended.is_none(), "{ended:?}: {}", running.said());
                    get(admin, "/readyz", &[]).is_ok_and(|answer| answer.status == 200)
                });
                daemon = Some(running);
            } else {
                let code = walk.run(&remembered, line);
                assert_eq!(code, Some(0), "{line}\n{}", walk.read);
                if line.starts_with("leadgate init") {
                    walk.move_ports();
                }
                if line.starts_with("leadgate push") {
                    let (running, _) = stand_in.as_ref().expect("was started");
                    until("the lead is there", || {
                        running.said().contains("crm-371009")
                    });
                    // The receipt is kept a moment later.
                    until("that is recorded", || walk.is_delivered(&remembered));
                }
            }
        }
    }
    let (mut stand_in, line) = stand_in.expect("was started");
    let said = stand_in.said();
    walk.note(&line, &said);
    assert!(!said.contains("13567658911"), "{said}");
    let mut daemon = daemon.expect("was started");
    assert_eq!(daemon.interrupt(), Some(0), "{}", daemon.said());
    for line in daemon.said().lines() {
        // A first start is the only one that begins an outbox without anybody's mistake.
        let is_first = line.contains("began a new, empty outbox");
        for bad in ["\"WARN\"", "\"ERROR\"", "13567658911"] {
            assert!(is_first || !line.contains(bad), "{bad}: {line}");
        }
    }
    assert_eq!(stand_in.interrupt(), Some(0));
    no_secret_is_read(&walk.shop(), &walk.read);
    compare(kept, &walk.read);
}

/// Nothing that was made as a secret is shown by any command.
fn no_secret_is_read(shop: &Path, read: &str) {
    for file in ["outbox.key", "secrets/admin-token", "secrets/webhook"] {
        let secret = std::fs::read_to_string(shop.join(file)).expect("was made");
        assert!(!read.contains(secret.trim()), "{file}");
    }
}

fn compare(kept: &str, read: &str) {
    let file = here("e2e/walk").join(kept);
    if std::env::var_os("LEADGATE_WALK_UPDATE").is_some() {
        std::fs::write(&file, read).expect("writes");
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    for (number, (is, was)) in read.lines().zip(expected.lines()).enumerate() {
        assert_eq!(is, was, "line {} of {kept}; all of it:\n{read}", number + 1);
    }
    assert_eq!(read.lines().count(), expected.lines().count(), "{read}");
}

#[test]
fn an_english_merchant_walks_to_the_first_lead() {
    walk("## Merchant: ten minutes", "C", "en.txt");
}

#[test]
fn a_chinese_merchant_walks_to_the_first_lead() {
    walk("## 商家：十分钟", "zh_CN.UTF-8", "zh-CN.txt");
}
