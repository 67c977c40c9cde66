//! The walk to the destination without a lead: addresses, connection, TLS, token.
//!
//! TLS is tried by the very client that sends leads, with `HEAD /`: any answer is good enough,
//! what it says of the path does not matter.

use leadgate_plugin::{Host, Probe, Secret, Stop};
use reqwest::{Client, Url};

use crate::auth::Proof;
use crate::failure;
use crate::left;
use crate::parts::Parts;

/// Walks to where tokens come from and to where each step goes, one after the other.
pub(crate) async fn walk(
    client: &Client,
    parts: &Parts,
    host: &Host,
    probe: &Probe,
) -> Result<(), Stop> {
    let tokens = match &parts.proof {
        Proof::Token(tokens, _) => Some(tokens),
        _ => None,
    };
    let mut places: Vec<&Url> = Vec::new();
    let steps = parts.steps.iter().map(|step| step.draft.endpoint.base());
    for url in tokens.iter().map(|tokens| tokens.url()).chain(steps) {
        if places.iter().all(|known| known.origin() != url.origin()) {
            places.push(url);
        }
    }
    if let Some(proxy) = &parts.proxy {
        reach(probe, proxy_url(proxy).as_ref()).await?;
    }
    for place in places {
        if parts.proxy.is_none() {
            reach(probe, Some(place)).await?;
        }
        if place.scheme() == "https" {
            ask(client, place, "tls", probe).await?;
        } else if parts.proxy.is_some() {
            ask(client, place, "proxy", probe).await?;
        }
    }
    let Some(tokens) = tokens else {
        return Ok(());
    };
    probe
        .noted("token", async {
            if tokens.may_be_replaced() {
                let note = "not tried: a refresh token may be good only once, and the daemon has the newest; `leadgate sink test` tries it there";
                return Ok(((), note.to_owned()));
            }
            let got = tokens.get(client, host, probe.ends(), None).await;
            got.map(|_| ((), String::new())).map_err(|outcome| outcome.reason)
        })
        .await
}

fn proxy_url(proxy: &Secret) -> Option<Url> {
    Url::parse(proxy.expose()).ok()
}

async fn reach(probe: &Probe, url: Option<&Url>) -> Result<(), Stop> {
    // Both were looked at when the settings were understood.
    let host = url.and_then(Url::host_str).unwrap_or_default();
    let port = url.and_then(Url::port_or_known_default).unwrap_or(443);
    probe.reach(host, port).await.map(drop)
}

async fn ask(client: &Client, place: &Url, step: &str, probe: &Probe) -> Result<(), Stop> {
    let mut url = place.clone();
    url.set_path("/");
    url.set_query(None);
    let host = place.host_str().unwrap_or_default().to_owned();
    probe
        .noted(step, async {
            let asked = client.head(url).timeout(left(probe.ends())).send().await;
            match asked {
                Ok(answer) => Ok(((), format!("{host} speaks {:?}", answer.version()))),
                Err(error) if error.is_connect() => Err(failure::failure(&error).reason),
                // The connection stands; what the server thinks of the question is its own.
                Err(_) => Ok(((), format!("{host}; HEAD / was not answered"))),
            }
        })
        .await
}
