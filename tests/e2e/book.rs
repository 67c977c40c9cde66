//! The ten-minute walk: exactly the commands of the plugin authors' book, from a new project to a
//! delivered lead, in each of its languages.
//!
//! Ports are changed in the written configuration and in what is pushed, so that walks can go on
//! side by side. What cargo builds is kept from one run to the next.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use leadgate_tests::{binary, free_port, get, here, output, output_of, until};
use serde_json::Value;

/// The ports in the book and in the projects' configuration.
const PORTS: [u16; 2] = [8080, 8081];

/// The terminals of the book's part under this heading, each as its lines.
fn terminals(heading: &str) -> Vec<Vec<String>> {
    let book = std::fs::read_to_string(here("../plugin-api/README.md")).expect("reads");
    let (_, section) = book
        .split_once(&format!("\n### {heading}\n"))
        .expect("the heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let section = section.split("\n### ").next().unwrap_or_default();
    let blocks = section.split("```sh\n").skip(1);
    let lines = |block: &str| block.split("```").next().unwrap_or_default().to_owned();
    blocks
        .map(|block| lines(block).lines().map(str::to_owned).collect())
        .collect()
}

struct Walk {
    folder: tempfile::TempDir,
    ports: [u16; 2],
}

/// Ended with the walk.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Walk {
    fn moved(&self, text: &str) -> String {
        let ports = PORTS.iter().zip(self.ports);
        ports.fold(text.to_owned(), |text, (of_book, own)| {
            text.replace(&format!("127.0.0.1:{of_book}"), &format!("127.0.0.1:{own}"))
        })
    }

    /// A line in a shell of its own, in the folder in which its terminal is.
    fn command(&self, folder: &Path, line: &str) -> Command {
        let program = binary();
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", program.parent().expect("a folder").display());
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", &format!("exec {}", self.moved(line))])
            .current_dir(folder)
            .env_remove("LEADGATE_CONFIG")
            .env_remove("TMALL_APP_SECRET")
            .env("LEADGATE_LANG", "en")
            .env("PATH", path)
            // All that a project needs is what the workspace needs.
            .env("CARGO_NET_OFFLINE", "true")
            .stdin(Stdio::null());
        // What cargo tells a test about itself is not for the cargo in it.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let is_cargos = name.starts_with("CARGO_") && name != "CARGO_HOME";
            if (is_cargos && name != "CARGO_NET_OFFLINE") || name.starts_with("RUSTFLAGS") {
                command.env_remove(name);
            }
        }
        command.env("CARGO_NET_OFFLINE", "true");
        command
    }

    fn run(&self, folder: &Path, line: &str) -> Output {
        let output = self.command(folder, line).output().expect("runs");
        assert!(output.status.success(), "{line}: {}", output_of(&output));
        output
    }
}

/// Where what cargo builds for a project is kept.
fn kept_target(folder: &Path) {
    let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("walk");
    std::fs::create_dir_all(&kept).expect("makes");
    std::os::unix::fs::symlink(kept, folder.join("target")).expect("links");
}

fn walk(heading: &str) {
    let walk = Walk {
        folder: tempfile::tempdir().expect("a folder"),
        ports: [free_port(), free_port()],
    };
    let terminals = terminals(heading);
    assert_eq!(terminals.len(), 2, "{terminals:?}");
    let mut daemon = None;
    let mut delivered = None;
    for terminal in &terminals {
        let mut folder = walk.folder.path().to_owned();
        for line in terminal {
            if let Some(into) = line.strip_prefix("cd ") {
                folder = folder.join(into);
            } else if line == "leadgate run" {
                let mut command = walk.command(&folder, line);
                command.stdout(Stdio::null()).stderr(Stdio::null());
                daemon = Some(Running(command.spawn().expect("starts")));
                let admin = ([127, 0, 0, 1], walk.ports[1]).into();
                until("the daemon is ready", || {
                    get(admin, "/readyz", &[]).is_ok_and(|answer| answer.status == 200)
                });
            } else if line.starts_with("cat ") {
                let file = folder.join(line.trim_start_matches("cat "));
                until("the lead is there", || {
                    std::fs::read_to_string(&file).is_ok_and(|text| text.contains("13567658911"))
                });
                delivered = Some(walk.run(&folder, line));
            } else {
                let output = walk.run(&folder, line);
                if line.starts_with("leadgate plugin new") {
                    let name = line.split(' ').nth(3).expect("a name");
                    let project = walk.folder.path().join(name);
                    let config = project.join("leadgate.toml");
                    let text = std::fs::read_to_string(&config).expect("was written");
                    std::fs::write(&config, walk.moved(&text)).expect("writes");
                    if project.join("Cargo.toml").exists() {
                        kept_target(&project);
                    }
                }
                if line.starts_with("leadgate plugin check") {
                    let said = output_of(&output);
                    assert!(said.contains("it keeps to the contract"), "{said}");
                }
                if line.starts_with("leadgate plugin run") {
                    let said = output_of(&output);
                    assert!(said.contains("outcome: delivered"), "{said}");
                    let leads = folder.join("leads/leads.jsonl");
                    std::fs::remove_file(leads).expect("the battery and the run have written");
                }
            }
        }
    }
    let delivered = String::from_utf8_lossy(&delivered.expect("was read").stdout).into_owned();
    let lines: Vec<Value> = delivered
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    assert_eq!(lines.len(), 1, "{delivered}");
    assert!(lines[0].to_string().contains("371009"), "{delivered}");
    // The outbox knows it as well.
    until("that is recorded", || {
        let admin = ([127, 0, 0, 1], walk.ports[1]).into();
        let stats = get(admin, "/api/v1/stats", &[]).map(|answer| answer.body);
        let stats: Value = serde_json::from_str(&stats.unwrap_or_default()).unwrap_or_default();
        let sinks = stats["sinks"].as_object();
        sinks.is_some_and(|sinks| sinks.values().any(|sink| sink["delivered"] == 1))
    });
    drop(daemon);
}

#[test]
fn an_author_walks_from_nothing_to_a_delivered_lead_in_rust() {
    walk("Rust");
}

#[test]
fn an_author_walks_from_nothing_to_a_delivered_lead_in_c() {
    walk("C");
}

#[test]
fn an_author_walks_from_nothing_to_a_delivered_lead_in_python() {
    walk("Python");
}

#[test]
fn what_the_book_configures_is_configuration() {
    let book = std::fs::read_to_string(here("../plugin-api/README.md")).expect("reads");
    let blocks: Vec<&str> = book
        .split("\n```toml\n")
        .skip(1)
        .map(|block| block.split("\n```").next().unwrap_or_default())
        .collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("leadgate.toml");
        let rest = "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
            allow_without_token = true\n[outbox]\npath = \"data\"\n[sources.tmall]\nkind = \"tmall\"\n\
            path = \"/\"\napp_secret = [\"${ERP_TOKEN}\"]\n";
        std::fs::write(&file, format!("{rest}{block}\n")).expect("writes");
        let file = file.to_str().expect("a path");
        let output = output(
            &["check", "--json", "--config", file],
            &[("ERP_TOKEN", "t0psecret")],
        );
        let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let problems = said["problems"].as_array().expect("problems");
        // The library of the example is nobody's.
        let others: Vec<&Value> = problems
            .iter()
            .filter(|one| one["severity"] == "error" && one["path"] != "plugins.my-erp.path")
            .collect();
        assert!(others.is_empty(), "{block}\n{others:#?}");
    }
}
