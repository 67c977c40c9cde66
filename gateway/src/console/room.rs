//! A room: one path of the console with what is done there by each method.

use actix_web::{FromRequest, Handler, Resource, Responder, web};

use crate::admin::only;

/// A path and what answers there.
pub(super) struct Room {
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the tests of all pages list them")
    )]
    pub(super) path: &'static str,
    pub(super) methods: Vec<&'static str>,
    resource: Resource,
}

/// A path without methods yet.
pub(super) fn at(path: &'static str) -> Room {
    Room {
        path,
        methods: Vec::new(),
        resource: web::resource(path),
    }
}

impl Room {
    /// Takes forms of so many bytes, where other rooms take fewer.
    pub(super) fn takes(mut self, bytes: usize) -> Self {
        let larger = web::PayloadConfig::new(bytes);
        self.resource = self.resource.app_data(larger);
        self
    }

    /// A page.
    pub(super) fn get<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.push("GET");
        self.resource = self.resource.route(web::get().to(handler));
        self
    }

    /// What a form does; its handler takes a form of the session, or anybody may send it.
    pub(super) fn post<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.push("POST");
        self.resource = self.resource.route(web::post().to(handler));
        self
    }

    /// Ready to be served; any other method is refused with those that are taken.
    pub(super) fn resource(self) -> Resource {
        only(self.resource, self.methods.join(", "))
    }
}
