//! Somebody who looks at what goes on while everything is busy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::bench::api::{serve, whole};
use crate::bench::{Table, percentile};
use crate::cluster::Cluster;
use crate::process::Process;

const PAUSE: Duration = Duration::from_millis(200);
/// Whoever waits longer than this has gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the start page and the list of runs ask for.
const PAGES: [&str; 2] = ["/api/v1/dags", "/api/v1/runs?limit=50"];

pub struct Onlooker {
    _api: Process,
    looking: JoinHandle<()>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    took_ms: Vec<f64>,
    refused: Vec<String>,
}

impl Onlooker {
    pub async fn look(cluster: &Cluster) -> anyhow::Result<Self> {
        let (api, address) = serve(cluster).await?;
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let looking = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                for page in PAGES.into_iter().cycle() {
                    let began = Instant::now();
                    let answer = timeout(PATIENCE, whole(&address, page)).await;
                    let answer = answer.unwrap_or_else(|_| Err(anyhow!("no answer to {page}")));
                    let mut seen = seen.lock().await;
                    match answer {
                        Ok(_) => seen.took_ms.push(began.elapsed().as_secs_f64() * 1000.0),
                        Err(error) => seen.refused.push(error.to_string()),
                    }
                    drop(seen);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        Ok(Self { _api: api, looking, seen })
    }

    /// How long answers took; an error if there were none at some time.
    pub async fn tell(self, prefix: &str, table: &mut Table) -> anyhow::Result<()> {
        self.looking.abort();
        let mut seen = self.seen.lock().await;
        ensure!(seen.refused.is_empty(), "the API has not answered: {:?}", seen.refused);
        ensure!(!seen.took_ms.is_empty(), "nobody has looked");
        table.add(format!("{prefix}_api_p50_ms"), percentile(&mut seen.took_ms, 0.5));
        table.add(format!("{prefix}_api_max_ms"), percentile(&mut seen.took_ms, 1.0));
        Ok(())
    }
}
