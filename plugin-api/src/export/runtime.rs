//! The runtime of this library.

use std::sync::OnceLock;

/// Its threads.
const WORKERS: usize = 2;

/// The runtime of this library: one for all of its sinks, made at the first attempt.
pub(crate) fn runtime() -> std::io::Result<&'static tokio::runtime::Runtime> {
    static RUNTIME: OnceLock<std::io::Result<tokio::runtime::Runtime>> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(WORKERS)
                .thread_name("leadgate-plugin")
                .enable_all()
                .build()
        })
        .as_ref()
        .map_err(|error| std::io::Error::new(error.kind(), error.to_string()))
}
