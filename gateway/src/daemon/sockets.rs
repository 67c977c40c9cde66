//! Sockets: the listening sockets that a service manager keeps open over a restart.
//!
//! systemd binds them, passes them from descriptor 3 on and says so in `LISTEN_PID`,
//! `LISTEN_FDS` and `LISTEN_FDNAMES`. While nobody accepts, connections wait in the kernel and
//! are the successor's: a restart refuses none. What is not passed is bound here.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use socket2::SockRef;

use super::StartError;

/// Connections the kernel may hold for us before we take them.
const BACKLOG: i32 = 1024;

/// What `FileDescriptorName=` of the operators' socket is; a socket of any other name is the
/// public one, because systemd's default is the unit's name.
const ADMIN: &str = "admin";

/// The sockets that were passed to this process.
#[derive(Debug, Default)]
pub struct Sockets {
    public: Option<TcpListener>,
    admin: Option<TcpListener>,
}

/// Which listener a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Public,
    Admin,
}

impl Sockets {
    /// Takes what was passed to this process, and keeps it from its children (`listenfd` marks
    /// it): to be called before there are any. None if nothing was passed, or to another process.
    pub fn inherited() -> Result<Self, StartError> {
        let variable = |name: &str| std::env::var(name).ok();
        // Without it nobody says for whom they are; `listenfd` would take them.
        let pid = variable("LISTEN_PID").and_then(|text| text.parse().ok());
        if pid != Some(std::process::id()) {
            return Ok(Self::default());
        }
        let mut passed = ListenFd::from_env();
        let names = variable("LISTEN_FDNAMES");
        let places = places(names.as_deref(), passed.len()).map_err(StartError::Sockets)?;
        let mut sockets = Self::default();
        for (at, place) in places.into_iter().enumerate() {
            let taken = passed.take_tcp_listener(at).and_then(|listener| {
                let listener = listener.ok_or(ErrorKind::NotFound)?;
                if SockRef::from(&listener).peer_addr().is_ok() {
                    return Err(ErrorKind::InvalidInput.into());
                }
                listener.set_nonblocking(true)?;
                Ok(listener)
            });
            let listener = taken.map_err(|error| {
                StartError::Sockets(format!(
                    "socket {} of {} is no listening TCP socket: {error}; a socket unit has ListenStream=ADDRESS:PORT and no Accept=yes",
                    at + 1,
                    passed.len(),
                ))
            })?;
            match place {
                For::Public => sockets.public = Some(listener),
                For::Admin => sockets.admin = Some(listener),
            }
        }
        Ok(sockets)
    }

    /// The public listener's: what was passed, or one at `address`.
    pub(super) fn public(&mut self, address: SocketAddr) -> Result<TcpListener, StartError> {
        one("server", self.public.take(), address)
    }

    /// The operators' listener's.
    pub(super) fn admin(&mut self, address: SocketAddr) -> Result<TcpListener, StartError> {
        one("admin", self.admin.take(), address)
    }
}

/// Which socket is which, by `LISTEN_FDNAMES`.
fn places(names: Option<&str>, count: usize) -> Result<Vec<For>, String> {
    let names: Vec<&str> = names.map_or_else(Vec::new, |names| names.split(':').collect());
    if !names.is_empty() && names.len() != count {
        return Err(format!(
            "LISTEN_FDS says {count} sockets and LISTEN_FDNAMES names {}",
            names.len()
        ));
    }
    let mut places = Vec::new();
    for at in 0..count {
        let place = match names.get(at) {
            Some(&ADMIN) => For::Admin,
            _ => For::Public,
        };
        if places.contains(&place) {
            let which = match place {
                For::Admin => "operators'",
                For::Public => "public",
            };
            return Err(format!(
                "two sockets were passed for the {which} listener: it takes one, and the operators' has FileDescriptorName=admin"
            ));
        }
        places.push(place);
    }
    Ok(places)
}

fn one(
    what: &'static str,
    passed: Option<TcpListener>,
    wanted: SocketAddr,
) -> Result<TcpListener, StartError> {
    let Some(passed) = passed else {
        return bind(what, wanted);
    };
    let address = passed
        .local_addr()
        .map_err(|source| listen_error(what, wanted, source))?;
    if address == wanted {
        tracing::debug!(listener = what, %address, "socket was passed by the service manager");
    } else {
        tracing::warn!(
            listener = what,
            %address,
            configured = %wanted,
            "socket was passed by the service manager; it is used, and what the configuration says is not"
        );
    }
    Ok(passed)
}

fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    use socket2::{Domain, Socket, Type};
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // A restart must not wait for connections of the last run to time out.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open().map_err(|source| listen_error(what, address, source))
}

fn listen_error(what: &'static str, address: SocketAddr, source: std::io::Error) -> StartError {
    StartError::Listen {
        what,
        address,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_the_public_one_unless_it_is_named_admin() {
        for names in [None, Some("leadgate.socket"), Some("public"), Some("")] {
            assert_eq!(places(names, 1), Ok(vec![For::Public]), "{names:?}");
        }
        assert_eq!(
            places(Some("admin:leadgate.socket"), 2),
            Ok(vec![For::Admin, For::Public])
        );
        assert_eq!(places(None, 0), Ok(vec![]));
    }

    #[test]
    fn sockets_nobody_could_tell_apart_are_refused() {
        for (names, count) in [
            (None, 2),
            (Some("a:b"), 2),
            (Some("admin:admin"), 2),
            (Some("public"), 2),
            (Some("public:admin"), 1),
        ] {
            assert!(places(names, count).is_err(), "{names:?} {count}");
        }
    }

    #[test]
    fn what_was_passed_is_used_whatever_the_configuration_says_and_once() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let passed = listener.local_addr().expect("an address");
        let mut sockets = Sockets {
            public: Some(listener),
            admin: None,
        };
        let elsewhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let public = sockets.public(elsewhere).expect("the passed one");
        assert_eq!(public.local_addr().expect("an address"), passed);
        let admin = sockets.admin(elsewhere).expect("one of its own");
        assert_ne!(admin.local_addr().expect("an address"), passed);
    }
}
