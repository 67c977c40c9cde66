//! The shop: pushes leads as Alibaba does, with a signature of its own making.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};

use crate::SUCCESS;
use crate::wire::{self, Answer, Wire};

/// The document's sample lead.
pub const SAMPLE: &str = include_str!("../data/sample-lead.json");

/// A shop with its secret.
#[derive(Clone, Debug)]
pub struct Shop {
    address: SocketAddr,
    path: String,
    secret: String,
}

impl Shop {
    /// A shop that pushes to `path` at `address`.
    pub fn new(address: SocketAddr, path: &str, secret: &str) -> Self {
        Self {
            address,
            path: path.to_owned(),
            secret: secret.to_owned(),
        }
    }

    /// The sample lead with another record id.
    pub fn lead(record_id: u64) -> String {
        SAMPLE.replace("371009", &record_id.to_string())
    }

    /// Pushes the sample lead under each of these record ids.
    ///
    /// # Panics
    ///
    /// If one is not acknowledged.
    pub fn give(&self, records: impl IntoIterator<Item = u64>) {
        for record in records {
            let answer = self.push(Self::lead(record)).expect("answered");
            assert_eq!(answer.body, SUCCESS, "record {record}");
        }
    }

    /// A signed request as bytes.
    pub fn request(&self, body: &[u8]) -> Vec<u8> {
        self.request_at(body, now_gmt8())
    }

    /// A signed request with another timestamp.
    pub fn request_at(&self, body: &[u8], timestamp: String) -> Vec<u8> {
        let path = self.path_and_query(body, timestamp);
        wire::request(
            "POST",
            &path,
            &[("content-type", "application/json;charset=UTF-8")],
            body,
        )
    }

    fn path_and_query(&self, body: &[u8], timestamp: String) -> String {
        let mut params = vec![
            ("app_key", "23456789".to_owned()),
            ("format", "json".to_owned()),
            ("request_id", format!("r{}", now_millis())),
            ("sign_method", "md5".to_owned()),
            ("target_appkey", "23456789".to_owned()),
            ("timestamp", timestamp),
        ];
        params.sort();
        let mut digest = Md5::new();
        digest.update(&self.secret);
        for (key, value) in &params {
            digest.update(key);
            digest.update(value);
        }
        digest.update(body);
        digest.update(&self.secret);
        let sign = digest
            .finalize()
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02X}");
                text
            });
        let query: Vec<_> = params
            .iter()
            .map(|(key, value)| format!("{key}={}", encoded(value)))
            .collect();
        format!("{}?{}&sign={sign}", self.path, query.join("&"))
    }

    /// Pushes on a connection of its own.
    pub fn push(&self, body: impl AsRef<[u8]>) -> std::io::Result<Answer> {
        self.send(&self.request(body.as_ref()))
    }

    /// A connection for several pushes.
    pub fn connect(&self) -> std::io::Result<Wire> {
        Wire::open(self.address)
    }

    /// Sends a request's bytes on a connection of its own.
    pub fn send(&self, request: &[u8]) -> std::io::Result<Answer> {
        let mut wire = Wire::open(self.address)?;
        wire.send(request)?;
        wire.answer()
    }
}

fn encoded(text: &str) -> String {
    text.replace('%', "%25")
        .replace(' ', "+")
        .replace(':', "%3A")
}

fn now_millis() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis())
}

/// `yyyy-MM-dd HH:mm:ss` in GMT+8, by the civil calendar's arithmetic.
fn now_gmt8() -> String {
    let seconds = u64::try_from(now_millis() / 1000).unwrap_or(0) + 8 * 3600;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        rest / 3600,
        rest % 3600 / 60,
        rest % 60
    )
}
