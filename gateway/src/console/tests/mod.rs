//! The pages against a real store in a temporary folder.

mod audit;
mod bulk;
mod door;
mod leads;
mod pushes;
mod quarantine;
mod roles;
mod system;

use std::sync::Arc;

use actix_web::http::header::{ACCEPT_LANGUAGE, COOKIE, HOST, ORIGIN, SET_COOKIE};
use actix_web::http::{Method, StatusCode};
use actix_web::{App, test, web};

use super::{Console, pages};
use crate::admin::tests::previews::rendering;
use crate::admin::tests::{Desk, desk};
use crate::outbox::{Role, Token, TokenHash};

/// A browser at a console with its store.
struct Browser {
    desk: Desk,
    console: Arc<Console>,
    cookie: String,
    lang: &'static str,
}

/// What came back.
struct Seen {
    status: StatusCode,
    headers: actix_web::http::header::HeaderMap,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("text"))
    }

    /// The hidden field of a form.
    fn field(&self, name: &str) -> String {
        let begins = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.body.split_once(&begins).expect("a form has it");
        rest.split('"').next().expect("a value").to_owned()
    }
}

impl Browser {
    /// One that has not come in.
    fn outside() -> Self {
        Self {
            desk: desk(),
            console: Arc::default(),
            cookie: String::new(),
            lang: "zh-CN",
        }
    }

    /// One that has, with the token of the configuration.
    async fn new() -> Self {
        let mut browser = Self::outside();
        browser.come_in("token").await;
        browser
    }

    /// One that has, where `crm` says what it would send.
    async fn rendering() -> Self {
        let mut browser = Self {
            desk: rendering().await,
            ..Self::outside()
        };
        browser.come_in("token").await;
        browser
    }

    /// One of `wang`, whose token has that role.
    async fn of(role: Role) -> Self {
        let mut browser = Self::outside();
        let hash = TokenHash::of("a-token-of-wang");
        let token = Token::new("wang", role, hash, "admin", 0);
        let added = browser.desk.admin.outbox.add_token(token).await;
        added.expect("it is kept");
        browser.come_in("a-token-of-wang").await;
        browser
    }

    async fn come_in(&mut self, token: &str) {
        let seen = self.post("/login", &format!("token={token}")).await;
        assert_eq!(seen.status, StatusCode::SEE_OTHER, "{}", seen.body);
        let cookie = seen.header("set-cookie");
        cookie
            .split(';')
            .next()
            .expect("a cookie")
            .clone_into(&mut self.cookie);
    }

    async fn ask(&self, method: Method, path: &str, more: &[(&str, &str)], body: &str) -> Seen {
        let pages = pages(Arc::clone(&self.console));
        let app = App::new()
            .app_data(web::Data::from(Arc::clone(&self.desk.admin)))
            .configure(|config| crate::admin::routes(config, pages));
        let service = test::init_service(app).await;
        let mut request = test::TestRequest::with_uri(path)
            .method(method)
            .insert_header((HOST, "localhost:8081"))
            .insert_header((COOKIE, self.cookie.as_str()))
            .insert_header((ACCEPT_LANGUAGE, self.lang))
            .set_payload(body.to_owned());
        for header in more {
            request = request.insert_header(*header);
        }
        let answer = test::call_service(&service, request.to_request()).await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = test::read_body(answer).await;
        Seen {
            status,
            headers,
            body: String::from_utf8(body.to_vec()).expect("text"),
        }
    }

    async fn get(&self, path: &str) -> Seen {
        self.ask(Method::GET, path, &[], "").await
    }

    /// A form without the session's secret.
    async fn post(&self, path: &str, body: &str) -> Seen {
        let ours = [(ORIGIN.as_str(), "http://localhost:8081")];
        self.ask(Method::POST, path, &ours, body).await
    }

    /// A form as a page of this session sends it.
    async fn send(&self, path: &str, body: &str) -> Seen {
        let csrf = self.get("/").await.field("csrf");
        self.post(path, &format!("csrf={csrf}&{body}")).await
    }
}

/// The languages with a word that only pages in it have.
const LANGUAGES: [(&str, &str); 2] = [("zh-CN", "总览"), ("en", "Overview")];

/// Whether a page could run or load anything that is not the console's own.
fn is_calm(body: &str) -> bool {
    // What hostile texts try, once their quotes are escaped.
    let body = body
        .replace("&quot; onclick=", "")
        .replace("&#34; onclick=", "");
    let lower = body.to_lowercase();
    let scripts = lower.matches("<script").count();
    let own = lower.matches("<script src=\"/assets/").count();
    scripts == own
        && !lower.contains(" style=")
        && !lower.contains("<style")
        && !lower.contains("javascript:")
        && !lower.contains(" onload=")
        && !lower.contains(" onclick=")
        && !lower.contains("src=\"http")
        && !lower.contains("href=\"http")
}
