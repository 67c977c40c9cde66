//! The network: which hosts surely are this machine, so that what goes there crosses no wire.

use std::net::IpAddr;

/// Whether `host`, a name or an address without port, surely is this machine.
///
/// ```
/// use leadgate_plugin::net::is_loopback;
/// assert!(is_loopback("127.0.0.1") && is_loopback("[::1]") && is_loopback("LocalHost"));
/// assert!(!is_loopback("10.0.0.1") && !is_loopback("localhost.shop.example"));
/// ```
pub fn is_loopback(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}
