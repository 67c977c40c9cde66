//! The kit's source, as it was when this program was built, for projects that are written before
//! a kit is published.
//!
//! Its manifest names much by the workspace that it is part of; outside of it that is written out.

use toml::{Table, Value};

/// Path in the package, and text.
pub(super) const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
const WORKSPACE: &str = include_str!("../../../../../Cargo.toml");
const MANIFEST: &str = include_str!("../../../../../plugin-api/Cargo.toml");
const HEADER: &str = include_str!("../../../../../plugin-api/include/leadgate_plugin.h");

/// The C side of the contract.
pub(super) fn header() -> &'static str {
    HEADER
}

/// The manifest of the kit as a package that stands alone.
pub(super) fn manifest() -> Result<String, String> {
    let manifest = standalone(MANIFEST, WORKSPACE)?;
    Ok(format!(
        "# The kit as it was in leadgate {}.\n{manifest}",
        env!("CARGO_PKG_VERSION")
    ))
}

/// A member's manifest with all that it has from its workspace written out, and without what only
/// its own tests and lints need.
fn standalone(manifest: &str, workspace: &str) -> Result<String, String> {
    let read = |text: &str| text.parse::<Table>().map_err(|error| error.to_string());
    let (mut manifest, workspace) = (read(manifest)?, read(workspace)?);
    let workspace = table(&workspace, "workspace");
    for section in ["dev-dependencies", "lints"] {
        manifest.remove(section);
    }
    let shared = table(&workspace, "package");
    if let Some(Value::Table(package)) = manifest.get_mut("package") {
        let mut own = Table::new();
        for (key, value) in std::mem::take(package) {
            let value = if is_shared(&value) {
                shared.get(&key).cloned()
            } else {
                Some(value)
            };
            // What a kit beside a plugin is never used for.
            if let Some(value) = value.filter(|_| key != "publish") {
                own.insert(key, value);
            }
        }
        *package = own;
    }
    let shared = table(&workspace, "dependencies");
    for section in ["dependencies", "build-dependencies"] {
        if let Some(Value::Table(dependencies)) = manifest.get_mut(section) {
            written_out(dependencies, &shared)?;
        }
    }
    if let Some(Value::Table(targets)) = manifest.get_mut("target") {
        for (_, target) in targets {
            let Value::Table(target) = target else {
                continue;
            };
            target.remove("dev-dependencies");
            if let Some(Value::Table(dependencies)) = target.get_mut("dependencies") {
                written_out(dependencies, &shared)?;
            }
        }
    }
    toml::to_string(&manifest).map_err(|error| error.to_string())
}

fn table(above: &Table, key: &str) -> Table {
    match above.get(key) {
        Some(Value::Table(table)) => table.clone(),
        _ => Table::new(),
    }
}

fn is_shared(value: &Value) -> bool {
    value.get("workspace") == Some(&Value::Boolean(true))
}

fn written_out(dependencies: &mut Table, shared: &Table) -> Result<(), String> {
    for (name, wanted) in dependencies {
        if !is_shared(wanted) {
            continue;
        }
        let Value::Table(more) = std::mem::replace(wanted, Value::Boolean(false)) else {
            continue;
        };
        let mut whole = match shared.get(name) {
            Some(Value::Table(table)) => table.clone(),
            Some(version) => {
                let mut table = Table::new();
                table.insert("version".to_owned(), version.clone());
                table
            }
            None => return Err(format!("the workspace has no {name}")),
        };
        for (key, value) in more {
            match (key.as_str(), whole.get_mut(&key), value) {
                ("workspace", ..) => {}
                ("features", Some(Value::Array(features)), Value::Array(more)) => {
                    features.extend(more);
                }
                (_, _, value) => {
                    whole.insert(key, value);
                }
            }
        }
        *wanted = Value::Table(whole);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_package_has_from_its_workspace_is_written_out() {
        let workspace = r#"
            [workspace.package]
            version = "1.2.3"
            publish = false
            [workspace.dependencies]
            a = "1"
            b = { version = "2", default-features = false, features = ["x"] }
        "#;
        let manifest = r#"
            [package]
            name = "kit"
            version.workspace = true
            publish.workspace = true
            [dependencies]
            a.workspace = true
            b = { workspace = true, features = ["y"], optional = true }
            c = "3"
            [dev-dependencies]
            d.workspace = true
            [lints]
            workspace = true
        "#;
        let written: Table = standalone(manifest, workspace)
            .expect("a manifest")
            .parse()
            .expect("TOML");
        let expected: Table = r#"
            [package]
            name = "kit"
            version = "1.2.3"
            [dependencies]
            a = { version = "1" }
            b = { version = "2", default-features = false, features = ["x", "y"], optional = true }
            c = "3"
        "#
        .parse()
        .expect("TOML");
        assert_eq!(written, expected);
        assert!(standalone("[dependencies]\nz.workspace = true", workspace).is_err());
    }

    #[test]
    fn the_kit_is_whole() {
        let manifest = manifest().expect("a manifest");
        assert!(!manifest.contains("workspace"), "{manifest}");
        for path in ["src/lib.rs", "src/abi.rs", "README.md"] {
            assert!(FILES.iter().any(|(file, _)| *file == path), "{path}");
        }
        // Each module that the kit names is there.
        let lib = FILES.iter().find(|(file, _)| *file == "src/lib.rs");
        let (_, lib) = lib.expect("src/lib.rs");
        let named = lib.lines().filter_map(|line| {
            let line = line
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ");
            line.strip_prefix("mod ")?.strip_suffix(';')
        });
        for module in named {
            let files = [format!("src/{module}.rs"), format!("src/{module}/mod.rs")];
            let is_there = FILES
                .iter()
                .any(|(file, _)| files.iter().any(|one| one == file));
            assert!(is_there, "{module}");
        }
    }
}
