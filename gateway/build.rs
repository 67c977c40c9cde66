//! Makes the list of the `http` plugin's presets, so that `leadgate init` offers each of them, and
//! that of the SDK's files, which `leadgate plugin new` puts into a project.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Asked now: a build kept from another checkout would have that one's folder in it.
    let here = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("no folder"))?;
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no OUT_DIR"))?;
    let (here, out) = (Path::new(&here), Path::new(&out));
    fs::write(out.join("presets.rs"), presets(here)?)?;
    fs::write(out.join("sdk.rs"), sdk(here)?)
}

fn presets(here: &Path) -> io::Result<String> {
    let folder = here.join("../plugins/http/presets");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files: Vec<_> = fs::read_dir(&folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "toml")
    });
    files.sort();
    let mut list = String::from("[\n");
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let path = file.to_string_lossy();
        let _ = writeln!(list, "({name:?}, include_str!({path:?})),");
    }
    list.push(']');
    Ok(list)
}

/// All of the package but its manifest, which is made for each project, and its own tests.
fn sdk(here: &Path) -> io::Result<String> {
    let folder = here.join("../plugin-api");
    let mut files = Vec::new();
    for part in ["src", "include"] {
        println!("cargo:rerun-if-changed={}", folder.join(part).display());
        walk(&folder.join(part), &mut files)?;
    }
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let extension = path.extension().unwrap_or_default();
        if extension == "md" || extension == "json" {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    files.sort();
    let mut list = String::from("[\n");
    for file in files {
        let Ok(name) = file.strip_prefix(&folder) else {
            continue;
        };
        let (name, file) = (name.to_string_lossy(), file.to_string_lossy());
        let _ = writeln!(list, "({name:?}, include_str!({file:?})),");
    }
    list.push(']');
    Ok(list)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
