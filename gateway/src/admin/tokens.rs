//! Tokens: made, listed, revoked. A token itself is shown once, in the answer that makes it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audit::audited;
use super::params::{Body, Params, guess};
use super::problem::{Kind, Problem};
use super::shape::Items;
use super::{Admin, privacy, rfc3339};
use crate::clock::Millis;
use crate::lang::Text;
use crate::outbox::{
    Actor, AuditAction, AuditEvent, Role, TOKEN_NAME, TOKENS_KEPT, Token, TokenAdded, TokenHash,
    TokenId,
};

/// What every token begins with, so that one that leaked is found and known for what it is.
const PREFIX: &str = "lg_";

/// When tokens were used, more exactly than the store keeps it.
#[derive(Debug, Default)]
pub struct Uses(Mutex<BTreeMap<TokenId, Millis>>);

impl Uses {
    fn note(&self, id: TokenId, at: Millis) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.insert(id, at);
        // Ids sort by age: those of tokens that are long gone leave first.
        while uses.len() > TOKENS_KEPT {
            uses.pop_first();
        }
    }

    fn of(&self, id: TokenId) -> Option<Millis> {
        let uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.get(&id).copied()
    }
}

impl Admin {
    /// The name and the role of whoever has this token, if it is one that is not revoked. All are
    /// compared, whichever it is.
    pub(super) fn holder(&self, given: &TokenHash) -> Option<(String, Role)> {
        let mut found = None;
        for (id, token) in self.outbox.tokens() {
            if (token.hash == *given) & token.is_valid() {
                found = Some((id, token));
            }
        }
        let (id, token) = found?;
        let now = self.clock.now();
        self.uses.note(id, now);
        if token.notes(now) {
            // Queued and not waited for: nobody waits for the disk to be let in, and a use that
            // could not be noted is noted the next time.
            let _ = self.outbox.token_used(id, now).now_or_never();
        }
        Some((token.name, token.role))
    }

    /// Whether anybody has a token that is not revoked.
    pub(super) fn has_tokens(&self) -> bool {
        self.outbox.tokens().iter().any(|(_, one)| one.is_valid())
    }
}

/// A token, without itself.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Token")]
pub(super) struct Shown {
    name: String,
    role: Role,
    made_at: String,
    /// Who made it.
    by: String,
    last_used_at: Option<String>,
    /// Since when nobody is let in by it.
    revoked_at: Option<String>,
}

impl Shown {
    fn of(admin: &Admin, id: TokenId, token: Token) -> Self {
        let used = token.last_used.max(admin.uses.of(id));
        Self {
            name: token.name,
            role: token.role,
            made_at: rfc3339(token.made_at),
            by: token.by,
            last_used_at: used.map(rfc3339),
            revoked_at: token.revoked_at.map(rfc3339),
        }
    }
}

/// `GET /tokens`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    let tokens = admin.outbox.tokens().into_iter();
    let items = tokens.map(|(id, token)| Shown::of(&admin, id, token));
    let items = items.collect();
    Ok(HttpResponse::Ok().json(Items { items }))
}

/// What a token is to be.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "TokenWish")]
pub(super) struct Wish {
    /// Whose it is: letters, digits, `-`, `_` and `.`.
    name: String,
    /// `viewer`, `operator` or `admin`.
    role: String,
}

impl Wish {
    fn read(&self) -> Result<(&str, Role), Problem> {
        let Some(role) = Role::named(&self.role) else {
            let unknown = Text::new("`role` is unknown", "`role` 的值未知");
            let guess = guess(&self.role, Role::ALL.iter().map(|one| one.as_str()));
            return Err(Problem::new(Kind::BadBody, unknown.and(&guess)));
        };
        let name = self.name.as_str();
        let is_plain = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
        let is_good = (1..=TOKEN_NAME).contains(&name.chars().count())
            && name.chars().all(is_plain)
            && !name.starts_with(['-', '.'])
            && ![Actor::ADMIN, Actor::LOCAL].contains(&name)
            // It is kept, whoever is erased.
            && privacy::without_phones(name) == name;
        if is_good {
            return Ok((name, role));
        }
        let (admin, local) = (Actor::ADMIN, Actor::LOCAL);
        let detail = (
            format!(
                "`name` says whose the token is, such as wang or crm-report: at most {TOKEN_NAME} letters, digits, `-`, `_` and `.`, no phone, and not `{admin}` or `{local}`"
            ),
            format!(
                "`name` 说明令牌归谁，如 wang 或 crm-report：最多 {TOKEN_NAME} 个字母、数字、`-`、`_`、`.`，不能是手机号，也不能是 `{admin}` 或 `{local}`"
            ),
        );
        Err(Problem::new(Kind::BadBody, detail))
    }
}

/// A token that was just made.
#[derive(Serialize, JsonSchema)]
pub(super) struct NewToken {
    name: String,
    role: Role,
    made_at: String,
    /// The token itself: nobody can show it again.
    token: String,
}

/// `POST /tokens`, `{name, role}`
pub(super) async fn add(
    admin: web::Data<Admin>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (asked, query) = (admin.clone(), request.clone());
    let made = async move |event: &mut AuditEvent| {
        Params::of(&query)?;
        let wish: Wish = body.json()?;
        let (name, role) = wish.read()?;
        event.target = name.to_owned();
        event.filter = format!("role={role}");
        made(&asked, (name, role), &event.who.name).await
    };
    let made = audited(&admin, &request, AuditAction::TokenAdd, made).await?;
    Ok(HttpResponse::Ok().json(made))
}

async fn made(admin: &Admin, (name, role): (&str, Role), by: &str) -> Result<NewToken, Problem> {
    let (secret, now) = (fresh(), admin.clock.now());
    let token = Token::new(name, role, TokenHash::of(&secret), by, now);
    let (kind, detail) = match admin.outbox.add_token(token).await? {
        TokenAdded::Done => {
            tracing::info!(token = name, role = role.as_str(), "token was made");
            return Ok(NewToken {
                name: name.to_owned(),
                role,
                made_at: rfc3339(now),
                token: secret,
            });
        }
        TokenAdded::Taken => (
            Kind::Taken,
            (
                format!("there is a token `{name}`: revoke it first, or give another name"),
                format!("已有令牌 `{name}`：请先撤销它，或换一个名称"),
            ),
        ),
        TokenAdded::Full => (
            Kind::TooMany,
            (
                format!("there are {TOKENS_KEPT} tokens, as many as may be: revoke one first"),
                format!("已有 {TOKENS_KEPT} 个令牌，达到上限：请先撤销一个"),
            ),
        ),
    };
    Err(Problem::new(kind, detail))
}

/// A new token: 256 random bits.
fn fresh() -> String {
    let mut bytes = [0; 32];
    crate::seal::random(&mut bytes);
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// A token that was revoked.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RevokedToken")]
pub(super) struct Revoked {
    name: String,
    revoked_at: String,
}

/// `POST /tokens/{name}/revoke`: who asks after the answer is refused; what was asked for before
/// goes on.
pub(super) async fn revoke(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (asked, query) = (admin.clone(), request.clone());
    let revoked = async move |event: &mut AuditEvent| {
        Params::of(&query)?;
        revoked(&asked, path.into_inner(), event).await
    };
    let revoked = audited(&admin, &request, AuditAction::TokenRevoke, revoked).await?;
    Ok(HttpResponse::Ok().json(revoked))
}

async fn revoked(admin: &Admin, name: String, event: &mut AuditEvent) -> Result<Revoked, Problem> {
    let now = admin.clock.now();
    if !admin.outbox.revoke_token(&name, now).await? {
        let tokens = admin.outbox.tokens();
        let valid = tokens.iter().filter(|(_, one)| one.is_valid());
        let guess = guess(&name, valid.map(|(_, one)| one.name.as_str()));
        let none = Text::new("there is no such token to revoke", "没有可撤销的此令牌");
        return Err(Problem::new(Kind::NotFound, none.and(&guess)));
    }
    event.target.clone_from(&name);
    tracing::info!(token = name, "token was revoked");
    Ok(Revoked {
        name,
        revoked_at: rfc3339(now),
    })
}
