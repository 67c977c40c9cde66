//! Orphans: deliveries that wait or are dead and whose sink is not configured any more.
//!
//! They are never dropped and never sent by themselves: a person configures the sink again or
//! cancels them.

use actix_web::{HttpRequest, HttpResponse, web};

use super::params::Params;
use super::problem::Problem;
use super::{Admin, deliveries};
use crate::outbox::Filter;

/// `GET /orphaned`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let params = Params::of(&request)?;
    let filter = Filter {
        orphaned: true,
        ..Filter::default()
    };
    deliveries::page(&admin, &params, filter).await
}
