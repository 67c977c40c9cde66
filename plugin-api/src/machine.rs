//! This machine: which hosts surely are it, so that what goes there crosses no network.

use std::net::IpAddr;

/// Whether `host`, a name or an address without port, surely is this machine.
///
/// ```
/// use leadgate_plugin::machine::is_this;
/// assert!(is_this("127.0.0.1") && is_this("[::1]") && is_this("LocalHost"));
/// assert!(!is_this("10.0.0.1") && !is_this("localhost.shop.example"));
/// ```
pub fn is_this(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}
