//! Freezing: a server that neither answers nor ends, and goes on later as if nothing had been.

use std::path::Path;
use std::process::Command;

use crate::until;

/// Stops a process, or with `group` all of its group, or lets it go on. Returns only when every
/// thread stands still: on a busy machine one may go on for a while after the signal.
///
/// # Panics
///
/// If there is no `kill`, or something does not stop.
pub(crate) fn freeze(process: u32, group: bool, frozen: bool) {
    let signal = if frozen { "-STOP" } else { "-CONT" };
    let whom = if group {
        format!("-{process}")
    } else {
        process.to_string()
    };
    let status = Command::new("kill").args([signal, "--", &whom]).status();
    assert!(status.expect("kill runs").success());
    if frozen {
        until("all of it stands still", || stands_still(process, group));
    }
}

fn stands_still(process: u32, group: bool) -> bool {
    let entries = std::fs::read_dir("/proc").expect("Linux");
    let folders = entries.flatten().map(|entry| entry.path());
    let mut ours = folders.filter(|folder| {
        let fields = stat(folder);
        let of = fields.get(if group { 2 } else { usize::MAX });
        let named = folder
            .file_name()
            .is_some_and(|name| *name == *process.to_string());
        named || of.is_some_and(|of| *of == process.to_string())
    });
    ours.all(|folder| {
        let threads = std::fs::read_dir(folder.join("task"));
        let mut threads = threads.into_iter().flatten().flatten();
        threads.all(|thread| {
            let fields = stat(&thread.path());
            // Stopped, or about to be gone.
            fields
                .first()
                .is_none_or(|state| matches!(&**state, "T" | "Z" | "X"))
        })
    })
}

/// The fields behind the name: state, parent, group, and so on; none if it is gone.
fn stat(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("stat")).unwrap_or_default();
    let behind = text.rsplit_once(')').map_or("", |(_, behind)| behind);
    behind.split_whitespace().map(str::to_owned).collect()
}
