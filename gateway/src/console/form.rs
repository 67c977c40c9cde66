//! Forms: what a page posts, of a session's own forms only.

use std::collections::BTreeMap;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::guard;
use super::sessions::Visit;
use crate::admin::{Kind, Problem};

/// The fields of a form without those that are empty, sent by a page of this session.
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    /// A field, trimmed; `None` if it was left empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A field, trimmed; empty if it was left so.
    pub(super) fn or_empty(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// Whether a box is ticked.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text).map_err(|_| unread())?;
        let pairs = pairs.into_inner().into_iter();
        let pairs = pairs.map(|(name, value)| (name, value.trim().to_owned()));
        Ok(Self(pairs.filter(|(_, value)| !value.is_empty()).collect()))
    }
}

fn unread() -> Problem {
    let detail = (
        "the form cannot be read, or is too large",
        "表单无法读取，或过大",
    );
    Problem::new(Kind::BadBody, detail)
}

/// A form as anybody may send it; for the login.
pub(super) async fn anybodys(
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<Form, Problem> {
    guard::same_origin(request.headers())?;
    let bytes = web::Bytes::from_request(request, payload).await;
    Form::read(&bytes.map_err(|_| unread())?)
}

impl FromRequest for Form {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        let read = async move {
            let form = anybodys(&request, &mut payload).await?;
            let visit = request.extensions().get::<Visit>().cloned();
            if visit.is_some_and(|visit| visit.is_from(form.or_empty("csrf"))) {
                return Ok(form);
            }
            let detail = (
                "this form is of another session; open its page again",
                "此表单不属于当前会话；请重新打开页面",
            );
            Err(Problem::new(Kind::Forbidden, detail))
        };
        read.boxed_local()
    }
}
