//! Tokens: by which people and programs come in. An admin's. A token is shown once, on the page that
//! makes it.

use actix_web::web;
use askama::Template;
use serde::Deserialize;
use serde_json::json;

use super::desk::{Answer, Desk, page, read};
use super::form::Form;
use super::frame::{Flash, Frame, Place};
use super::shown;
use crate::lang::Lang;
use crate::outbox::Role;
use crate::words;

/// A token, without itself.
#[derive(Deserialize)]
struct Token {
    name: String,
    role: String,
    made_at: String,
    by: String,
    last_used_at: Option<String>,
    revoked_at: Option<String>,
}

impl Token {
    fn role(&self, lang: Lang) -> &str {
        words::role(lang, &self.role)
    }

    /// Where its form goes.
    fn revoke(&self) -> String {
        format!("/tokens/{}/revoke", shown::part(&self.name))
    }
}

#[derive(Deserialize)]
struct Rows {
    items: Vec<Token>,
}

/// One that was just made.
#[derive(Deserialize)]
struct Made {
    name: String,
    token: String,
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    frame: Frame,
    lang: Lang,
    tokens: Vec<Token>,
    made: Option<Made>,
}

impl TokensPage {
    /// Roles, each with its word and what it may do.
    fn roles(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let all = Role::ALL.map(|role| {
            let may = match role {
                Role::Viewer => self.lang.pick(
                    "looks, and sees nobody's name or phone",
                    "只看，看不到姓名和手机号",
                ),
                Role::Operator => self.lang.pick(
                    "also retries, cancels, pauses, releases",
                    "还可重新投递、取消、暂停、放行",
                ),
                Role::Admin => self.lang.pick(
                    "also reveals, exports, erases, makes tokens",
                    "还可查看个人信息、导出、擦除、管理令牌",
                ),
            };
            (role.as_str(), words::role(self.lang, role.as_str()), may)
        });
        all.into()
    }
}

async fn shown(desk: &Desk, made: Option<Made>) -> Answer {
    let rows: Rows = read(desk.api.tokens("").await?)?;
    page(&TokensPage {
        frame: desk.frame(Place::Tokens),
        lang: desk.lang,
        tokens: rows.items,
        made,
    })
}

/// `GET /tokens`
pub(super) async fn list(desk: Desk) -> Answer {
    shown(&desk, None).await
}

/// `POST /tokens`
pub(super) async fn add(desk: Desk, form: Form) -> Answer {
    let wish = json!({ "name": form.or_empty("name"), "role": form.or_empty("role") });
    let made: Made = read(desk.api.add_token(&wish).await?)?;
    shown(&desk, Some(made)).await
}

/// `POST /tokens/{name}/revoke`
pub(super) async fn revoke(desk: Desk, name: web::Path<String>, _: Form) -> Answer {
    desk.api.revoke_token(&name).await?;
    let flash = Flash::new(
        (
            "The token was revoked: nobody comes in by it any more, and its sessions have ended.",
            "令牌已撤销：不能再用它进入，用它登录的会话也已结束。",
        ),
        (
            "It cannot be made good again; make another for whoever needs one.",
            "无法恢复；如仍需要，请另建一个。",
        ),
    );
    Ok(desk.done("/tokens", flash))
}
