//! The configuration as the command sees it: from any folder, with libraries that refuse, beside
//! programs that have its ports.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use leadgate_tests::{binary, here};
use serde_json::Value;

/// Runs the binary in `folder`.
fn inside(folder: &Path, args: &[&str]) -> Output {
    Command::new(binary())
        .args(args)
        .current_dir(folder)
        .env_remove("LEADGATE_CONFIG")
        .env("LEADGATE_LANG", "en")
        .env("APP_SECRET", "s3cr3t-value")
        .stdin(Stdio::null())
        .output()
        .expect("runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Writes a configuration with an open operators' API on port 0, and `rest` behind it.
fn write(folder: &Path, server: &str, rest: &str) -> PathBuf {
    let file = folder.join("leadgate.toml");
    let text = format!(
        "[server]\nlisten = \"{server}\"\n[admin]\nlisten = \"127.0.0.1:0\"\nallow_without_token = true\n\
         [outbox]\npath = \"data\"\n[sources.shop]\nkind = \"tmall\"\npath = \"/leads\"\n\
         app_secret = \"env:APP_SECRET\"\n{rest}"
    );
    std::fs::write(&file, text).expect("writes");
    file
}

#[test]
fn a_configuration_means_the_same_from_every_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    // As the system names it, should the temporary folder be behind a link.
    let root = folder.path().canonicalize().expect("is there");
    let shop = root.join("shop");
    std::fs::create_dir(&shop).expect("makes");
    let file = write(
        &shop,
        "127.0.0.1:0",
        "[sinks.log]\nplugin = \"file\"\n[sinks.log.settings]\npath = \"leads.jsonl\"\n",
    );
    let absolute = file.to_str().expect("text");
    let seen = |from: &Path, config: &str| {
        let checked = inside(from, &["check", "--json", "--config", config]);
        assert_eq!(
            checked.status.code(),
            Some(0),
            "{config}: {}",
            String::from_utf8_lossy(&checked.stdout)
        );
        json(&checked)["notes"].clone()
    };
    let expected = seen(&root, absolute);
    let data = shop.join("data").display().to_string();
    assert!(
        expected[0].as_str().expect("a note").contains(&data),
        "{expected}"
    );
    assert_eq!(seen(&root, "shop/leadgate.toml"), expected);
    assert_eq!(seen(&shop, "leadgate.toml"), expected);
    assert_eq!(
        seen(&shop, "../shop/leadgate.toml")
            .to_string()
            .replace("/shop/../shop/", "/shop/"),
        expected.to_string()
    );
    assert_eq!(seen(Path::new("/"), absolute), expected);
    // Where the working directory has a folder of the same name, it is not taken.
    std::fs::create_dir(root.join("data")).expect("makes");
    assert_eq!(seen(&root, "shop/leadgate.toml"), expected);
}

#[test]
fn a_library_that_refuses_to_make_its_sink_is_found_by_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("libc_sink.so");
    let compiled = Command::new("cc")
        .args(["-std=c11", "-shared", "-fPIC", "-I"])
        .arg(here("../plugin-api/include"))
        .arg(here("plugins/plugin.c"))
        .arg("-o")
        .arg(&library)
        .status()
        .expect("a C compiler, which Rust needs as well");
    assert!(compiled.success());
    let sink = "[plugins.c_sink]\npath = \"libc_sink.so\"\n[sinks.erp]\nplugin = \"c_sink\"\n";
    write(folder.path(), "127.0.0.1:0", sink);
    let checked = inside(folder.path(), &["check", "--json"]);
    assert_eq!(checked.status.code(), Some(78));
    let found = json(&checked);
    let refused = &found["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| one["severity"] == "error")
        .cloned()
        .expect("an error");
    assert_eq!(
        (&refused["code"], &refused["help"]),
        (&"config::refused".into(), &"name a file".into())
    );
    assert!(
        refused["message"]
            .as_str()
            .expect("text")
            .contains("path is needed"),
        "{refused}"
    );
    let good = format!("{sink}[sinks.erp.settings]\npath = \"/dev/null\"\n");
    write(folder.path(), "127.0.0.1:0", &good);
    let checked = inside(folder.path(), &["check", "--json"]);
    assert_eq!(checked.status.code(), Some(0), "{}", json(&checked));
}

#[test]
fn check_says_which_port_another_program_has_and_counts_at_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = other.local_addr().expect("an address").to_string();
    write(
        folder.path(),
        &taken,
        "[sinks.log]\nplugin = \"file\"\n[sinks.log.settings]\npath = \"leads.jsonl\"\n",
    );
    let checked = inside(folder.path(), &["check", "--json"]);
    assert_eq!(checked.status.code(), Some(0));
    let found = json(&checked);
    let port = found["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| one["code"] == "config::port")
        .cloned();
    let port = port.expect("it is said");
    assert_eq!(
        (&port["path"], &port["line"]),
        (&"server.listen".into(), &2.into())
    );
    let shown = inside(folder.path(), &["check"]);
    let said = String::from_utf8_lossy(&shown.stderr).into_owned();
    let count = format!("{} warnings\n", found["warnings"]);
    assert!(said.ends_with(&count), "{count}: {said}");
}
