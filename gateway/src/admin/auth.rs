//! Who may use the API: whoever has a token, and some users of this machine ([`super::local`]).
//! Tokens are compared in constant time; who guesses waits ([`super::guesses`]). Whoever is let
//! through is an [`Actor`], which handlers ask for by [`actor`].

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, ResponseError, web};
use leadgate_plugin::Secret;
use tracing::Instrument;

use super::local::User;
use super::problem::{Kind, Problem};
use super::{Admin, origin};
use crate::outbox::{Actor, Role, TokenHash, Via};

/// Lets a request to the API through or refuses it. What is logged meanwhile says who asked for
/// it, and from where. No answer is kept on its way: it may say who a lead is.
pub(super) async fn check(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let found = match request.app_data::<web::Data<Admin>>() {
        Some(admin) => who(admin, &request),
        None => Err(Problem::new(
            Kind::Internal,
            ("the API is not set up", "API 尚未就绪"),
        )),
    };
    let mut answer = match found {
        Err(problem) => request.into_response(problem.error_response()),
        Ok(actor) => {
            let span = span(&actor);
            request.extensions_mut().insert(actor);
            let answer = next.call(request).instrument(span).await?;
            answer.map_into_boxed_body()
        }
    };
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// Who asks.
pub(super) fn actor(request: &HttpRequest) -> Actor {
    let known = request.extensions().get::<Actor>().cloned();
    // Invariant: all of the API is behind `check`.
    known.expect("a request that was let through has its actor")
}

fn span(actor: &Actor) -> tracing::Span {
    let peer = actor.peer.map(tracing::field::display);
    tracing::info_span!("api", who = actor.name, via = actor.via.as_str(), peer)
}

fn who(admin: &Admin, request: &ServiceRequest) -> Result<Actor, Problem> {
    if let Some(user) = request.conn_data::<User>() {
        return user.actor();
    }
    let peer = request.peer_addr().map(|peer| peer.ip());
    let (pass, actor) = admin.admit(given(request.headers()), Via::Api, peer)?;
    if pass == Pass::Open {
        not_of_a_page(request.headers())?;
    }
    Ok(actor)
}

/// What somebody came in with.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Pass {
    /// A token.
    Token(TokenHash),
    /// None, where none is needed.
    Open,
}

impl Admin {
    /// Lets in whoever gives a token, or none where none is needed; counts what is no token.
    pub(crate) fn admit(
        &self,
        given: Option<&str>,
        via: Via,
        peer: Option<IpAddr>,
    ) -> Result<(Pass, Actor), Problem> {
        let open = || (Pass::Open, actor_of(local(), via, peer));
        let is_open = !self.asks_for_a_token();
        let configured = self.configured.get();
        if !is_open && configured.token.is_none() && !self.has_tokens() {
            return Err(Problem::new(Kind::Forbidden, NO_TOKEN));
        }
        if is_open && given.is_none() {
            return Ok(open());
        }
        let now = self.clock.monotonic();
        let from = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        if let Some(left) = self.guesses.pause(from, now) {
            // A second more than is left, so that who comes back then is not refused again.
            return Err(Problem::paused(left + Duration::from_secs(1)));
        }
        // Who gives none does not guess.
        let Some(given) = given else {
            return Err(unauthorized());
        };
        let given = TokenHash::of(given);
        if let Some(holder) = self.has(&given) {
            self.guesses.right(from);
            return Ok((Pass::Token(given), actor_of(holder, via, peer)));
        }
        if is_open {
            // As if none were given: whoever may ask without one needs none.
            return Ok(open());
        }
        self.guesses.wrong(from, now);
        Err(unauthorized())
    }

    /// Who came in with that, as long as it still lets them in.
    pub(crate) fn whose(&self, pass: &Pass, via: Via, peer: Option<IpAddr>) -> Option<Actor> {
        let holder = match pass {
            Pass::Token(hash) => self.has(hash)?,
            Pass::Open if self.asks_for_a_token() => return None,
            Pass::Open => local(),
        };
        Some(actor_of(holder, via, peer))
    }

    /// Whether nobody comes in without a token.
    pub(crate) fn asks_for_a_token(&self) -> bool {
        let configured = self.configured.get();
        configured.token.is_some() || !configured.open
    }

    /// Whose token it is. By digests, which have one length, so that not even the token's length
    /// shows in the time taken.
    fn has(&self, given: &TokenHash) -> Option<(String, Role)> {
        let configured = self.configured.get();
        let token = configured.token.as_ref().map(Secret::expose);
        let is_configured = token.is_some_and(|token| TokenHash::of(token) == *given);
        let named = self.holder(given);
        if is_configured {
            return Some((Actor::ADMIN.to_owned(), Role::Admin));
        }
        named
    }
}

/// Whoever asks from this machine where no token is needed.
fn local() -> (String, Role) {
    (Actor::LOCAL.to_owned(), Role::Admin)
}

fn actor_of((name, role): (String, Role), via: Via, peer: Option<IpAddr>) -> Actor {
    Actor {
        name,
        role,
        via,
        peer,
    }
}

fn unauthorized() -> Problem {
    Problem::new(
        Kind::Unauthorized,
        (
            "give a token as `authorization: Bearer TOKEN`",
            "请以 `authorization: Bearer 令牌` 给出令牌",
        ),
    )
}

const NO_TOKEN: (&str, &str) = (
    "no admin.token is configured and no token was made; set one, make one on this machine by `leadgate token add`, or set admin.allow_without_token on loopback",
    "未配置 admin.token，也没有其他令牌；请配置，或在本机用 `leadgate token add` 建立，或在回环地址上设置 admin.allow_without_token",
);

/// Without a token the API is not for web pages: those of the console have sessions.
fn not_of_a_page(headers: &HeaderMap) -> Result<(), Problem> {
    if !origin::may_be_of_a_page(headers) {
        return Ok(());
    }
    let detail = (
        "without a token the API is for this machine only, and not for web pages",
        "没有令牌时，API 只供本机使用，且不接受网页的请求",
    );
    Err(Problem::new(Kind::Forbidden, detail))
}

fn given(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(AUTHORIZATION)?
        .to_str()
        .unwrap_or_default()
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}
