//! Inherited descriptors: closed before anything of another hand runs.
//!
//! Ours close themselves when a child starts; those of a library in the daemon, or of whoever
//! started the daemon, may not.

/// Closes every descriptor beyond standard input, output and error. Only for a process that has
/// opened none itself.
pub(in crate::plugin) fn close() -> std::io::Result<()> {
    // SAFETY: called first thing in `main` of a child: no object of this process owns any of
    // these descriptors, so none is closed under somebody's hands.
    let closed = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    if closed == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}
