//! The store under test: opened, closed and crashed as the test says.

use std::ops::Deref;
use std::sync::Arc;

use super::engine::{Engine, Setup};

/// A store and the place where it is kept.
pub(super) struct Subject<E: Engine> {
    /// The place.
    pub(super) engine: E,
    /// How it is opened the next time.
    pub(super) setup: Setup,
    store: Option<Arc<E::Store>>,
}

impl<E: Engine> Subject<E> {
    /// A new store with [`Setup::default`].
    pub(super) fn new() -> Self {
        Self::with(Setup::default())
    }

    /// A new store.
    pub(super) fn with(setup: Setup) -> Self {
        Self::at(E::new(), setup)
    }

    /// The store that is kept there.
    pub(super) fn at(engine: E, setup: Setup) -> Self {
        let mut subject = Self {
            engine,
            setup,
            store: None,
        };
        subject.open();
        subject
    }

    /// Opens it, after [`Self::close`].
    pub(super) fn open(&mut self) {
        let opened = blocking(|| self.engine.open(&self.setup));
        self.store = Some(Arc::new(opened.expect("the store opens")));
    }

    /// Closes it.
    pub(super) fn close(&mut self) {
        let store = self.take();
        blocking(|| self.engine.close(store));
    }

    /// Closes it and opens it again.
    pub(super) fn reopen(&mut self) {
        self.close();
        self.open();
    }

    /// Opens it again after a crash.
    pub(super) fn crash(&mut self) {
        let store = self.take();
        blocking(|| self.engine.crash(store));
        self.open();
    }

    /// The store, to be used by several. All must be gone before it is closed.
    pub(super) fn share(&self) -> Arc<E::Store> {
        Arc::clone(self.store.as_ref().expect("open"))
    }

    fn take(&mut self) -> E::Store {
        let store = self.store.take().expect("open");
        Arc::into_inner(store).expect("nobody else has the store")
    }
}

impl<E: Engine> Deref for Subject<E> {
    type Target = E::Store;

    fn deref(&self) -> &E::Store {
        self.store.as_ref().expect("open")
    }
}

/// Does what may block where blocking is not allowed.
pub(super) fn blocking<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    let done = std::thread::scope(|scope| scope.spawn(what).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
