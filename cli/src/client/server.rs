//! The API of a server, by HTTP.

use std::time::Duration;

use anyhow::{Context, bail};
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use reqwest::Url;
use reqwest::redirect::Policy;
use towpath_backends::CheckError;
use towpath_scheduler::http::{install_tls, words};

use super::at;
use crate::args::Connection;
use crate::settings::{WAIT_VERB, outwait};

const WHAT: &str = "the server (--server, TOWPATH_SERVER)";
/// How long a server may take to begin an answer, or to go on with it.
const SILENCE: Duration = Duration::from_secs(60);

/// The server may answer later.
#[derive(Debug, thiserror::Error)]
#[error("{WHAT} does not answer: {0}")]
pub struct Silent(String);

pub struct Server {
    http: reqwest::Client,
    url: Url,
    token: Option<String>,
}

impl Server {
    /// Waits until it answers, and knows who asks.
    pub async fn reach(url: &str, connection: &Connection) -> anyhow::Result<Self> {
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = parsed else {
            bail!("{WHAT} {url:?} is not a URL such as https://towpath.example.org");
        };
        install_tls();
        let http = reqwest::Client::builder().read_timeout(SILENCE);
        // A token goes to the server that was named, and to no other.
        let http = http.redirect(Policy::none()).build();
        let http = http.context("HTTP cannot be used here")?;
        let server = Self { http, url, token: connection.token.clone() };
        outwait(WHAT, connection.wait.unwrap_or(WAIT_VERB), || server.check()).await?;
        Ok(server)
    }

    async fn check(&self) -> Result<(), CheckError> {
        let asked = self.ask(Request::get(at(&["session"]).text()).body(Body::empty()));
        let response = asked.await.map_err(|error| match error.downcast::<reqwest::Error>() {
            Ok(error) => CheckError::Away(words(&error)),
            Err(error) => CheckError::Refused(error.to_string()),
        })?;
        match response.status() {
            StatusCode::OK => Ok(()),
            StatusCode::UNAUTHORIZED if self.token.is_none() => Err(CheckError::Refused(
                "it wants a token: give one of towpath token create with --token or TOWPATH_TOKEN"
                    .to_owned(),
            )),
            StatusCode::UNAUTHORIZED => Err(CheckError::Refused(
                "the token (--token, TOWPATH_TOKEN) is unknown or expired".to_owned(),
            )),
            status if status.is_redirection() => {
                let to = response.headers().get(header::LOCATION);
                let to = to.and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
                Err(CheckError::Refused(format!(
                    "it redirects to {to}; give the URL of that place"
                )))
            }
            status if status.is_server_error() => {
                Err(CheckError::Away(format!("it answers with status {status}")))
            }
            status => Err(CheckError::Refused(format!(
                "it answers with status {status}, and not as Towpath's API does"
            ))),
        }
    }

    pub async fn send(&self, request: Request<Body>) -> anyhow::Result<Response<Body>> {
        let asked = self.ask(Ok(request)).await;
        asked.map_err(|error| match error.downcast::<reqwest::Error>() {
            Ok(why) => Silent(words(&why)).into(),
            Err(error) => error,
        })
    }

    async fn ask(
        &self,
        request: axum::http::Result<Request<Body>>,
    ) -> anyhow::Result<Response<Body>> {
        let (parts, body) = request?.into_parts();
        let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        // The server may live below a path of its host.
        let url = format!("{}{path}", self.url.as_str().trim_end_matches('/'));
        let body = axum::body::to_bytes(body, usize::MAX).await?;
        let mut asked = self.http.request(parts.method, url).headers(parts.headers).body(body);
        // An address without users wants to know that no other site's page asks.
        asked = asked.header("x-csrf-token", "none");
        if let Some(token) = &self.token {
            asked = asked.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response: Response<reqwest::Body> = asked.send().await?.into();
        Ok(response.map(Body::new))
    }
}
