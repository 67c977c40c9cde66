//! The program: where cargo put what is tested, and its commands.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The binary under test, built once for each test run.
///
/// # Panics
///
/// If it cannot be built.
pub fn binary() -> PathBuf {
    built().join("leadgate")
}

/// The library of badly behaving sinks.
pub fn library() -> PathBuf {
    built().join("examples/libmisbehaving.so")
}

/// The library of the plugin of that name, one of this package's examples.
pub fn example(name: &str) -> PathBuf {
    built().join(format!("examples/lib{name}.so"))
}

/// The folder with what cargo built, in which this program is as well.
pub(crate) fn built() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let program = std::env::current_exe().expect("the program's own path");
            let folder = program.parent().expect("is in a folder");
            // target/PROFILE/deps/test or target/PROFILE/program
            let folder = if folder.ends_with("deps") {
                folder.parent().expect("target/PROFILE")
            } else {
                folder
            };
            let folder = folder.to_owned();
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut build = Command::new(cargo);
            build.args(["build", "--quiet", "--workspace", "--bins", "--examples"]);
            if cfg!(feature = "all-plugins") {
                build.arg("--all-features");
            }
            if folder.ends_with("release") {
                build.arg("--release");
            }
            // What cargo tells this test about its package is not for the other packages:
            // build scripts that look at it would run again, and with them everything.
            for (name, _) in std::env::vars_os() {
                if name.to_string_lossy().starts_with("CARGO_PKG_")
                    || name.to_string_lossy().starts_with("CARGO_MANIFEST_")
                {
                    build.env_remove(name);
                }
            }
            let status = build
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status()
                .expect("cargo runs");
            assert!(status.success(), "the binary under test cannot be built");
            folder
        })
        .clone()
}

/// Runs the binary with arguments and environment variables.
///
/// # Panics
///
/// If it cannot be run.
pub fn output(args: &[&str], environment: &[(&str, &str)]) -> Output {
    output_with(args, environment, "")
}

/// Runs the binary with arguments, environment variables and what it reads from stdin.
///
/// # Panics
///
/// If it cannot be run.
pub fn output_with(args: &[&str], environment: &[(&str, &str)], stdin: &str) -> Output {
    let mut child = Command::new(binary())
        .args(args)
        .env_remove("LEADGATE_CONFIG")
        .env("LEADGATE_LANG", "en")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut pipe = child.stdin.take().expect("piped");
    // A command that does not read its stdin may have ended already.
    let _ = pipe.write_all(stdin.as_bytes());
    drop(pipe);
    child.wait_with_output().expect("the binary ends")
}

/// All that a program said.
pub fn output_of(output: &Output) -> String {
    let [said, errors] = [&output.stdout, &output.stderr].map(|one| String::from_utf8_lossy(one));
    format!("{}\n{said}{errors}", output.status)
}
