//! Inside: the API as a page of the same process asks it: the same handlers, without HTTP.
//!
//! What is asked is asked as whoever sent the request that the page answers, and goes through the
//! same gate: who may not do it by the API may not do it by a page. All that a handler checks, logs
//! and records of a request holds for pages, too. One call ends before the next one begins.

use std::rc::Rc;

use actix_web::body::MessageBody;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::params::{Body, Query};
use super::problem::{Kind, Problem};
use super::resources::{About, let_in};
use super::{
    Admin, api, audit, deliveries, erase, failures, jobs, leads, preview, privacy, pushes,
    quarantine, reading, release, reload, system, tokens,
};
use crate::outbox::{DeliveryId, LeadId};

/// The API, asked on behalf of one request.
#[derive(Clone)]
pub(crate) struct Inside {
    admin: web::Data<Admin>,
    request: HttpRequest,
}

/// What the API answers.
pub(crate) type Answer = Result<Value, Problem>;

/// Handlers that look: what each is called here, what stands in its path, its path and itself.
macro_rules! reads {
    ($($name:ident($($id:ident)?) = $path:literal, $handler:path;)*) => {
        impl Inside {
            $(#[doc = concat!("`GET ", $path, "`")]
            pub(crate) async fn $name(&self $(, $id: &str)?, query: &str) -> Answer {
                self.enters("GET", $path, query)?;
                let answer = $handler(
                    self.admin.clone(),
                    $(web::Path::from($id.to_owned()),)?
                    self.request.clone(),
                );
                value(answer.await)
            })*

            /// What each answers of that id, with its method and path.
            #[cfg(test)]
            async fn each_read(&self, id: &str, query: &str) -> Vec<(&'static str, &'static str, Answer)> {
                vec![$(("GET", $path, {
                    $(let $id = id;)?
                    self.$name($($id,)? query).await
                })),*]
            }
        }
    };
}

/// Handlers that do something: what each is called here, what stands in its path, its body, its
/// path and itself.
macro_rules! acts {
    ($($name:ident($($id:ident)?)($($body:ident)?) = $path:literal, $handler:path;)*) => {
        impl Inside {
            $(#[doc = concat!("`POST ", $path, "`")]
            pub(crate) async fn $name(&self $(, $id: &str)? $(, $body: &Value)?) -> Answer {
                self.enters("POST", $path, "")?;
                let answer = $handler(
                    self.admin.clone(),
                    $(web::Path::from($id.to_owned()),)?
                    self.request.clone(),
                    $(Body::of($body),)?
                );
                value(answer.await)
            })*

            /// What each answers to that body for that id, with its method and path.
            #[cfg(test)]
            async fn each_act(&self, id: &str, body: &Value) -> Vec<(&'static str, &'static str, Answer)> {
                vec![$(("POST", $path, {
                    $(let $id = id;)?
                    $(let $body = body;)?
                    self.$name($($id,)? $($body)?).await
                })),*]
            }
        }
    };
}

reads! {
    stats() = "/stats", super::show_stats;
    system() = "/system", system::show;
    deliveries() = "/deliveries", deliveries::list;
    delivery(id) = "/deliveries/{id}", deliveries::show;
    preview(id) = "/deliveries/{id}/preview", preview::show;
    failures() = "/failure-groups", failures::list;
    leads() = "/leads", leads::list;
    lead(id) = "/leads/{id}", leads::show;
    raw(id) = "/leads/{id}/raw", leads::raw;
    pushes() = "/pushes", pushes::list;
    push(number) = "/pushes/{number}", pushes::show;
    quarantine() = "/quarantine", quarantine::list;
    quarantined(id) = "/quarantine/{id}", quarantine::show;
    audit() = "/audit", audit::list;
    audit_state() = "/audit/verify", audit::verify;
    tokens() = "/tokens", tokens::list;
    jobs() = "/bulk", jobs::list;
    job(id) = "/bulk/{id}", jobs::show;
}

acts! {
    reload()() = "/reload", reload::reload;
    search()(body) = "/leads/search", leads::search;
    erase()(body) = "/leads/erase", erase::erase;
    retry(id)(body) = "/deliveries/{id}/retry", deliveries::retry;
    cancel(id)() = "/deliveries/{id}/cancel", deliveries::cancel;
    done(id)(body) = "/deliveries/{id}/done", deliveries::done_by_hand;
    release(id)(body) = "/quarantine/{id}/release", release::release;
    discard(id)() = "/quarantine/{id}/discard", release::discard;
    add_token()(body) = "/tokens", tokens::add;
    revoke_token(name)() = "/tokens/{name}/revoke", tokens::revoke;
    plan_job()(body) = "/bulk", jobs::plan;
    start_job(id)(body) = "/bulk/{id}/start", jobs::start;
    cancel_job(id)(body) = "/bulk/{id}/cancel", jobs::cancel;
}

thread_local! {
    /// What is known of all paths, said once for each thread that answers.
    static ABOUTS: Vec<Rc<About>> = api::abouts().collect();
}

impl Inside {
    /// For pages that answer `request`, which has its actor.
    pub(crate) fn of(admin: web::Data<Admin>, request: HttpRequest) -> Self {
        Self { admin, request }
    }

    /// What the API works on.
    pub(crate) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// `GET /audit/export`, as it is streamed.
    pub(crate) async fn audit_export(&self, query: &str) -> Result<HttpResponse, Problem> {
        self.enters("GET", "/audit/export", query)?;
        audit::export(self.admin.clone(), self.request.clone()).await
    }

    /// The newest revision of each of these leads, masked; `null` where one is gone.
    pub(crate) async fn glimpses(&self, ids: Vec<LeadId>) -> Result<Vec<Value>, Problem> {
        self.enters("GET", "/leads", "")?;
        let read = reading(&self.admin, move |admin| {
            let masked = ids.into_iter().map(|id| glimpse(admin, id));
            masked.collect::<Result<_, Problem>>()
        });
        read.await
    }

    /// The same of the leads that these deliveries are of.
    pub(crate) async fn glimpses_of(&self, ids: Vec<DeliveryId>) -> Result<Vec<Value>, Problem> {
        self.enters("GET", "/deliveries/{id}", "")?;
        let read = reading(&self.admin, move |admin| {
            let masked = ids.into_iter().map(|id| match admin.outbox.delivery(id)? {
                Some(delivery) => glimpse(admin, delivery.lead),
                None => Ok(Value::Null),
            });
            masked.collect::<Result<_, Problem>>()
        });
        read.await
    }

    /// Reads the disk on a thread that may block. What is read must name nobody: it goes through no
    /// gate.
    pub(crate) async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Admin) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        reading(&self.admin, read).await
    }

    /// Through the gate of the API, as whoever sent the request; the handler behind it reads this
    /// query.
    fn enters(&self, method: &str, path: &str, query: &str) -> Result<(), Problem> {
        let is_it = |about: &&Rc<About>| about.method == method && about.path == path;
        let about = ABOUTS.with(|all| all.iter().find(is_it).cloned());
        let unknown = || {
            let detail = ("the API has no such path", "API 没有这个路径");
            Problem::new(Kind::Internal, detail)
        };
        let_in(&self.request, about.ok_or_else(unknown)?, query)?;
        let mut extensions = self.request.extensions_mut();
        extensions.insert(Query(query.to_owned()));
        Ok(())
    }
}

/// The newest revision of a lead, masked; `null` if it is gone. Reads the disk.
fn glimpse(admin: &Admin, id: LeadId) -> Result<Value, Problem> {
    let newest = admin.outbox.lead(id, 0)?;
    Ok(newest.map_or(Value::Null, |lead| privacy::masked(&lead.lead)))
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

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use serde_json::json;

    use super::super::tests::{Desk, desk};
    use super::*;
    use crate::outbox::{Actor, Role, Via};

    const ID: &str = "01937f4e-8a6b-7c3d-9e2f-0123456789ab";

    fn inside(desk: &Desk, role: Role) -> Inside {
        let request = TestRequest::default().to_http_request();
        request.extensions_mut().insert(Actor {
            name: "wang".to_owned(),
            role,
            via: Via::Console,
            peer: None,
        });
        Inside::of(web::Data::from(desk.admin.clone()), request)
    }

    #[actix_web::test]
    async fn every_call_goes_through_the_gate_of_its_path() {
        let desk = desk();
        let mut refused = 0;
        for role in Role::ALL {
            let inside = inside(&desk, role);
            let mut all = inside.each_read(ID, "").await;
            all.extend(inside.each_act(ID, &json!({ "lead": ID })).await);
            for (method, path, answer) in all {
                let about = api::abouts().find(|one| one.method == method && one.path == path);
                let needed = about.expect("the API has it").role;
                let kind = answer.err().map(|problem| problem.kind());
                assert_ne!(kind, Some(Kind::Internal), "{method} {path}");
                let is_refused = kind == Some(Kind::RoleTooLow);
                assert_eq!(is_refused, role < needed, "{role} {method} {path}");
                refused += usize::from(is_refused);
            }
        }
        assert!(refused >= 10, "{refused}");
    }

    #[actix_web::test]
    async fn a_parameter_that_takes_more_is_refused_inside_too() {
        let desk = desk();
        for role in Role::ALL {
            let all = inside(&desk, role).each_read(ID, "reveal=true").await;
            let mut taken = 0;
            for (method, path, answer) in all {
                let about = api::abouts().find(|one| one.method == method && one.path == path);
                let parameters = &about.expect("the API has it").parameters;
                if !parameters.iter().any(|one| one.name == "reveal") {
                    continue;
                }
                let kind = answer.err().map(|problem| problem.kind());
                let is_refused = kind == Some(Kind::RoleTooLow);
                assert_eq!(is_refused, role < Role::Admin, "{role} {path}");
                taken += 1;
            }
            assert!(taken >= 3, "{taken}");
        }
    }

    #[actix_web::test]
    async fn what_takes_an_admin_in_a_body_is_refused_inside_too() {
        let desk = desk();
        let wish = json!({ "action": "erase", "source": "shop" });
        for role in Role::ALL {
            let planned = inside(&desk, role).plan_job(&wish).await;
            let kind = planned.err().map(|problem| problem.kind());
            assert_eq!(kind == Some(Kind::RoleTooLow), role < Role::Admin, "{role}");
        }
    }
}
