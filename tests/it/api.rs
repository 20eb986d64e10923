//! The API: who may do what, what is refused and in which words, and that no answer is a surprise.

mod document;
mod live;
mod permissions;
mod refusals;
mod sessions;
mod verbs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use towpath_tests::process::eventually;
use towpath_tests::served::{Answer, Served, answer};

const PASSWORD: &str = "a password that is long";
const WAIT: Duration = Duration::from_secs(20);

fn dags() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("it/api/dags")
}

/// Users of every role in every place, and a run in each team.
struct Place {
    served: Served,
    tokens: BTreeMap<String, String>,
    /// By Dag.
    runs: BTreeMap<String, String>,
}

const ROLES: [&str; 4] = ["viewer", "operator", "author", "admin"];
/// Where a role is held: in all teams, in the Dag's own, in another.
const HELD: [&str; 3] = ["*", "east", "west"];

impl Place {
    async fn make() -> anyhow::Result<Self> {
        let served = Served::start(&[&dags()], &[]).await?;
        let mut tokens = BTreeMap::new();
        for role in ROLES {
            for team in HELD {
                let name =
                    if team == "*" { format!("all-{role}") } else { format!("{team}-{role}") };
                served.make_user(&name, &[&format!("{team}={role}")], PASSWORD)?;
                tokens.insert(name.clone(), served.token(&name)?);
            }
        }
        let mut place = Self { served, tokens, runs: BTreeMap::new() };
        for dag in ["eastern", "western", "nobodys"] {
            let run = place.trigger(dag).await?;
            place.runs.insert(dag.to_owned(), run);
        }
        Ok(place)
    }

    fn admin(&self) -> &str {
        &self.tokens["all-admin"]
    }

    async fn ask(
        &self,
        who: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Answer> {
        let token = self.tokens.get(who).with_context(|| format!("no user {who}"))?;
        self.served.ask(Some(token), method, path, body.as_ref()).await
    }

    async fn trigger(&self, dag: &str) -> anyhow::Result<String> {
        let path = format!("/dags/{dag}/runs");
        let asked = self.ask("all-admin", Method::POST, &path, Some(json!({}))).await?;
        ensure!(asked.status == 202, "{asked:?}");
        let key = asked.body["run_key"].as_str().context("a key")?.to_owned();
        self.ended(&key).await?;
        Ok(key)
    }

    async fn ended(&self, run: &str) -> anyhow::Result<Value> {
        let path = format!("/runs/{run}");
        eventually("the run has ended", WAIT, || async {
            let found = self.ask("all-admin", Method::GET, &path, None).await?;
            let is_over =
                ["success", "failed"].contains(&found.body["state"].as_str().unwrap_or(""));
            Ok(is_over.then_some(found.body))
        })
        .await
    }
}
