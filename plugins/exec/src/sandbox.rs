//! The sandbox of a program: what the merchant allows it, beside what it cannot do without.
//!
//! Without a word it reads the system's programs and libraries and the files that its command
//! names, writes nothing, and connects anywhere: what a script needs that hands a lead to a
//! system. It reads neither the configuration nor the outbox.

use std::path::{Path, PathBuf};

use leadgate_plugin::ByteSize;
use leadgate_plugin::child::Sandbox;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Where a system keeps programs, and what the kernel loads to start them.
const SYSTEM: [&str; 9] = [
    "/bin",
    "/usr/bin",
    "/usr/local/bin",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local/lib",
];

/// What a program may use of this machine, as far as the kernel can hold it to that. The keys are
/// those of `[plugins.NAME.sandbox]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxSettings {
    /// Whether there is any; false leaves only that no privileges are gained. Default true.
    pub enabled: Option<bool>,
    /// Memory of each process. Default "1GiB".
    pub memory: Option<ByteSize>,
    /// Open files and connections of each process. Default 1024.
    #[schemars(range(min = 64))]
    pub descriptors: Option<u64>,
    /// Processes and threads that leadgate's user may have in all. Default: no limit.
    #[schemars(range(min = 16))]
    pub processes: Option<u64>,
    /// Files and folders it may read, beside those that its command names and the system's.
    #[serde(default)]
    #[schemars(extend("items" = json!({"type": "string", "format": "path"})))]
    pub read: Vec<PathBuf>,
    /// Files and folders it may read and write.
    #[serde(default)]
    #[schemars(extend("items" = json!({"type": "string", "format": "path", "x-written": true})))]
    pub write: Vec<PathBuf>,
    /// Files and folders from which it may start programs, beside the system's.
    #[serde(default)]
    #[schemars(extend("items" = json!({"type": "string", "format": "path"})))]
    pub execute: Vec<PathBuf>,
    /// TCP ports it may connect to. Default: all.
    pub connect: Option<Vec<u16>>,
    /// Whether it may connect to sockets that are files, such as a local database's. Default false.
    pub unix_sockets: Option<bool>,
}

impl SandboxSettings {
    /// For a program at `path` whose command names `files`, and that runs in `own` if it has a
    /// folder of its own.
    pub(crate) fn sandbox(&self, path: &Path, files: &[PathBuf], own: Option<&Path>) -> Sandbox {
        if self.enabled == Some(false) {
            return Sandbox::open();
        }
        let mut sandbox = Sandbox::default();
        let Self {
            memory,
            descriptors,
            processes,
            connect,
            ..
        } = self;
        if let Some(memory) = memory {
            sandbox.memory = Some(memory.0);
        }
        sandbox.descriptors = descriptors.or(sandbox.descriptors);
        sandbox.processes = processes.or(sandbox.processes);
        sandbox.connect = connect.clone().or(sandbox.connect);
        sandbox.unix_sockets = self.unix_sockets.unwrap_or(sandbox.unix_sockets);
        sandbox.read.extend(files.iter().cloned());
        sandbox.read.extend(self.read.iter().cloned());
        sandbox.write.extend(self.write.iter().cloned());
        let system = SYSTEM.iter().map(PathBuf::from);
        // A system may lack some of them.
        sandbox.execute.extend(system.filter(|path| path.exists()));
        sandbox.execute.push(path.to_owned());
        sandbox.execute.extend(own.map(Path::to_owned));
        sandbox.execute.extend(self.execute.iter().cloned());
        sandbox
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_reaches_what_its_command_names_and_what_is_allowed() {
        let settings: SandboxSettings = serde_json::from_value(serde_json::json!({
            "memory": "256MiB", "descriptors": 64, "read": ["/srv/a"], "write": ["/srv/b"],
            "execute": ["/srv/c"], "connect": [443],
        }))
        .expect("settings");
        let files = [PathBuf::from("/etc/leadgate/erp.py")];
        let sandbox = settings.sandbox(Path::new("/opt/erp"), &files, Some(Path::new("/srv/erp")));
        assert_eq!(sandbox.memory, Some(256 << 20));
        assert_eq!(sandbox.descriptors, Some(64));
        assert_eq!(sandbox.connect, Some(vec![443]));
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(sandbox.read, paths(&["/etc/leadgate/erp.py", "/srv/a"]));
        assert_eq!(sandbox.write, paths(&["/srv/b"]));
        assert!(
            sandbox
                .execute
                .ends_with(&paths(&["/opt/erp", "/srv/erp", "/srv/c"]))
        );
        assert!(sandbox.execute.contains(&PathBuf::from("/usr/bin")));
        assert!(sandbox.files && sandbox.system_calls && !sandbox.unix_sockets);
    }

    #[test]
    fn what_is_not_said_is_the_sandbox_of_every_plugin() {
        let sandbox = SandboxSettings::default().sandbox(Path::new("/bin/sh"), &[], None);
        let usual = Sandbox::default();
        assert_eq!(
            (
                sandbox.memory,
                sandbox.descriptors,
                sandbox.processes,
                sandbox.connect
            ),
            (
                usual.memory,
                usual.descriptors,
                usual.processes,
                usual.connect
            )
        );
        assert_eq!(sandbox.files, usual.files);
        assert!(sandbox.read.is_empty() && sandbox.write.is_empty());
        let off: SandboxSettings =
            serde_json::from_value(serde_json::json!({"enabled": false})).expect("settings");
        assert_eq!(
            off.sandbox(Path::new("/bin/sh"), &[], None),
            Sandbox::open()
        );
    }
}
