//! Pools, and how much of them is taken.

use std::collections::BTreeMap;

use serde_json::json;
use towpath_common::command::Command;
use towpath_common::dag::DEFAULT_POOL;
use towpath_common::id::{PoolName, VersionId};
use towpath_common::run::Pool as Stored;
use towpath_common::state::TaskState;
use towpath_common::user::Role;

use crate::answer::{Page, Part, Pool, PoolRequest};
use crate::{Deed, Operations, Refusal, Result, Version};

impl Operations {
    pub async fn pools(&self, part: &Part) -> Result<Page<Pool>> {
        self.require_any()?;
        let mut used = self.used().await?;
        let pools = self.store().pools().await?.into_iter().map(|pool| {
            let (out, deferred) = used.remove(pool.name.as_str()).unwrap_or_default();
            Pool {
                name: pool.name.to_string(),
                slots: pool.slots,
                include_deferred: pool.include_deferred,
                used: out + if pool.include_deferred { deferred } else { 0 },
            }
        });
        Ok(Page::part(pools.collect(), part, |pool: &Pool| pool.name.clone()))
    }

    /// By pool: slots of instances that are out, and of those that are deferred.
    async fn used(&self) -> Result<BTreeMap<String, (u32, u32)>> {
        let states = [TaskState::Queued, TaskState::Running, TaskState::Deferred];
        let mut versions: BTreeMap<VersionId, Option<Version>> = BTreeMap::new();
        let mut used: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        for (version, task, state, count) in self.store().live_counts(&states).await? {
            if !versions.contains_key(&version) {
                let dag = self.version_if_any(&version).await?;
                versions.insert(version.clone(), dag);
            }
            let Some(Some(dag)) = versions.get(&version) else { continue };
            let Ok(place) = dag.tasks.binary_search_by(|known| known.id.cmp(&task)) else {
                continue;
            };
            let claims = &dag.tasks[place].claims;
            let slots = u32::try_from(count).unwrap_or(u32::MAX).saturating_mul(claims.pool_slots);
            let (out, deferred) = used.entry(claims.pool.to_string()).or_default();
            match state {
                TaskState::Deferred => *deferred += slots,
                _ => *out += slots,
            }
        }
        Ok(used)
    }

    pub async fn put_pool(&self, name: &PoolName, request: &PoolRequest) -> Result<()> {
        self.require(Role::Operator, None)?;
        let before = self.stored_pool(name).await?;
        self.note(Deed {
            action: "pool.set",
            dag: None,
            subject: format!("pool/{name}"),
            before: json!(before),
            after: json!(request),
        })
        .await?;
        let PoolRequest { slots, include_deferred } = *request;
        self.store().put_pool(&Stored { name: name.clone(), slots, include_deferred }).await?;
        self.ask(Command::PoolsChanged).await
    }

    pub async fn delete_pool(&self, name: &PoolName) -> Result<()> {
        self.require(Role::Operator, None)?;
        let before = self.stored_pool(name).await?;
        let Some(before) = before else {
            let hint = if name.as_str() == DEFAULT_POOL { "; it has no limit then" } else { "" };
            return Err(Refusal::NotFound(format!("there is no pool {name}{hint}")));
        };
        self.note(Deed {
            action: "pool.delete",
            dag: None,
            subject: format!("pool/{name}"),
            before: json!(before),
            after: json!(null),
        })
        .await?;
        self.store().delete_pool(name).await?;
        self.ask(Command::PoolsChanged).await
    }

    async fn stored_pool(&self, name: &PoolName) -> Result<Option<Stored>> {
        Ok(self.store().pools().await?.into_iter().find(|pool| pool.name == *name))
    }
}
