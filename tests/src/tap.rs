//! A proxy that passes bytes between a client and a service and keeps them all.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What has passed.
#[derive(Clone, Default)]
pub struct Tap(Arc<Mutex<Vec<u8>>>);

impl Tap {
    /// The same URL by way of this tap. Everything that passes is kept.
    pub async fn on(&self, url: &str) -> anyhow::Result<String> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, target) = match authority.rsplit_once('@') {
            Some((user, target)) => (format!("{user}@"), target.to_owned()),
            None => (String::new(), authority.to_owned()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let tap = self.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(tap.clone().carry(client, target.clone()));
            }
        });
        Ok(format!("{scheme}://{user}{address}/{path}"))
    }

    async fn carry(self, client: TcpStream, target: String) {
        let Ok(service) = TcpStream::connect(&target).await else { return };
        let (from_client, to_client) = client.into_split();
        let (from_service, to_service) = service.into_split();
        tokio::join!(self.copy(from_client, to_service), self.copy(from_service, to_client));
    }

    async fn copy(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(&buffer[..read]);
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    }

    pub fn passed(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
