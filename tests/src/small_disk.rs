//! The small disk: a tmpfs of a few megabytes that really runs full.
//!
//! Mounted in a mount namespace of its own, which needs no root. A shell holds the namespace
//! open, so that the disk outlives the daemons that are started in it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A mounted disk.
pub struct SmallDisk {
    folder: TempDir,
    holder: Child,
}

impl SmallDisk {
    /// Mounts one; the reason if this machine does not allow it.
    pub fn mount(mebibytes: u32) -> Result<Self, String> {
        let text = |error: std::io::Error| format!("unshare, sh or mount: {error}");
        let folder = tempfile::tempdir().map_err(text)?;
        let script = format!(
            "mount -t tmpfs -o size={mebibytes}m,mode=700 tmpfs \"$0\" && echo mounted && read -r _"
        );
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", &script])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(text)?;
        let mut said = String::new();
        let stdout = holder.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut said).map_err(text)?;
        if said == "mounted\n" {
            return Ok(Self { folder, holder });
        }
        let output = holder.wait_with_output().map_err(text)?;
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// Where it is, for processes that run [`Self::under`] it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The command to run a process under, so that it sees the disk.
    pub fn under(&self) -> Vec<String> {
        let target = self.holder.id().to_string();
        ["nsenter", "--user", "--mount", "--preserve-credentials"]
            .into_iter()
            .chain(["--target", &target])
            .map(str::to_owned)
            .collect()
    }

    /// Makes it larger.
    ///
    /// # Panics
    ///
    /// If it cannot be.
    pub fn grow(&self, mebibytes: u32) {
        let under = self.under();
        let status = Command::new(&under[0])
            .args(&under[1..])
            .args(["mount", "-o", &format!("remount,size={mebibytes}m")])
            .arg(self.path())
            .status()
            .expect("nsenter runs");
        assert!(status.success(), "the disk grows");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
