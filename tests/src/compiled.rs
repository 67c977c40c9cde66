//! What is compiled on demand: plugins in C, the host in C, and a plugin of another profile.
//!
//! Each at most once for each test run, into the folder with what cargo built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::here;
use crate::program::built;

/// How strictly our C is compiled.
const STRICT: [&str; 6] = [
    "-std=c11",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pedantic",
    "-O1",
];

/// The misbehaving plugin of this name: `plugins/misbehaving/NAME.c`.
///
/// # Panics
///
/// If there is none, or it does not compile.
pub fn misbehaving(name: &str) -> PathBuf {
    let source = here(&format!("plugins/misbehaving/{name}.c"));
    once(&format!("misbehaving/lib{name}.so"), |library| {
        c(&source, library, &["-shared", "-fPIC", "-pthread"]);
    })
}

/// `plugins/plugin.c` with this macro defined.
///
/// # Panics
///
/// If it does not compile.
pub fn c_plugin(define: &str) -> PathBuf {
    once(&format!("plugin/lib{define}.so"), |library| {
        let define = format!("-D{define}");
        c(
            &here("plugins/plugin.c"),
            library,
            &["-shared", "-fPIC", &define],
        );
    })
}

/// `plugins/plugin.c` against the header of an older minor version, as it was then.
///
/// # Panics
///
/// If it does not compile.
pub fn c_plugin_of(version: &str) -> PathBuf {
    once(&format!("plugin/libgood-{version}.so"), |library| {
        let headers = here(&format!("plugins/headers/{version}"));
        assert!(headers.is_dir(), "there is no header of {version}");
        let headers = format!("-I{}", headers.display());
        c(
            &here("plugins/plugin.c"),
            library,
            &["-shared", "-fPIC", "-DGOOD", &headers],
        );
    })
}

/// A plugin in C of `plugins/` with AddressSanitizer, and with this macro defined if any.
///
/// # Panics
///
/// If it does not compile.
pub fn sanitized(source: &str, define: Option<&str>) -> PathBuf {
    let name = source.replace(['/', '.'], "-");
    once(&format!("plugin/lib{name}-sanitized.so"), |library| {
        let define = define.map(|define| format!("-D{define}"));
        let mut flags = vec!["-shared", "-fPIC", "-g", "-fsanitize=address"];
        flags.extend(define.as_deref());
        c(&here("plugins").join(source), library, &flags);
    })
}

/// The host in C, `plugins/host.c`; with AddressSanitizer if asked for.
///
/// # Panics
///
/// If it does not compile.
pub fn c_host(sanitized: bool) -> PathBuf {
    let (name, sanitize) = if sanitized {
        ("plugin/host-sanitized", "-fsanitize=address")
    } else {
        ("plugin/host", "-fno-sanitize=all")
    };
    once(name, |program| {
        let flags = ["-g", "-pthread", sanitize];
        c(&here("plugins/host.c"), program, &flags);
    })
}

/// A toolchain that `rustup` has beside the compiler that runs, and that is not too old.
pub fn another_toolchain() -> Option<String> {
    let list = rustup(&["toolchain", "list"])?;
    let ours = version(&["rustc", "-vV"])?;
    let names = list.lines().filter_map(|line| line.split(' ').next());
    let mut others = names.filter(|name| {
        // A name may stand for the compiler that runs.
        version(&["rustup", "run", name, "rustc", "-vV"])
            .is_some_and(|other| other != ours && minor(&other) >= minor(OLDEST))
    });
    others.next().map(str::to_owned)
}

/// The oldest compiler that the SDK takes.
const OLDEST: &str = concat!("release: ", env!("CARGO_PKG_RUST_VERSION"));

fn rustup(args: &[&str]) -> Option<String> {
    let words: Vec<_> = std::iter::once("rustup")
        .chain(args.iter().copied())
        .collect();
    version(&words)
}

/// What a command says, if it is there and succeeds.
fn version(words: &[&str]) -> Option<String> {
    let output = careful(words[0]).args(&words[1..]).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(said)
}

/// The middle number of the version in what `rustc -vV` says.
fn minor(said: &str) -> u32 {
    let release = said.lines().find_map(|line| line.strip_prefix("release: "));
    let minor = release.and_then(|release| release.split('.').nth(1)?.parse().ok());
    minor.unwrap_or(0)
}

/// A command that never lets `rustup` install or update a toolchain: they are the machine's.
fn careful(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("RUSTUP_AUTO_INSTALL", "0");
    command
}

/// `plugins/another_profile`, built by this toolchain of `rustup`, or by the one that runs.
///
/// # Panics
///
/// If it does not build.
pub fn another_profile(toolchain: Option<&str>) -> PathBuf {
    let folder = format!("another_profile-{}", toolchain.unwrap_or("same"));
    once(&format!("{folder}/libanother_profile.so"), |library| {
        let package = here("plugins/another_profile");
        // The same versions as the gateway's, which are downloaded already.
        std::fs::copy(here("../Cargo.lock"), package.join("Cargo.lock")).expect("copies the lock");
        let target = built().join(&folder);
        let mut build = match toolchain {
            Some(toolchain) => {
                let mut rustup = careful("rustup");
                rustup.args(["run", toolchain, "cargo"]);
                rustup
            }
            None => careful("cargo"),
        };
        // What the cargo that runs us says is about its own packages.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().into_owned();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                build.env_remove(name);
            }
        }
        let status = build
            .args(["build", "--quiet", "--release", "--manifest-path"])
            .arg(package.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .status()
            .expect("cargo runs");
        assert!(status.success(), "another_profile by {toolchain:?}");
        let made = target.join("release/libanother_profile.so");
        std::fs::copy(made, library).expect("copies the library");
    })
}

fn c(source: &Path, into: &Path, flags: &[&str]) {
    let output = Command::new("cc")
        .args(STRICT)
        .args(flags)
        .arg("-I")
        .arg(here("../plugin-api/include"))
        .arg(source)
        .arg("-o")
        .arg(into)
        .arg("-ldl")
        .output()
        .expect("a C compiler, which Rust needs as well");
    assert!(
        output.status.success(),
        "{} does not compile:\n{}",
        source.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The file of this name among what was built, made by `make` the first time it is asked for.
fn once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    static MADE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    // Held while it is made: others that want the same wait for it.
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = made.get(name) {
        return path.clone();
    }
    let path = built().join(name);
    std::fs::create_dir_all(path.parent().expect("is in a folder")).expect("makes the folder");
    // By renaming: another test run may be using the old one.
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    make(&draft);
    std::fs::rename(draft, &path).expect("names it");
    made.insert(name.to_owned(), path.clone());
    path
}
