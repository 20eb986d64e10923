//! Who is told, as people write it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::Scalar;

/// Somebody who is told. All texts are templates; secrets are named in them: `{{ conn.NAME.password }}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredChannel {
    /// A POST to a URL.
    #[serde(default)]
    pub webhook: Option<AuthoredWebhook>,
    /// A POST as Slack's incoming webhooks take it.
    #[serde(default)]
    pub slack: Option<AuthoredSlack>,
    /// A message by SMTP.
    #[serde(default)]
    pub email: Option<AuthoredEmail>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredWebhook {
    #[schemars(with = "String")]
    pub url: Spanned<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What is sent; what happened, as JSON, by default.
    #[serde(default)]
    pub body: Option<String>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredSlack {
    #[schemars(with = "String")]
    pub url: Spanned<String>,
    /// What is said; what happened, in one line, by default.
    #[serde(default)]
    pub text: Option<String>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredEmail {
    /// The connection of the SMTP server.
    pub connection: String,
    #[schemars(with = "Vec<String>")]
    pub to: Spanned<Vec<String>>,
    /// What happened, in one line, by default.
    #[serde(default)]
    pub subject: Option<String>,
    #[serde(default)]
    pub body: Option<String>,
}

/// A run that is not done in time is told of.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredDeadline {
    /// From when it is counted: logical_date, queued_at or started_at.
    #[schemars(with = "String")]
    pub reference: Spanned<String>,
    /// How long the run may take.
    #[schemars(with = "Scalar")]
    pub interval: Spanned<Scalar>,
    #[schemars(with = "Vec<AuthoredChannel>")]
    pub notify: Vec<Spanned<AuthoredChannel>>,
}
