//! A Docker daemon that is not well, before one that is: it answers late, or with an error, or carries out what it is
//! asked and breaks off before it says so.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixStream};

const SOCKET: &str = "/var/run/docker.sock";
/// How late every answer is.
const LATE: Duration = Duration::from_millis(150);
const STALLED: Duration = Duration::from_secs(35);
/// How long the daemon has for what it was asked before the connection breaks.
const CARRIED_OUT_WITHIN: Duration = Duration::from_millis(1500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ailment {
    /// 500, and nothing is done.
    Error,
    /// It is done, and the connection breaks.
    Break,
    /// It is done long after: when a worker that gave no sign of life meanwhile were taken for lost.
    Stall,
}

/// Which requests go wrong, and how often: the first so many whose line holds this text.
pub type Plan = Vec<(&'static str, Ailment, u32)>;

/// Ends with the test's runtime.
pub struct Ailing {
    pub host: String,
    plan: Arc<Mutex<Plan>>,
}

impl Ailing {
    pub async fn start(plan: Plan) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let host = format!("tcp://{}", listener.local_addr()?);
        let plan = Arc::new(Mutex::new(plan));
        tokio::spawn({
            let plan = Arc::clone(&plan);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let plan = Arc::clone(&plan);
                    // A client that goes away ends its connection, and no more.
                    tokio::spawn(async move { serve(client, &plan).await.ok() });
                }
            }
        });
        Ok(Self { host, plan })
    }

    /// What was to go wrong and has not yet.
    pub fn left(&self) -> Plan {
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.iter().copied().filter(|(.., times)| *times > 0).collect()
    }
}

fn drawn(plan: &Mutex<Plan>, line: &str) -> Option<Ailment> {
    let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, ailment, times) =
        plan.iter_mut().find(|(text, _, times)| *times > 0 && line.contains(text))?;
    *times -= 1;
    Some(*ailment)
}

/// One request to a connection, so that none is missed.
async fn serve(client: TcpStream, plan: &Mutex<Plan>) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_until(b'\n', &mut head).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    if !text.to_lowercase().contains("connection: upgrade") {
        head.splice(head.len() - 2..head.len() - 2, *b"Connection: close\r\n");
    }
    tokio::time::sleep(LATE).await;
    let ailment = drawn(plan, text.lines().next().unwrap_or_default());
    if ailment == Some(Ailment::Error) {
        let said = r#"{"message":"it is not well"}"#;
        let answer = format!(
            "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{said}",
            said.len()
        );
        // Read first what the request goes on with: a connection that is closed over it would be a break.
        let mut rest = vec![0; 64 * 1024];
        let _ = tokio::time::timeout(LATE, client.read(&mut rest)).await;
        return client.get_mut().write_all(answer.as_bytes()).await;
    }
    if ailment == Some(Ailment::Stall) {
        tokio::time::sleep(STALLED).await;
    }
    let mut daemon = UnixStream::connect(SOCKET).await?;
    daemon.write_all(&head).await?;
    if ailment == Some(Ailment::Break) {
        // Nothing that the daemon answers reaches the client.
        let asking = tokio::io::copy(&mut client, &mut daemon);
        let _ = tokio::time::timeout(CARRIED_OUT_WITHIN, asking).await;
        return Ok(());
    }
    tokio::io::copy_bidirectional(&mut client, &mut daemon).await.map(drop)
}
