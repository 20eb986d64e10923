//! Telling somebody what became of a run or a task.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{AttemptKey, RunKey};
use crate::outcome::Failure;
use crate::time::Timestamp;
use crate::words::words;

words!(
    /// What somebody is told of.
    Occasion {
        /// It failed for good.
        Failure = "on_failure",
        /// It failed and is tried again.
        Retry = "on_retry",
        Success = "on_success",
        Skipped = "on_skipped",
        /// The run was not done in time.
        Deadline = "deadline",
    }
);

/// How somebody is told. All texts are templates; secrets are named in them and never written out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A POST of JSON.
    Webhook {
        url: String,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        /// None: what happened, as JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
    },
    /// A POST of `{"text": …}`, which Slack takes and others do in its place.
    Slack {
        url: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// By the SMTP server that a connection names.
    Email {
        connection: String,
        to: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
    },
}

impl Channel {
    /// Its templates, in the order in which [`Channel::with_texts`] takes them back.
    pub fn templates(&self) -> Vec<String> {
        let texts: Vec<&String> = match self {
            Self::Webhook { url, headers, body } => {
                [url].into_iter().chain(headers.values()).chain(body).collect()
            }
            Self::Slack { url, text } => [url].into_iter().chain(text).collect(),
            Self::Email { connection: _, to, subject, body } => {
                to.iter().chain(subject).chain(body).collect()
            }
        };
        texts.into_iter().cloned().collect()
    }

    /// The same with these texts in the place of its templates.
    pub fn with_texts(mut self, texts: Vec<String>) -> Self {
        let places: Vec<&mut String> = match &mut self {
            Self::Webhook { url, headers, body } => {
                [url].into_iter().chain(headers.values_mut()).chain(body).collect()
            }
            Self::Slack { url, text } => [url].into_iter().chain(text).collect(),
            Self::Email { connection: _, to, subject, body } => {
                to.iter_mut().chain(subject).chain(body).collect()
            }
        };
        places.into_iter().zip(texts).for_each(|(place, text)| *place = text);
        self
    }
}

/// One message to one receiver, in the outbox until it is delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The same for the same event, however often it is decided or delivered: receivers can tell.
    pub key: String,
    pub occasion: Occasion,
    pub channel: Channel,
    pub run: RunKey,
    /// None: it is about the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    pub at: Timestamp,
}

words!(
    NotificationState {
        /// It is to be delivered, perhaps again.
        Waiting = "waiting",
        Delivered = "delivered",
        /// It could not be delivered for as long as it was tried.
        Undeliverable = "undeliverable",
    }
);

/// How far a notification has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationStatus {
    pub state: NotificationState,
    /// When it is tried next, or was settled.
    pub at: Timestamp,
    pub tries: u32,
    /// Why the last try failed.
    pub error: Option<String>,
}
