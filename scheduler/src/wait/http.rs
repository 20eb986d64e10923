//! Looking at an HTTP server.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Client;
use towpath_common::outcome::Outputs;

use super::look::Sight;
use crate::http::{install_tls, words};

/// How long one look may take.
const LOOK_MAX: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct HttpClient(OnceLock<Result<Client, String>>);

impl HttpClient {
    fn client(&self) -> Result<&Client, String> {
        let made = self.0.get_or_init(|| {
            install_tls();
            Client::builder().timeout(LOOK_MAX).build().map_err(|error| error.to_string())
        });
        made.as_ref().map_err(Clone::clone)
    }

    /// A status of success, and the text in the answer if one is asked for.
    pub async fn look(
        &self,
        url: &str,
        headers: &BTreeMap<String, String>,
        contains: Option<&str>,
    ) -> Sight {
        let client = match self.client() {
            Ok(client) => client,
            Err(why) => return Sight::Never(why),
        };
        let mut request = client.get(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_builder() => {
                return Sight::Never(format!("{url:?} cannot be asked: {}", words(&error)));
            }
            Err(error) => {
                return Sight::NotYet(format!("{url} cannot be reached: {}", words(&error)));
            }
        };
        let status = answer.status();
        if !status.is_success() {
            return Sight::NotYet(format!("{url} answers {status}"));
        }
        match (contains, answer.text().await) {
            (None, _) => Sight::Found(Outputs::new()),
            (Some(_), Err(error)) => Sight::NotYet(format!("{url}: {}", words(&error))),
            (Some(wanted), Ok(text)) if text.contains(wanted) => Sight::Found(Outputs::new()),
            (Some(wanted), Ok(_)) => Sight::NotYet(format!("the answer of {url} lacks {wanted:?}")),
        }
    }
}
