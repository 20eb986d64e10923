//! Looking at an HTTP server.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Client;
use towpath_common::outcome::Outputs;

use super::look::Sight;
use crate::http::{LazyClient, words};

/// How long one look may take.
const LOOK_MAX: Duration = Duration::from_secs(30);

pub struct HttpClient(LazyClient);

impl Default for HttpClient {
    fn default() -> Self {
        Self(LazyClient::new(|| Client::builder().timeout(LOOK_MAX)))
    }
}

impl HttpClient {
    /// A status of success, and the text in the answer if one is asked for.
    pub async fn look(
        &self,
        url: &str,
        headers: &BTreeMap<String, String>,
        contains: Option<&str>,
    ) -> Sight {
        let client = match self.0.get() {
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
