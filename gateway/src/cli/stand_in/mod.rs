//! The stand-in: a CRM for those who have none yet. Receives webhooks on loopback, verifies
//! them, gives a receipt, and tells what came.
//!
//! Used by the demo and by `leadgate sink listen`. Takes nothing from other machines, and no
//! body of more than 2 MiB. What it tells of a person is masked unless it was asked to reveal.

mod webhook;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::{Method, StatusCode};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;
use tokio::sync::mpsc;

pub(super) use self::webhook::{Key, Person, Signature, Webhook};
use crate::clock::{Clock, SystemClock};

/// Largest body taken, in bytes: an event holds a push twice, once escaped.
const LARGEST: usize = 2 << 20;
/// Connections open at once.
const CONNECTIONS: usize = 256;
/// Deliveries that are remembered, to tell when one comes again.
const REMEMBERED: usize = 1024;

/// How requests are answered.
#[derive(Default)]
pub(super) struct Terms {
    /// What signs; without it signatures are not checked.
    pub(super) key: Option<Key>,
    /// Answers with this status instead, once so many were taken.
    pub(super) fail: Option<(StatusCode, u64)>,
}

/// A running stand-in.
pub(super) struct StandIn {
    address: SocketAddr,
    handle: ServerHandle,
}

/// A request and how it was answered.
pub(super) struct Told {
    pub(super) webhook: Webhook,
    pub(super) status: u16,
    /// What the sink keeps; empty if it was not taken.
    pub(super) receipt: String,
    /// Whether this delivery was taken before.
    pub(super) again: bool,
}

struct Desk {
    terms: Terms,
    told: mpsc::Sender<Told>,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    count: u64,
    deliveries: VecDeque<String>,
}

impl StandIn {
    /// Starts it on `port`, or on a free one for 0.
    pub(super) fn start(port: u16, terms: Terms) -> std::io::Result<(Self, mpsc::Receiver<Told>)> {
        let (told, received) = mpsc::channel(1024);
        let desk = web::Data::new(Desk {
            terms,
            told,
            taken: Mutex::default(),
        });
        let server = HttpServer::new(move || {
            App::new()
                .app_data(desk.clone())
                .app_data(web::PayloadConfig::new(LARGEST))
                .default_service(web::to(receive))
        })
        .workers(1)
        .max_connections(CONNECTIONS)
        .client_request_timeout(Duration::from_secs(10))
        .shutdown_timeout(1)
        .disable_signals()
        .bind((Ipv4Addr::LOCALHOST, port))?;
        let none = || std::io::Error::other("the stand-in has no address");
        let address = *server.addrs().first().ok_or_else(none)?;
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok((Self { address, handle }, received))
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/leads", self.address)
    }

    pub(super) async fn stop(self) {
        self.handle.stop(true).await;
    }
}

impl Told {
    /// Whether the sink was told that the lead is here.
    pub(super) fn is_taken(&self) -> bool {
        !self.receipt.is_empty()
    }
}

async fn receive(desk: web::Data<Desk>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    if request.method() != Method::POST && request.method() != Method::PUT {
        let why = json!({ "error": "leads are sent here with POST" });
        return HttpResponse::MethodNotAllowed().json(why);
    }
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        value.to_str().ok()
    };
    let webhook = Webhook::read(header, &body, desk.terms.key.as_ref(), SystemClock.now());
    let (told, response) = desk.answer(webhook);
    // Who was told may have gone; the webhook is answered all the same.
    let _ = desk.told.send(told).await;
    response
}

impl Desk {
    fn answer(&self, webhook: Webhook) -> (Told, HttpResponse) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let again = taken.deliveries.contains(&webhook.delivery);
        let refused = |webhook: Webhook, status: StatusCode, why: &str| {
            let told = Told {
                webhook,
                status: status.as_u16(),
                receipt: String::new(),
                again,
            };
            (
                told,
                HttpResponse::build(status).json(json!({ "error": why })),
            )
        };
        if let Signature::Wrong(why) = webhook.signature {
            return refused(webhook, StatusCode::UNAUTHORIZED, why);
        }
        if let Some((status, after)) = self.terms.fail
            && taken.count >= after
        {
            return refused(webhook, status, "the stand-in was told to fail");
        }
        taken.count += 1;
        if !again && !webhook.delivery.is_empty() {
            if taken.deliveries.len() == REMEMBERED {
                taken.deliveries.pop_front();
            }
            taken.deliveries.push_back(webhook.delivery.clone());
        }
        let receipt = format!("crm-{}", webhook.record_id.as_deref().unwrap_or("-"));
        let response = HttpResponse::Ok().json(json!({ "id": receipt }));
        let told = Told {
            webhook,
            status: 200,
            receipt,
            again,
        };
        (told, response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(terms: Terms) -> Desk {
        Desk {
            terms,
            told: mpsc::channel(1).0,
            taken: Mutex::default(),
        }
    }

    fn webhook(delivery: &str) -> Webhook {
        let header = |name: &str| (name == "webhook-id").then_some(delivery);
        Webhook::read(header, br#"{"lead":{"record_id":7}}"#, None, 0)
    }

    #[test]
    fn a_delivery_that_comes_again_is_known_and_gets_the_same_receipt() {
        let desk = desk(Terms::default());
        let (first, _) = desk.answer(webhook("a"));
        assert_eq!(
            (first.status, first.receipt.as_str(), first.again),
            (200, "crm-7", false)
        );
        let (second, _) = desk.answer(webhook("a"));
        assert_eq!((second.receipt.as_str(), second.again), ("crm-7", true));
        for number in 0..2 * REMEMBERED {
            desk.answer(webhook(&number.to_string()));
        }
        let remembered = desk.taken.lock().expect("whole").deliveries.len();
        assert_eq!(remembered, REMEMBERED);
    }

    #[test]
    fn failing_begins_after_as_many_as_was_said() {
        let fail = Some((StatusCode::SERVICE_UNAVAILABLE, 2));
        let desk = desk(Terms { key: None, fail });
        let statuses: Vec<_> = (0..4)
            .map(|number| desk.answer(webhook(&number.to_string())).0.status)
            .collect();
        assert_eq!(statuses, [200, 200, 503, 503]);
    }
}
