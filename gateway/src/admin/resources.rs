//! The paths of the API with their methods, in a form that can be served and listed.

use actix_web::{FromRequest, Handler, Resource, Responder, web};

use super::problem::Problem;

/// One path.
pub(crate) struct At {
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the test of all paths lists them")
    )]
    pub(crate) path: &'static str,
    pub(crate) methods: Vec<&'static str>,
    resource: Resource,
}

/// A path under `/api/v1`, without methods yet.
pub(crate) fn at(path: &'static str) -> At {
    At {
        path,
        methods: Vec::new(),
        resource: web::resource(path),
    }
}

impl At {
    pub(crate) fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.add("GET", web::get().to(handler))
    }

    pub(crate) fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.add("POST", web::post().to(handler))
    }

    /// Takes bodies of so many bytes, where other paths take fewer.
    pub(crate) fn with_room(mut self, bytes: usize) -> Self {
        self.resource = self.resource.app_data(web::PayloadConfig::new(bytes));
        self
    }

    fn add(mut self, method: &'static str, route: actix_web::Route) -> Self {
        self.methods.push(method);
        self.resource = self.resource.route(route);
        self
    }

    /// Ready to be served; any other method is refused with those that are taken.
    pub(crate) fn resource(self) -> Resource {
        let allow = self.methods.join(", ");
        self.resource.default_service(web::to(move || {
            let allow = allow.clone();
            async move { Err::<actix_web::HttpResponse, _>(Problem::method(allow)) }
        }))
    }
}
