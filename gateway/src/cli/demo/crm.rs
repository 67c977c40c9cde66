//! The stand-in CRM of the demo: receives webhooks, verifies them, gives a receipt.

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::mpsc;

/// A running stand-in.
pub(super) struct Crm {
    address: std::net::SocketAddr,
    handle: ServerHandle,
}

/// A webhook that was verified.
pub(super) struct Received {
    /// The delivery id.
    pub(super) delivery: String,
    /// The record id of the lead.
    pub(super) record_id: String,
    /// The phone, masked.
    pub(super) phone: String,
    /// The receipt that was given.
    pub(super) receipt: String,
}

struct Desk {
    key: Vec<u8>,
    told: mpsc::Sender<Result<Received, String>>,
}

impl Crm {
    /// Starts it on a free port.
    pub(super) fn start(
        secret: &str,
    ) -> Result<(Self, mpsc::Receiver<Result<Received, String>>), String> {
        let key = STANDARD
            .decode(secret.trim_start_matches("whsec_"))
            .map_err(|error| format!("the webhook secret is not base64: {error}"))?;
        let (told, received) = mpsc::channel(1024);
        let desk = web::Data::new(Desk { key, told });
        let server = HttpServer::new(move || {
            App::new()
                .app_data(desk.clone())
                .default_service(web::to(receive))
        })
        .workers(1)
        .shutdown_timeout(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .map_err(|error| error.to_string())?;
        let address = *server
            .addrs()
            .first()
            .ok_or("the stand-in has no address")?;
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

async fn receive(desk: web::Data<Desk>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let received = verify(&desk, &request, &body);
    let response = match &received {
        Ok(received) => HttpResponse::Ok().json(serde_json::json!({ "id": received.receipt })),
        Err(why) => HttpResponse::Unauthorized().json(serde_json::json!({ "error": why })),
    };
    // The story may have ended; the webhook was answered all the same.
    let _ = desk.told.try_send(received);
    response
}

/// Verifies as <https://www.standardwebhooks.com> says: HMAC-SHA256 of `id.timestamp.body`.
fn verify(desk: &Desk, request: &HttpRequest, body: &[u8]) -> Result<Received, String> {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(&desk.key).map_err(|error| error.to_string())?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    let given = header("webhook-signature")
        .split(' ')
        .filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok())
        .any(|signature| mac.clone().verify_slice(&signature).is_ok());
    if !given {
        return Err("the webhook's signature is wrong".to_owned());
    }
    let event: Value = serde_json::from_slice(body)
        .map_err(|error| format!("the webhook is not JSON: {error}"))?;
    let lead = &event["lead"];
    Ok(Received {
        delivery: id.to_owned(),
        record_id: lead["record_id"].to_string(),
        phone: mask(lead["phone"].as_str().unwrap_or_default()),
        receipt: format!("crm-{}", lead["record_id"]),
    })
}

/// `13567658911` → `135****8911`.
fn mask(phone: &str) -> String {
    let digits: Vec<char> = phone.chars().collect();
    match digits.len() {
        0..=7 => "*".repeat(digits.len()),
        length => {
            let (head, tail): (String, String) = (
                digits[..3].iter().collect(),
                digits[length - 4..].iter().collect(),
            );
            format!("{head}{}{tail}", "*".repeat(length - 7))
        }
    }
}
