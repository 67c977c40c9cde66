//! The local socket: where commands on this machine reach the daemon without a token.
//!
//! Opened when the outbox is: of processes on one outbox one alone has it, so a socket that was
//! left behind by another is nobody's. Who connects is judged by the kernel's word for who it is;
//! the mode of the file only keeps others from trying.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::StartError;
use crate::config::Config;

/// For whoever runs the daemon alone.
const MODE: u32 = 0o600;

/// A socket's file, for as long as the daemon runs.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

/// Opens it. Where nobody said where it is to be, the daemon does without if it cannot be there.
pub(super) fn open(config: &Config) -> Result<Option<(UnixListener, SocketFile)>, StartError> {
    let path = config.socket();
    match bind(&path) {
        Ok(listener) => {
            tracing::debug!(listener = "socket", path = %path.display(), "listener opened");
            Ok(Some((listener, SocketFile(path))))
        }
        Err(source) if config.admin.socket.is_some() => Err(StartError::Socket { path, source }),
        Err(error) => {
            tracing::warn!(
                path = %path.display(),
                error = %error,
                "local socket could not be opened; commands use admin.listen. Set admin.socket to another path"
            );
            Ok(None)
        }
    }
}

fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if is_left_behind(path)? {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Whether there is a socket to which nobody listens.
fn is_left_behind(path: &Path) -> std::io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => Ok(matches!(
            UnixStream::connect(path),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused
        )),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl SocketFile {
    /// Removes it: before the outbox is closed, when the next daemon may make its own.
    pub(super) fn remove(&self) {
        if let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), error = %error, "local socket stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_behind_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.sock");
        let first = bind(&path).expect("binds");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, MODE);
        assert_eq!(
            bind(&path).map_err(|error| error.kind()).err(),
            Some(ErrorKind::AddrInUse),
            "somebody listens"
        );
        drop(first);
        let second = bind(&path).expect("nobody listens any more");
        SocketFile(path.clone()).remove();
        assert!(!path.exists());
        drop(second);
        std::fs::write(&path, "a file").expect("writes");
        assert!(bind(&path).is_err(), "no socket");
        assert_eq!(std::fs::read(&path).expect("there"), b"a file");
    }
}
