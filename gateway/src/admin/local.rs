//! Local: who asks over the socket on this machine, as the kernel says. There a token is not
//! needed: whoever may read the store's files, or is root, has all of it anyway.

use std::any::Any;

use actix_web::dev::Extensions;
use tokio::net::UnixStream;

use super::problem::{Kind, Problem};
use crate::outbox::{Actor, Role, Via};

/// A user of this machine at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    /// `None` if the kernel does not say.
    uid: Option<u32>,
}

/// Notes who opened a connection, if it is one of the socket.
pub(super) fn note(connection: &dyn Any, known: &mut Extensions) {
    if let Some(socket) = connection.downcast_ref::<UnixStream>() {
        let peer = socket.peer_cred();
        known.insert(User {
            uid: peer.ok().map(|peer| peer.uid()),
        });
    }
}

impl User {
    /// Whoever it is, if it is root or whoever runs the daemon.
    pub(super) fn actor(self) -> Result<Actor, Problem> {
        self.actor_for(rustix::process::geteuid().as_raw())
    }

    fn actor_for(self, ours: u32) -> Result<Actor, Problem> {
        match self.uid {
            Some(uid) if uid == ours || uid == 0 => Ok(Actor {
                name: format!("uid:{uid}"),
                role: Role::Admin,
                via: Via::Socket,
                peer: None,
            }),
            uid => {
                let uid = uid.map_or_else(String::new, |uid| format!("uid {uid} "));
                tracing::warn!(user = uid.trim_end(), "user of this machine was refused");
                let detail = (
                    format!(
                        "{uid}may not use this socket: it is for root and the user that runs leadgate (uid {ours}); use admin.listen with a token"
                    ),
                    format!(
                        "{uid}不能使用此套接字：只供 root 与运行 leadgate 的用户（uid {ours}）；请用令牌访问 admin.listen"
                    ),
                );
                Err(Problem::new(Kind::Forbidden, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_says_who_is_at_the_other_end() {
        let (one, _other) = UnixStream::pair().expect("a pair");
        let mut known = Extensions::new();
        note(&one, &mut known);
        let user = known.get::<User>().expect("it is a socket");
        assert_eq!(user.uid, Some(rustix::process::geteuid().as_raw()));
        let mut of_others = Extensions::new();
        note(&"no socket", &mut of_others);
        assert!(of_others.get::<User>().is_none());
    }

    #[test]
    fn root_and_whoever_runs_the_daemon_are_admins_and_nobody_else_is_let_in() {
        let role = |uid, ours| User { uid }.actor_for(ours).ok().map(|actor| actor.role);
        assert_eq!(role(Some(0), 1_000), Some(Role::Admin));
        assert_eq!(role(Some(1_000), 1_000), Some(Role::Admin));
        assert_eq!(role(Some(1_001), 1_000), None);
        assert_eq!(role(Some(1_000), 0), None, "root's daemon");
        assert_eq!(role(None, 1_000), None);
        let refused = User { uid: Some(7) }.actor_for(1_000).expect_err("refused");
        assert!(
            refused
                .detail()
                .starts_with("uid 7 may not use this socket")
        );
    }
}
