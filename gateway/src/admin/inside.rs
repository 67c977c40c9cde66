//! Inside: the API as a page of the same process asks it: the same handlers, without HTTP.
//!
//! What is asked is asked as whoever sent the request that the page answers, so all that a
//! handler checks, logs and records of a request holds for pages, too.

use actix_web::body::MessageBody;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::params::{Body, Query};
use super::problem::{Kind, Problem};
use super::{Admin, deliveries, erase, leads, preview, privacy, reading, reload, stats, system};
use crate::outbox::LeadId;

/// The API, asked on behalf of one request.
#[derive(Clone)]
pub(crate) struct Inside {
    admin: web::Data<Admin>,
    request: HttpRequest,
}

/// What the API answers.
type Answer = Result<Value, Problem>;

/// Handlers that read: their method, the handler, and the path's variable if it has one.
macro_rules! reads {
    ($($(#[$doc:meta])* $name:ident($($id:ident)?) = $handler:path;)*) => {
        impl Inside {
            $($(#[$doc])*
            pub(crate) async fn $name(&self $(, $id: &str)?, query: &str) -> Answer {
                self.asks(query);
                let answer = $handler(
                    self.admin.clone(),
                    $(web::Path::from($id.to_owned()),)?
                    self.request.clone(),
                );
                value(answer.await)
            })*
        }
    };
}

/// Handlers that do something to what a path names, without a body or with one.
macro_rules! acts {
    ($($(#[$doc:meta])* $name:ident($id:ident $(, $body:ident)?) = $handler:path;)*) => {
        impl Inside {
            $($(#[$doc])*
            pub(crate) async fn $name(&self, $id: &str $(, $body: &Value)?) -> Answer {
                self.asks("");
                let answer = $handler(
                    self.admin.clone(),
                    web::Path::from($id.to_owned()),
                    self.request.clone(),
                    $(Body::of($body),)?
                );
                value(answer.await)
            })*
        }
    };
}

reads! {
    /// `GET /system`
    system() = system::show;
    /// `GET /deliveries`
    deliveries() = deliveries::list;
    /// `GET /deliveries/{id}`
    delivery(id) = deliveries::show;
    /// `GET /deliveries/{id}/preview`
    preview(id) = preview::show;
    /// `GET /leads`
    leads() = leads::list;
    /// `GET /leads/{id}`
    lead(id) = leads::show;
    /// `GET /leads/{id}/raw`
    raw(id) = leads::raw;
    /// `POST /reload`
    reload() = reload::reload;
}

acts! {
    /// `POST /deliveries/{id}/retry`
    retry(id, body) = deliveries::retry;
    /// `POST /deliveries/{id}/cancel`
    cancel(id) = deliveries::cancel;
    /// `POST /deliveries/{id}/done`
    done(id, body) = deliveries::done_by_hand;
}

impl Inside {
    /// For pages that answer `request`.
    pub(crate) fn of(admin: web::Data<Admin>, request: HttpRequest) -> Self {
        Self { admin, request }
    }

    /// What the API works on.
    pub(crate) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// `GET /stats`
    pub(crate) async fn stats(&self) -> Answer {
        let stats = reading(&self.admin, stats::read).await?;
        Ok(json!(stats))
    }

    /// `POST /leads/search`
    pub(crate) async fn search(&self, body: &Value) -> Answer {
        self.asks("");
        let (admin, request) = (self.admin.clone(), self.request.clone());
        value(leads::search(admin, request, Body::of(body)).await)
    }

    /// `POST /leads/erase`
    pub(crate) async fn erase(&self, body: &Value) -> Answer {
        self.asks("");
        let (admin, request) = (self.admin.clone(), self.request.clone());
        value(erase::erase(admin, request, Body::of(body)).await)
    }

    /// The newest revision of each of these leads, masked; `null` where one is gone.
    pub(crate) async fn glimpses(&self, ids: Vec<LeadId>) -> Result<Vec<Value>, Problem> {
        let read = reading(&self.admin, move |admin| {
            let masked = ids.into_iter().map(|id| {
                let newest = admin.outbox.lead(id, 0)?;
                Ok(newest.map_or(Value::Null, |lead| privacy::masked(&lead.lead)))
            });
            masked.collect::<Result<_, Problem>>()
        });
        read.await
    }

    /// A note, without what may be a phone.
    pub(crate) fn without_phones(&self, note: &str) -> String {
        privacy::without_phones(note)
    }

    /// Reads the disk on a thread that may block.
    pub(crate) async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Admin) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        reading(&self.admin, read).await
    }

    /// The next handler reads this query.
    fn asks(&self, query: &str) {
        let mut extensions = self.request.extensions_mut();
        extensions.insert(Query(query.to_owned()));
    }
}

fn value(answer: Result<HttpResponse, Problem>) -> Answer {
    let unread = || {
        let detail = ("the answer cannot be read", "应答无法读取");
        Problem::new(Kind::Internal, detail)
    };
    let body = answer?.into_body().try_into_bytes();
    let body = body.map_err(|_| unread())?;
    serde_json::from_slice(&body).map_err(|_| unread())
}
