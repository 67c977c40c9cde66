//! Programs of the `exec` sink: they deliver in their sandbox, and when they misbehave nothing
//! else does.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use leadgate_tests::{Crm, Daemon, SAMPLE, SUCCESS, Setup, counted, output, output_of, until};
use serde_json::Value;

/// Writes a script beside the configuration.
fn script(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("writes");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("sets");
}

/// Takes the id out of a line, and answers.
const SHELL: &str = "#!/bin/sh\n\
    take() { IFS= read -r line || exit 0; id=${line#'{\"id\":\"'}; id=${id%%'\"'*}; }\n\
    answer() { printf '{\"id\":\"%s\",\"outcome\":\"%s\",\"receipt\":\"%s\"}\\n' \"$id\" \"$1\" \"$2\"; }\n";

fn sink(name: &str, command: &str, more: &str) -> String {
    // Only what says nothing at all takes so long.
    let timeout = if name == "silent" { "2s" } else { "30s" };
    format!(
        "[sinks.{name}]\nplugin = \"exec\"\ntimeout = \"{timeout}\"\nconcurrency = 4\n\
         retry = {{ first = \"10ms\", max = \"50ms\", max_attempts = 3, max_age = \"1h\" }}\n\
         breaker = {{ failures = 0 }}\n[sinks.{name}.settings]\ncommand = {command}\n{more}\n"
    )
}

/// What looks around and answers with what it found.
const LOOKS_AROUND: &str = r#"
import json, os, socket, sys

def can(what):
    try:
        what()
        return True
    except OSError:
        return False

here = os.path.dirname(os.path.abspath(__file__))
found = {
    "reads the configuration": can(lambda: open(here + "/leadgate.toml").read()),
    "lists the outbox": can(lambda: os.listdir(here + "/store")),
    "reads /etc/shadow": can(lambda: open("/etc/shadow").read()),
    "reads the daemon's environment": can(lambda: open(f"/proc/{os.getppid()}/environ").read()),
    "writes beside itself": can(lambda: open(here + "/mine", "w").write("x")),
    "reads what is allowed": can(lambda: open(here + "/allowed/in").read()),
    "writes where it is allowed": can(lambda: open(here + "/allowed/out", "w").write("x")),
}
for line in sys.stdin:
    task = json.loads(line)
    print("the lead is", task["event"]["lead"]["name"], task["event"]["lead"]["phone"], file=sys.stderr)
    said = {name: value for name, value in found.items() if value}
    names = sorted(os.environ)
    descriptors = sorted(os.listdir("/proc/self/fd"))
    print(json.dumps({"id": task["id"], "outcome": "delivered", "receipt": json.dumps([said, names, len(descriptors)])}), flush=True)
"#;

#[test]
#[ignore = "needs python3"]
fn a_program_in_python_delivers_and_reaches_nothing_but_what_it_is_allowed() {
    let rest = sink(
        "erp",
        "[\"python3\", \"erp.py\"]",
        "env = { ERP_TOKEN = \"${ERP_TOKEN}\" }\nsandbox = { write = [\"allowed\"] }\n",
    );
    let setup = Setup {
        rest,
        environment: vec![("ERP_TOKEN".to_owned(), "t0k3n-of-the-erp".to_owned())],
        ..Setup::default()
    };
    let daemon = Daemon::start_on(setup, |folder| {
        script(folder, "erp.py", LOOKS_AROUND);
        std::fs::create_dir(folder.join("allowed")).expect("makes");
        std::fs::write(folder.join("allowed/in"), "x").expect("writes");
    });
    assert_eq!(daemon.shop().push(SAMPLE).expect("answered").body, SUCCESS);
    until("delivered", || daemon.stat("/sinks/erp/delivered") == 1);
    let attempt = daemon.last_attempt("erp");
    let receipt = attempt["receipt"].as_str().unwrap_or_default().to_owned();
    let receipt: Value = serde_json::from_str(&receipt).unwrap_or_else(|_| panic!("{attempt}"));
    let sandbox = daemon
        .events()
        .into_iter()
        .find(|event| event.to_string().contains("programs run in a sandbox"))
        .expect("the log says which parts hold")
        .to_string();
    if sandbox.contains("files on") {
        let expected =
            serde_json::json!({"reads what is allowed": true, "writes where it is allowed": true});
        assert_eq!(receipt[0], expected, "{sandbox}");
    } else {
        counted("not run: this kernel has no Landlock, so a program reaches files");
    }
    assert_eq!(
        receipt[1],
        serde_json::json!([
            "ERP_TOKEN",
            "LANG",
            "LEADGATE_PROTOCOL",
            "LEADGATE_SINK",
            "PATH",
            "PYTHONUNBUFFERED"
        ])
    );
    // Its three streams, and the folder that it lists.
    assert_eq!(receipt[2], 4);
    until("what it wrote to stderr is in the log", || {
        daemon.log().contains("the lead is")
    });
    let log = daemon.log();
    for secret in ["张三", "13567658911", "t0k3n-of-the-erp"] {
        assert!(!log.contains(secret), "{log}");
    }
    counted(format!("a program's sandbox: {sandbox}"));
}

#[test]
fn misbehaving_programs_cost_their_attempts_and_nothing_else() {
    let crm = Crm::start();
    // Each begins with a fault in every first attempt of a lead, and does it well in the next.
    let flood = format!("yes '{{\"log\":\"{}\"}}'", "x".repeat(500));
    let faults = [
        ("garbage", "echo hello", "garbage"),
        ("endless", "head -c 3000000 /dev/zero", "endless-line"),
        ("stranger", "id=other; answer delivered", "wrong-id"),
        ("killed", "kill -9 $$", "program-ended"),
        ("leaves", "exit 3", "program-ended"),
        ("silent", "sleep 60", "silence"),
        ("flood", flood.as_str(), "too-much-output"),
        ("closes", "exec >&-; sleep 60", "closed-stdout"),
        ("forks", "sleep 60 & exit 0", "program-ended"),
        ("invents", "answer splendid", "unknown-outcome"),
        (
            "stderr",
            "head -c 30000000 /dev/zero >&2; answer retry",
            "program",
        ),
    ];
    let mut rest = Setup::http_sink("crm", &crm.url());
    for (name, ..) in faults {
        rest += &sink(name, &format!("[\"./{name}\"]"), "");
    }
    let setup = Setup {
        rest,
        ..Setup::default()
    };
    let daemon = Daemon::start_on(setup, |folder| {
        for (name, fault, _) in faults {
            let text = format!(
                "{SHELL}while :; do take; case $line in *'\"attempt\":1,'*) {fault};; *) answer delivered;; esac; done\n"
            );
            script(folder, name, &text);
        }
    });
    assert_eq!(daemon.shop().push(SAMPLE).expect("answered").body, SUCCESS);
    until("the other sink has it", || {
        daemon.stat("/sinks/crm/delivered") == 1
    });
    for (name, _, rule) in faults {
        until(&format!("{name} has delivered after its fault"), || {
            daemon.stat(&format!("/sinks/{name}/delivered")) == 1
        });
        let metrics = daemon.metrics();
        let ambiguous =
            format!("leadgate_delivery_attempts_total{{outcome=\"ambiguous\",sink=\"{name}\"}} 1");
        let retry =
            format!("leadgate_delivery_attempts_total{{outcome=\"retry\",sink=\"{name}\"}} 1");
        let expected = if name == "stderr" { retry } else { ambiguous };
        assert!(metrics.contains(&expected), "{name} {rule}: {metrics}");
    }
    // While they were at it, and afterwards, leads come in and go out.
    daemon.shop().give(1..=20);
    until("the other sink has all", || {
        daemon.stat("/sinks/crm/delivered") == 21
    });
    let log = daemon.log();
    for (name, _, rule) in faults {
        let named = ["unknown-outcome", "program"].contains(&rule)
            || daemon.events().iter().any(|event| {
                let event = event.to_string();
                event.contains("a program ended") && event.contains(name) && event.contains(rule)
            });
        assert!(named, "{name} {rule}: {log}");
    }
    assert!(
        !log.contains("张三") && !log.contains("13567658911"),
        "{log}"
    );
    assert_eq!(daemon.readiness(), 200);
}

#[test]
fn programs_end_with_the_daemon_however_it_ends() {
    let rest = sink("erp", "[\"./erp\"]", "sandbox = { write = [\"out\"] }\n");
    let setup = Setup {
        rest,
        ..Setup::default()
    };
    let mut daemon = Daemon::start_on(setup, |folder| {
        std::fs::create_dir(folder.join("out")).expect("makes");
        let text = format!("{SHELL}echo $$ >out/pid\nwhile :; do take; answer delivered; done\n");
        script(folder, "erp", &text);
    });
    daemon.shop().give(1..=1);
    until("delivered", || daemon.stat("/sinks/erp/delivered") == 1);
    let pid = std::fs::read_to_string(daemon.folder().join("out/pid")).expect("reads");
    let runs = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    assert!(runs());
    daemon.kill();
    until("the program is gone", || !runs());
}

#[test]
#[ignore = "needs python3"]
fn check_says_what_is_wrong_with_a_program_and_tries_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("leadgate.toml");
    let write = |rest: &str| {
        let text = format!(
            "[outbox]\npath = \"store\"\n[sources.s]\nkind = \"tmall\"\npath = \"/x\"\napp_secret = \"x\"\n{rest}"
        );
        std::fs::write(&config, text).expect("writes");
    };
    let check = |more: &[&str]| {
        let mut args = vec!["check", "--config", config.to_str().expect("text")];
        args.extend(more);
        let output = output(&args, &[("LANG", "en_US.UTF-8")]);
        (output.status.code(), output_of(&output))
    };
    write(&sink("erp", "[\"python3\", \"erp.py\"]", ""));
    let (code, said) = check(&[]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("erp.py does not exist"), "{said}");
    script(folder.path(), "erp.py", "import no_such_module\n");
    let (code, said) = check(&[]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = check(&["--connect"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("No module named 'no_such_module'"), "{said}");
    script(
        folder.path(),
        "erp.py",
        "import sys\nfor line in sys.stdin: pass\n",
    );
    let (code, said) = check(&["--connect"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("it waits for leads"), "{said}");
}
