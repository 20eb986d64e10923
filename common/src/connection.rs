//! Connections: where something outside is, and how to log in there. Airflow's URIs and its JSON.
//!
//! `type://login:password@host:port/schema?key=value`, each part percent-encoded as needed; extras that are no
//! texts come as JSON in `__extra__`.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The query key under which Airflow puts extras that are more than texts.
const EXTRA: &str = "__extra__";
/// What a part of a URI may hold as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    pub conn_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The database, or what else the host holds several of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    #[error(
        "it is not a connection: write type://login:password@host:port/schema?key=value, or JSON"
    )]
    NotAConnection,
    #[error("its port is not a number up to 65535")]
    Port,
    #[error(
        "it has an @ after its host: write : / ? and @ in a login or password as %3A %2F %3F and %40"
    )]
    Ambiguous,
    #[error("its {0} is not percent-encoded UTF-8")]
    Encoding(&'static str),
    #[error("its {EXTRA} is not a JSON object")]
    Extra,
    #[error("its JSON cannot be read: {0}")]
    Json(String),
}

/// What is wrong never quotes the text: it holds a password.
impl std::str::FromStr for Connection {
    type Err = ConnectionError;

    fn from_str(text: &str) -> Result<Self, ConnectionError> {
        if text.trim_start().starts_with('{') {
            let place = |error: serde_json::Error| {
                ConnectionError::Json(format!("line {}, column {}", error.line(), error.column()))
            };
            return serde_json::from_str(text).map_err(place);
        }
        let (scheme, rest) = text.split_once("://").ok_or(ConnectionError::NotAConnection)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '.');
        if scheme.is_empty() || !scheme.chars().all(allowed) {
            return Err(ConnectionError::NotAConnection);
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, schema) = rest.split_once('/').unwrap_or((rest, ""));
        // Part of a password would be taken for the schema or the port.
        if schema.contains('@') || query.split('&').next().is_some_and(|pair| pair.contains('@')) {
            return Err(ConnectionError::Ambiguous);
        }
        let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (login, password) = user.split_once(':').unwrap_or((user, ""));
        let (host, port) = host_and_port(place);
        let number = |text: &str| text.parse().map_err(|_| ConnectionError::Port);
        Ok(Self {
            conn_type: conn_type(scheme),
            host: decoded("host", host)?,
            login: decoded("login", login)?,
            password: decoded("password", password)?,
            port: port.map(number).transpose()?,
            schema: decoded("schema", schema)?,
            extra: extra(query)?,
        })
    }
}

/// As it stands in a URI.
pub fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Airflow's names of types: `google-cloud-platform` is `google_cloud_platform`.
fn conn_type(scheme: &str) -> String {
    match scheme {
        "postgresql" => "postgres".to_owned(),
        other => other.replace('-', "_"),
    }
}

/// A host in brackets is an IPv6 address, colons and all.
fn host_and_port(place: &str) -> (&str, Option<&str>) {
    let after_brackets = place.rfind(']').map_or(0, |end| end + 1);
    match place[after_brackets..].rfind(':') {
        Some(colon) => {
            let colon = after_brackets + colon;
            (&place[..colon], Some(&place[colon + 1..]).filter(|port| !port.is_empty()))
        }
        None => (place, None),
    }
}

fn decoded(part: &'static str, text: &str) -> Result<Option<String>, ConnectionError> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| ConnectionError::Encoding(part))?;
    Ok((!text.is_empty()).then(|| text.into_owned()))
}

fn extra(query: &str) -> Result<Map<String, Value>, ConnectionError> {
    let mut extra = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let text = |text: &str| {
            let text = text.replace('+', " ");
            decoded("query", &text).map(Option::unwrap_or_default)
        };
        let (key, value) = (text(key)?, text(value)?);
        if key == EXTRA {
            match serde_json::from_str(&value) {
                Ok(Value::Object(more)) => extra.extend(more),
                _ => return Err(ConnectionError::Extra),
            }
        } else {
            extra.insert(key, Value::from(value));
        }
    }
    Ok(extra)
}

impl Connection {
    /// The URI that reads back as this connection.
    pub fn uri(&self) -> String {
        let mut uri = format!("{}://", self.conn_type.replace('_', "-"));
        if self.login.is_some() || self.password.is_some() {
            uri += &percent_encoded(self.login.as_deref().unwrap_or_default());
            if let Some(password) = &self.password {
                uri += &format!(":{}", percent_encoded(password));
            }
            uri.push('@');
        }
        let host = self.host.as_deref().unwrap_or_default();
        // Brackets and colons of an IPv6 address stay as they are.
        uri += &if host.starts_with('[') { host.to_owned() } else { percent_encoded(host) };
        if let Some(port) = self.port {
            uri += &format!(":{port}");
        }
        if let Some(schema) = &self.schema {
            uri += &format!("/{}", percent_encoded(schema));
        }
        let texts = self.extra.values().all(Value::is_string);
        let pairs: Vec<String> = if texts {
            let pair = |(key, value): (&String, &Value)| {
                format!(
                    "{}={}",
                    percent_encoded(key),
                    percent_encoded(value.as_str().unwrap_or_default())
                )
            };
            self.extra.iter().map(pair).collect()
        } else {
            let json = Value::Object(self.extra.clone()).to_string();
            vec![format!("{EXTRA}={}", percent_encoded(&json))]
        };
        if !pairs.is_empty() {
            uri += &format!("?{}", pairs.join("&"));
        }
        uri
    }

    /// What nobody may see of it: the password, and every extra whose name says so.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = self.password.iter().cloned().collect();
        gather_secrets(&self.extra, &mut secrets);
        secrets
    }
}

fn gather_secrets(extra: &Map<String, Value>, secrets: &mut Vec<String>) {
    for (key, value) in extra {
        match value {
            value if is_sensitive(key) => gather_leaves(value, secrets),
            Value::Object(inner) => gather_secrets(inner, secrets),
            // Google's credentials are JSON in a text.
            Value::String(text) => {
                if let Ok(Value::Object(inner)) = serde_json::from_str(text) {
                    gather_secrets(&inner, secrets);
                }
            }
            _ => {}
        }
    }
}

/// All texts and numbers in a value.
pub fn gather_leaves(value: &Value, leaves: &mut Vec<String>) {
    match value {
        Value::String(text) => leaves.push(text.clone()),
        Value::Number(number) => leaves.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| gather_leaves(item, leaves)),
        Value::Object(entries) => entries.values().for_each(|value| gather_leaves(value, leaves)),
        Value::Bool(_) | Value::Null => {}
    }
}

/// Airflow's words in a name that say that its value is a secret.
const SENSITIVE: &[&str] = &[
    "access_token",
    "api_key",
    "apikey",
    "authorization",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "secret",
    "token",
    "keyfile_dict",
    "service_account",
];

/// Whether what has this name is a secret.
pub fn is_sensitive(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SENSITIVE.iter().any(|word| name.contains(word))
}

/// Without what nobody may see.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.conn_type, self.host.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Connection {
        text.parse().expect("a connection")
    }

    #[test]
    fn airflows_uris_are_read_and_written() {
        let check = |uri: &str, expected: &str| {
            let connection = read(uri);
            let json: Connection = serde_json::from_str(expected).expect("JSON");
            assert_eq!(connection.uri(), json.uri(), "{uri}");
            assert!(connection == json, "{uri}");
            assert!(read(&connection.uri()) == connection, "{uri} comes back");
        };
        check(
            "postgresql://me:p%40ss%2Fword@db.example:5433/flights?sslmode=require",
            r#"{"conn_type": "postgres", "login": "me", "password": "p@ss/word", "host": "db.example",
                "port": 5433, "schema": "flights", "extra": {"sslmode": "require"}}"#,
        );
        check(
            "http://https%3A%2F%2Fapi.example/",
            r#"{"conn_type": "http", "host": "https://api.example"}"#,
        );
        check(
            "aws://AKID:key@/?region_name=eu",
            r#"{"conn_type": "aws", "login": "AKID", "password": "key",
            "extra": {"region_name": "eu"}}"#,
        );
        check(
            "google-cloud-platform://?__extra__=%7B%22retries%22%3A%203%7D",
            r#"{"conn_type": "google_cloud_platform", "extra": {"retries": 3}}"#,
        );
        check(
            "redis://:pw@[::1]:6379/0",
            r#"{"conn_type": "redis", "password": "pw", "host": "[::1]",
            "port": 6379, "schema": "0"}"#,
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (text, words) in [
            ("hunter2", "write type://login"),
            ("postgres://me:hunter2@host:port/db", "its port is not a number"),
            ("postgres://me:hunter/2@host/db", "it has an @ after its host"),
            ("postgres://me:hunter2?x@host/db", "it has an @ after its host"),
            ("postgres://me:hunter2%FF@host", "its password is not percent-encoded"),
            (r#"{"conn_type": "x", "pass": "hunter2"}"#, "its JSON cannot be read"),
            ("x://h?__extra__=hunter2", "__extra__ is not a JSON object"),
        ] {
            let error = text.parse::<Connection>().expect_err(text).to_string();
            assert!(error.contains(words) && !error.contains("hunter2"), "{text}: {error}");
        }
        assert!(!format!("{:?}", read("postgres://me:hunter2@host")).contains("hunter2"));
    }

    #[test]
    fn passwords_and_sensitive_extras_are_secrets() {
        let uri = "x://me:pw@h?api_key=k1&region=eu";
        assert_eq!(read(uri).secrets(), ["pw", "k1"]);
        let json = r#"{"conn_type": "x", "extra": {"tokens": ["a", 7], "secret": {"value": "b"}, "y": {"z": "c"}}}"#;
        assert_eq!(read(json).secrets(), ["b", "a", "7"]);
    }
}
