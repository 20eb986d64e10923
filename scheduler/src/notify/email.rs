//! Telling by SMTP. The connection is as in Airflow: `smtp://login:password@host:port`, with TLS from the start unless
//! the extra `disable_ssl` is true, then with STARTTLS unless `disable_tls` is; `from_email` is the sender.

use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde_json::Value;
use towpath_common::connection::Connection;

use super::Undelivered;
use crate::http::install_tls;

const TIMEOUT: Duration = Duration::from_secs(15);

pub struct Letter<'a> {
    pub to: &'a [String],
    pub subject: String,
    pub body: String,
    pub key: &'a str,
}

pub async fn send(server: &Connection, letter: Letter<'_>) -> Result<(), Undelivered> {
    let message = message(server, letter)?;
    let sent = transport(server)?.send(message).await;
    sent.map(drop).map_err(|error| format!("the mail server: {error}"))
}

fn message(server: &Connection, letter: Letter<'_>) -> Result<Message, Undelivered> {
    let sender = match server.extra.get("from_email").and_then(Value::as_str) {
        Some(address) => mailbox(address)?,
        None => {
            let login = server.login.as_deref().filter(|login| login.contains('@'));
            mailbox(login.ok_or("the connection has no from_email in its extras")?)?
        }
    };
    let to: Mailboxes = letter
        .to
        .iter()
        .map(|to| mailbox(to))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .collect();
    let builder: MessageBuilder = Message::builder()
        .from(sender)
        .mailbox(lettre::message::header::To::from(to))
        .subject(letter.subject)
        .message_id(Some(format!("<{}@towpath>", letter.key.replace(':', "."))));
    let name = HeaderName::new_from_ascii_str("X-Towpath-Key");
    builder
        .raw_header(HeaderValue::new(name, letter.key.to_owned()))
        .body(letter.body)
        .map_err(|error| format!("the message cannot be written: {error}"))
}

fn mailbox(address: &str) -> Result<Mailbox, Undelivered> {
    address.parse().map_err(|error| format!("{address:?} is not an email address: {error}"))
}

fn transport(server: &Connection) -> Result<AsyncSmtpTransport<Tokio1Executor>, Undelivered> {
    let host = server.host.as_deref().ok_or("the connection has no host")?;
    let is = |name: &str| match server.extra.get(name) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => matches!(text.to_ascii_lowercase().as_str(), "true" | "1"),
        _ => false,
    };
    install_tls();
    let parameters = || {
        TlsParameters::new(host.to_owned()).map_err(|error| format!("no TLS with {host}: {error}"))
    };
    let (tls, port) = match (is("disable_ssl"), is("disable_tls")) {
        (false, _) => (Tls::Wrapper(parameters()?), 465),
        (true, false) => (Tls::Required(parameters()?), 587),
        (true, true) => (Tls::None, 25),
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(server.port.unwrap_or(port))
        .tls(tls)
        .timeout(Some(TIMEOUT));
    if let (Some(login), Some(password)) = (&server.login, &server.password) {
        transport = transport.credentials(Credentials::new(login.clone(), password.clone()));
    }
    Ok(transport.build())
}
