//! The shim: our own library that stands between the daemon and libc (`faults/shim.c`).
//!
//! Compiled on demand with `cc`. What goes wrong is said by files in a control folder, so a
//! test can change it while the daemon runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::daemon::Daemon;
use crate::here;
use crate::program::{built, output_with};
use crate::setup::Setup;

/// An error number, for [`Fault::Sync`] and [`Fault::Write`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Errno {
    /// EIO: the device failed.
    Io = 5,
    /// ENOSPC: the disk is full.
    NoSpace = 28,
}

/// What goes wrong from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// After `skip` more syncs of the store's files `count` of them fail; 0 for all.
    Sync {
        /// What they fail with.
        errno: Errno,
        /// How many still succeed.
        skip: u32,
        /// How many fail.
        count: u32,
    },
    /// After `skip` more writes to the store's files `count` of them fail; 0 for all.
    Write {
        /// What they fail with.
        errno: Errno,
        /// How many still succeed.
        skip: u32,
        /// How many fail.
        count: u32,
    },
    /// Each sync takes this many milliseconds longer.
    SlowSync(u32),
    /// Each write takes this many milliseconds longer.
    SlowWrite(u32),
    /// The wall clock is this many seconds ahead, or behind.
    Clock(i64),
}

impl Fault {
    fn file(self) -> (&'static str, String) {
        match self {
            Self::Sync { errno, skip, count } => {
                ("sync-error", format!("{} {skip} {count}", errno as i32))
            }
            Self::Write { errno, skip, count } => {
                ("write-error", format!("{} {skip} {count}", errno as i32))
            }
            Self::SlowSync(millis) => ("sync-delay", millis.to_string()),
            Self::SlowWrite(millis) => ("write-delay", millis.to_string()),
            Self::Clock(seconds) => ("clock", seconds.to_string()),
        }
    }
}

impl Setup {
    /// With the shim between the daemon and libc; [`Daemon::inject`] then works.
    #[must_use]
    pub fn under_shim(mut self) -> Self {
        let library = library().display().to_string();
        for (name, value) in [
            ("LD_PRELOAD", library.as_str()),
            ("LEADGATE_SHIM_PATH", "@FOLDER@/store"),
            ("LEADGATE_SHIM_CONTROL", "@FOLDER@/control"),
        ] {
            self.environment.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// With the shim, recording what reaches the store into `trace` in the daemon's folder.
    #[must_use]
    pub fn recorded(self) -> Self {
        let mut setup = self.under_shim();
        setup.environment.push((
            "LEADGATE_SHIM_TRACE".to_owned(),
            "@FOLDER@/trace".to_owned(),
        ));
        setup
    }
}

impl Daemon {
    /// Lets something go wrong from now on.
    ///
    /// # Panics
    ///
    /// If the control folder cannot be written.
    pub fn inject(&self, fault: Fault) {
        let (name, text) = fault.file();
        self.control(name, &text);
    }

    fn control(&self, name: &str, text: &str) {
        let control = self.folder().join("control");
        std::fs::create_dir_all(&control).expect("makes the control folder");
        // By renaming: the shim must never read half a line.
        let draft = control.join("draft");
        std::fs::write(&draft, text).expect("writes the control file");
        std::fs::rename(draft, control.join(name)).expect("names the control file");
    }

    /// Lets only files go wrong whose names below the store match one of these patterns.
    ///
    /// # Panics
    ///
    /// If the control folder cannot be written.
    pub fn only(&self, patterns: &[&str]) {
        self.control("only", &patterns.join(" "));
    }

    /// Lets nothing go wrong any more.
    ///
    /// # Panics
    ///
    /// If the control folder is there and cannot be removed.
    pub fn heal(&self) {
        let control = self.folder().join("control");
        if control.exists() {
            std::fs::remove_dir_all(control).expect("removes the control folder");
        }
    }

    /// Where the shim records to.
    pub fn trace(&self) -> PathBuf {
        self.folder().join("trace")
    }

    /// Runs a command on its configuration; what the command does to `folder` is recorded, behind
    /// what the trace has already.
    ///
    /// # Panics
    ///
    /// If the command does not run.
    pub fn recorded(&self, folder: &Path, args: &[&str]) -> Output {
        let config = self.folder().join("leadgate.toml");
        let config = ["--config", config.to_str().expect("text")];
        let (library, trace) = (library().display(), self.trace());
        let environment = [
            ("LD_PRELOAD", library.to_string()),
            ("LEADGATE_SHIM_PATH", folder.display().to_string()),
            ("LEADGATE_SHIM_TRACE", trace.display().to_string()),
        ];
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        output_with(&[args, &config].concat(), &environment, "")
    }
}

/// The compiled shim.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = built().join("libleadgate_shim.so");
        // By renaming: another test run may be using the old one.
        let draft = built().join(format!("libleadgate_shim.{}", std::process::id()));
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-o"])
            .arg(&draft)
            .arg(here("faults/shim.c"))
            .args(["-ldl", "-lpthread"])
            .status()
            .expect("a C compiler is there as `cc`");
        assert!(status.success(), "the shim cannot be compiled");
        std::fs::rename(draft, &library).expect("names the shim");
        library
    })
}
