//! The console: pages on the operators' listener, made by the server.
//!
//! Each page asks the API from inside ([`crate::admin::Inside`]), so it shows and does what a
//! program or the command line may, and no more. Pages work without scripts; a script keeps
//! numbers fresh. Whoever comes in has a session; every form carries its secret; nothing of
//! another origin is loaded, and what is in a lead is text.

mod assets;
mod audit;
mod bulk;
mod curl;
mod deliveries;
mod desk;
mod erasing;
mod failures;
mod fields;
mod form;
mod frame;
mod guard;
mod language;
mod leads;
mod login;
mod never;
mod overview;
mod pushes;
mod quarantine;
mod received;
mod room;
mod sessions;
mod shown;
mod sinks;
mod system;
#[cfg(test)]
mod tests;
mod timeline;
mod tokens;

use std::sync::Arc;

use actix_web::middleware::from_fn;
use actix_web::web;

use self::received::Received;
use self::room::{Room, at};
use self::sessions::Sessions;

/// What pages keep from one request to the next; all in memory.
#[derive(Default)]
pub struct Console {
    sessions: Sessions,
    received: Received,
}

/// Adds the pages to what a listener answers.
pub fn pages(console: Arc<Console>) -> impl Fn(&mut web::ServiceConfig) + Clone {
    let console = web::Data::from(console);
    move |config| {
        let inside = rooms()
            .into_iter()
            .fold(web::scope(""), |scope, at| scope.service(at.resource()))
            .default_service(web::to(desk::no_such_page))
            .wrap(from_fn(guard::visit));
        let door = web::scope("")
            .app_data(console.clone())
            .service(at("/assets/{mark}/{name}").get(assets::serve).resource())
            .service(
                at("/login")
                    .get(login::show)
                    .post(login::come_in)
                    .resource(),
            )
            .service(inside)
            .wrap(from_fn(guard::dress));
        config.service(door);
    }
}

/// All pages behind the login.
fn rooms() -> Vec<Room> {
    vec![
        at("/").get(overview::show),
        at("/logout").post(login::leave),
        at("/leads").get(leads::list).post(leads::search),
        at("/leads/erase").post(erasing::person),
        at("/leads/{id}").get(leads::show).post(leads::reveal),
        at("/leads/{id}/erase").post(erasing::lead),
        at("/deliveries").get(deliveries::list),
        at("/deliveries/{id}").get(deliveries::show),
        at("/deliveries/{id}/retry").post(deliveries::retry),
        at("/deliveries/{id}/cancel").post(deliveries::cancel),
        at("/deliveries/{id}/done").post(deliveries::done),
        at("/failures").get(failures::show),
        at("/bulk").get(bulk::list).post(bulk::plan),
        at("/bulk/{id}").get(bulk::show),
        at("/bulk/{id}/start").post(bulk::start),
        at("/bulk/{id}/cancel").post(bulk::stop),
        at("/pushes").get(pushes::list),
        at("/pushes/{number}").get(pushes::show),
        at("/quarantine").get(quarantine::list),
        at("/quarantine/{id}")
            .get(quarantine::show)
            .post(quarantine::reveal),
        at("/quarantine/{id}/release").post(quarantine::release),
        at("/quarantine/{id}/discard").post(quarantine::discard),
        at("/audit").get(audit::list),
        at("/audit/export").post(audit::export),
        at("/tokens").get(tokens::list).post(tokens::add),
        at("/tokens/{name}/revoke").post(tokens::revoke),
        at("/system").get(system::show),
        at("/system/reload").post(system::reload),
        at("/system/sessions/{name}/end").post(system::end_session),
    ]
}
