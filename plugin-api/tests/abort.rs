//! A plugin in which a panic would end the process does not compile, and says why. What it is
//! tried on needs of all crates `leadgate-plugin` alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PLUGIN: &str = r#"
use leadgate_plugin::{Delivery, Host, Outcome, Problems, Sink, schemars, serde};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "leadgate_plugin::serde", deny_unknown_fields)]
#[schemars(crate = "leadgate_plugin::schemars")]
pub struct Settings {
    /// Whatever.
    pub name: String,
}

pub struct Small(Settings);

impl Sink for Small {
    type Settings = Settings;
    type Parts = Settings;

    fn prepare(settings: &Settings, _: &Host) -> Result<Settings, Problems> {
        Ok(Settings { name: settings.name.clone() })
    }

    fn new(settings: Settings, _: Host) -> Result<Self, Problems> {
        Ok(Self(settings))
    }

    async fn deliver(&self, _: &Delivery) -> Outcome {
        let name = self.0.name.clone();
        let length = leadgate_plugin::spawn_blocking(move || name.len()).await;
        Outcome::delivered(leadgate_plugin::serde_json::json!({"n": length.ok()}).to_string())
    }
}

leadgate_plugin::export_sink!(leadgate_plugin_small, Small);
"#;

/// The folder with the crates that cargo has built.
fn built() -> PathBuf {
    let program = std::env::current_exe().expect("this program's path");
    program.parent().expect("is in a folder").to_owned()
}

/// Compiles the plugin against that library as far as its types.
fn compiled(folder: &Path, library: &Path, panic: &str) -> Output {
    let source = folder.join("small.rs");
    std::fs::write(&source, PLUGIN).expect("writes");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "--crate-type=lib", "--emit=metadata"]);
    rustc.arg("-C").arg(format!("panic={panic}"));
    rustc
        .arg("-L")
        .arg(format!("dependency={}", built().display()));
    let library = format!("leadgate_plugin={}", library.display());
    rustc.arg("--extern").arg(library).arg(&source);
    rustc.arg("--out-dir").arg(folder);
    rustc.output().expect("rustc is where cargo is")
}

#[test]
fn a_plugin_that_would_abort_does_not_compile_and_is_told_what_to_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let libraries = std::fs::read_dir(built()).expect("reads");
    let mut libraries: Vec<_> = libraries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libleadgate_plugin-") && name.ends_with(".rlib")
        })
        .collect();
    // Others may be left of earlier builds.
    libraries.sort_by_key(|path| {
        std::fs::metadata(path)
            .and_then(|data| data.modified())
            .ok()
    });
    let library = libraries.last().expect("the library that is tested");
    let good = compiled(folder.path(), library, "unwind");
    let said = String::from_utf8_lossy(&good.stderr);
    assert!(good.status.success(), "{said}");
    let bad = compiled(folder.path(), library, "abort");
    let said = String::from_utf8_lossy(&bad.stderr);
    assert!(!bad.status.success());
    assert!(
        said.contains("must be built with `panic = \"unwind\"`") && said.contains("Cargo.toml"),
        "{said}"
    );
}
