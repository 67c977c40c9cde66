//! Children: real ones. This test program is its own counterpart: started again with the name
//! of [`inside`], it does what its environment says.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Command {
    Command::new("/bin/sh").arg("-c").arg(script)
}

fn role(role: &str) -> Command {
    Command::of_this_program()
        .args([
            "child::tests::inside",
            "--exact",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("ROLE", role)
}

/// What it writes, line by line, as it comes.
fn lines(child: &mut Child) -> mpsc::Receiver<(Stream, String)> {
    let (send, lines) = mpsc::channel();
    let streams = vec![
        (Stream::Output, child.output.take().expect("piped")),
        (Stream::Error, child.error.take().expect("piped")),
    ];
    follow(
        streams,
        Limits::default(),
        child.ended(),
        move |stream, line| {
            let _ = send.send((stream, line.text));
        },
    )
    .expect("a thread");
    lines
}

/// All that it writes on standard output until its end.
fn all(mut child: Child) -> Vec<String> {
    let lines = lines(&mut child);
    let ended = child.ended().wait_for(PATIENCE);
    let lines: Vec<_> = lines.iter().collect();
    assert!(ended.is_some(), "it ends: {lines:?}");
    lines
        .into_iter()
        .filter(|(stream, _)| *stream == Stream::Output)
        .map(|(_, line)| line)
        .collect()
}

fn marked(child: Child) -> Vec<String> {
    let lines = all(child);
    let marked = lines.iter().filter_map(|line| line.strip_prefix("= "));
    marked.map(str::to_owned).collect()
}

/// Whether a process is there, dead ones that nobody has asked about not counted.
fn lives(pid: i32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    state.is_ok_and(|stat| !stat.contains(") Z "))
}

fn gone(pid: i32) -> bool {
    let began = Instant::now();
    while lives(pid) {
        if began.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

#[test]
fn a_child_has_nothing_but_its_arguments_and_says_how_it_ended() {
    let child = Command::new("/usr/bin/env").spawn().expect("starts");
    assert_eq!(all(child), Vec::<String>::new(), "no environment");
    let script = "echo out; echo err >&2; pwd; read line || echo nothing; exit 3";
    let mut child = shell(script).spawn().expect("starts");
    let lines = lines(&mut child);
    assert_eq!(child.ended().wait_for(PATIENCE), Some(Exit::Code(3)));
    let mut lines: Vec<_> = lines.iter().collect();
    lines.sort_by_key(|(stream, _)| *stream == Stream::Error);
    let texts: Vec<_> = lines.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["out", "/", "nothing", "err"]);
    let crashed = shell("kill -SEGV $$").spawn().expect("starts");
    assert_eq!(crashed.ended().wait_for(PATIENCE), Some(Exit::Signal(11)));
    assert!(Command::new("/no/such/program").spawn().is_err());
}

#[test]
fn a_child_inherits_no_descriptor_of_ours() {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = folder.path().join("ours");
    let held = std::fs::File::create(&ours).expect("makes");
    let ours = ours.to_str().expect("text").to_owned();
    let here = open_descriptors().expect("lists");
    assert!(here.iter().any(|(_, what)| *what == ours), "{here:?}");
    let listed = marked(role("descriptors").spawn().expect("starts"));
    assert_eq!(listed.len(), 1);
    assert!(!listed[0].contains(&ours), "{listed:?}");
    drop(held);
}

#[test]
fn killing_a_child_kills_what_it_started() {
    for end in ["wait", "exit 0", "killed"] {
        let script = format!(
            "sleep 1000 & echo $!; {}",
            if end == "killed" { "wait" } else { end }
        );
        let mut child = shell(&script).spawn().expect("starts");
        let lines = lines(&mut child);
        let (_, line) = lines.recv_timeout(PATIENCE).expect("a line");
        let grandchild: i32 = line.parse().expect("an id");
        match end {
            // A child that ends by itself takes the others with it.
            "exit 0" => {}
            "killed" => child.killer().kill(),
            _ => drop(child),
        }
        assert!(gone(grandchild), "{end}");
    }
}

#[test]
fn a_killer_whose_child_has_ended_kills_nobody() {
    let child = shell("exit 0").spawn().expect("starts");
    let killer = child.killer();
    assert!(child.ended().wait_for(PATIENCE).is_some());
    let group = Pid::from_raw(i32::try_from(child.id()).expect("small")).expect("an id");
    assert!(rustix::process::test_kill_process_group(group).is_err());
    killer.kill();
    assert_eq!(child.ended().now(), Some(Exit::Code(0)));
}

#[test]
fn a_child_ends_with_the_process_that_started_it() {
    let mut parent = role("parent").spawn().expect("starts");
    let lines = lines(&mut parent);
    let pid = loop {
        let (_, line) = lines.recv_timeout(PATIENCE).expect("a line");
        if let Some(pid) = line.strip_prefix("= ") {
            break pid.parse().expect("an id");
        }
    };
    assert!(lives(pid));
    // Its group is another one: nobody but the kernel tells the grandchild.
    parent.killer().kill();
    assert!(gone(pid));
}

#[test]
fn input_goes_by_a_pipe_or_by_a_socket() {
    let mut child = shell("cat").input(Input::Pipe).spawn().expect("starts");
    let input = child.input.take().expect("piped");
    rustix::io::write(&input, b"by pipe\n").expect("writes");
    drop(input);
    assert_eq!(all(child), ["by pipe"]);
    let mut child = shell("read line; echo \"$line\" >&0")
        .input(Input::Socket)
        .spawn()
        .expect("starts");
    let socket = child.input.take().expect("a socket");
    rustix::io::write(&socket, b"and back\n").expect("writes");
    let mut answer = [0; 64];
    let length = rustix::io::read(&socket, &mut answer).expect("reads");
    assert_eq!(&answer[..length], b"and back\n");
}

#[test]
fn a_sandbox_holds_what_its_report_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for name in ["open", "read"] {
        std::fs::create_dir(at(name)).expect("makes");
    }
    std::fs::write(at("secret"), "x").expect("writes");
    std::fs::write(at("read/file"), "x").expect("writes");
    let (allowed, other) = (listener(), listener());
    let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
    let narrow = Sandbox {
        memory: Some(64 << 20),
        descriptors: Some(40),
        read: vec![at("read")],
        write: vec![at("open")],
        connect: Some(vec![port(&allowed)]),
        ..Sandbox::default()
    };
    let probe = |sandbox: Option<&Sandbox>| {
        let json = serde_json::to_string(&sandbox).expect("serialises");
        let child = role("sandbox")
            .env("SANDBOX", json)
            .env("FOLDER", folder.path())
            .env("ALLOWED", port(&allowed).to_string())
            .env("OTHER", port(&other).to_string())
            .spawn();
        marked(child.expect("starts"))
    };
    let open = probe(None);
    let found = probe(Some(&narrow));
    let report = found.iter().find_map(|line| line.strip_prefix("report "));
    let report: SandboxReport = serde_json::from_str(report.expect("told")).expect("reads");
    let held = |part: &str| report.part(part).map(|part| part.state) == Some(State::On);
    for (what, part) in [
        ("secret", "files"),
        ("write-secret", "files"),
        ("write-read", "files"),
        ("program", "files"),
        ("environment", "files"),
        ("other-port", "network"),
        ("listen", "network"),
        ("signal", "signals"),
        ("unix-socket", "system_calls"),
        ("netlink", "system_calls"),
        ("other-limit", "system_calls"),
        ("memory", "memory"),
        ("descriptors", "descriptors"),
    ] {
        assert!(open.contains(&format!("{what} yes")), "{what}: {open:?}");
        let expected = if held(part) { "no" } else { "yes" };
        assert!(
            found.contains(&format!("{what} {expected}")),
            "{what}: {found:?}"
        );
    }
    for what in ["read", "write", "allowed-port", "libraries", "some-memory"] {
        assert!(found.contains(&format!("{what} yes")), "{what}: {found:?}");
    }
    for always in ["no_new_privs", "no_core_dumps", "memory", "descriptors"] {
        assert!(held(always), "{report}");
    }
}

#[test]
fn a_program_of_another_hand_is_started_in_its_sandbox() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "hidden\n").expect("writes");
    let secret = secret.to_str().expect("text");
    let system = ["/bin", "/lib", "/lib64", "/usr"].map(PathBuf::from);
    let sandbox = Sandbox {
        execute: system.to_vec(),
        ..Sandbox::default()
    };
    for (sandbox, expected) in [(&sandbox, "out "), (&Sandbox::open(), "out hidden")] {
        let json = serde_json::to_string(sandbox).expect("serialises");
        // What `sandboxed` makes of it, but that the launcher here is this test.
        let made = shell("true").sandboxed("leadgate", sandbox).expect("makes");
        let made = format!("{made:?}");
        assert!(
            made.contains("\"sandboxed\"") && made.contains("/bin/sh"),
            "{made}"
        );
        let mut child = role("launcher")
            .env("SANDBOX", json)
            .env(
                "SCRIPT",
                format!("echo; echo out $(cat {secret} 2>/dev/null)"),
            )
            .spawn()
            .expect("starts");
        let lines = lines(&mut child);
        assert_eq!(child.ended().wait_for(PATIENCE), Some(Exit::Code(0)));
        let lines: Vec<_> = lines.iter().collect();
        let has = |stream, start: &str| {
            let mut of = lines.iter().filter(|(one, _)| *one == stream);
            of.any(|(_, line)| line.starts_with(start))
        };
        assert!(has(Stream::Output, expected.trim()), "{lines:?}");
        assert_eq!(has(Stream::Output, "out hidden"), expected == "out hidden");
        assert!(has(Stream::Error, LAUNCHED), "{lines:?}");
    }
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a port")
}

/// The other side: not a test.
#[test]
#[ignore = "the other side of the tests here"]
fn inside() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let say = |text: &str| {
        // Not `println`: a line of its own, whatever the harness writes.
        let _ = writeln!(std::io::stdout(), "\n= {text}");
    };
    match variable("ROLE").as_str() {
        "descriptors" => {
            let open = open_descriptors().expect("lists");
            say(&format!("{open:?}"));
        }
        "parent" => {
            let child = role("orphan").env("PARENT", std::process::id().to_string());
            let mut child = child.spawn().expect("starts");
            let lines = lines(&mut child);
            while let Ok((_, line)) = lines.recv_timeout(PATIENCE) {
                if line.ends_with("ready") {
                    say(&child.id().to_string());
                    std::thread::sleep(Duration::from_secs(1000));
                }
            }
        }
        "launcher" => {
            let args = [
                rustix::process::getppid()
                    .map_or(0, |pid| pid.as_raw_nonzero().get())
                    .to_string(),
                variable("SANDBOX"),
                "/bin/sh".to_owned(),
                "-c".to_owned(),
                variable("SCRIPT"),
            ];
            panic!("{}", launch(args.into_iter().map(Into::into)));
        }
        "orphan" => {
            stay_with_parent(variable("PARENT").parse().expect("an id")).expect("a parent");
            say("ready");
            std::thread::sleep(Duration::from_secs(1000));
        }
        "sandbox" => {
            let sandbox: Option<Sandbox> =
                serde_json::from_str(&variable("SANDBOX")).expect("reads");
            if let Some(sandbox) = sandbox {
                let report = sandbox.enter(Inhabitant::ThisProgram);
                let json = serde_json::to_string(&report).expect("serialises");
                say(&format!("report {json}"));
            }
            let at = |name: &str| PathBuf::from(variable("FOLDER")).join(name);
            let connects = |port: &str| {
                std::net::TcpStream::connect(("127.0.0.1", port.parse().expect("a port"))).is_ok()
            };
            let parent = rustix::process::getppid();
            let socket = |family| {
                let kind = rustix::net::SocketType::DGRAM;
                rustix::net::socket(family, kind, None).is_ok()
            };
            let takes = |bytes: usize| {
                let mut memory: Vec<u8> = Vec::new();
                memory.try_reserve_exact(bytes).is_ok()
            };
            let limit = |pid| {
                let resource = rustix::process::Resource::Nofile;
                let same = rustix::process::getrlimit(resource);
                rustix::process::prlimit(pid, resource, same).is_ok()
            };
            let own_descriptors = || {
                let opened: Vec<_> = (0..100).map(|_| std::fs::File::open("/dev/null")).collect();
                opened.iter().all(std::io::Result::is_ok)
            };
            for (what, can) in [
                ("secret", std::fs::read(at("secret")).is_ok()),
                ("write-secret", std::fs::write(at("secret"), "y").is_ok()),
                ("read", std::fs::read(at("read/file")).is_ok()),
                ("write-read", std::fs::write(at("read/new"), "y").is_ok()),
                ("write", std::fs::write(at("open/new"), "y").is_ok()),
                (
                    "program",
                    std::process::Command::new("/bin/true").status().is_ok(),
                ),
                (
                    "environment",
                    std::fs::read(format!("/proc/{}/environ", parent.expect("one"))).is_ok(),
                ),
                ("libraries", std::fs::read("/etc/ld.so.cache").is_ok()),
                ("allowed-port", connects(&variable("ALLOWED"))),
                ("other-port", connects(&variable("OTHER"))),
                ("listen", TcpListener::bind("127.0.0.1:0").is_ok()),
                ("signal", test_kill_process(parent.expect("one")).is_ok()),
                ("unix-socket", socket(rustix::net::AddressFamily::UNIX)),
                ("netlink", socket(rustix::net::AddressFamily::NETLINK)),
                ("other-limit", limit(parent)),
                ("memory", takes(200 << 20)),
                ("some-memory", takes(20 << 20)),
                ("descriptors", own_descriptors()),
            ] {
                say(&format!("{what} {}", if can { "yes" } else { "no" }));
            }
        }
        _ => {}
    }
}
