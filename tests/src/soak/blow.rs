//! What is struck with, and how it is healed.

use std::fmt;
use std::io::Write;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use towpath_common::time::{Clock, SystemClock};

use super::stage::{Role, Stage};
use crate::docker::run_at;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blow {
    KillScheduler,
    StopScheduler,
    PauseScheduler,
    StepClock,
    KillWorker,
    StopWorker,
    PauseWorker,
    KillApi,
    PauseApi,
    KillRabbitMq,
    KillRedis,
    KillPostgres,
    KillDocker,
    StopDocker,
    FillDisk,
    CutNetwork,
    RemoveContainer,
    PauseContainer,
}

impl Blow {
    /// As often as they stand here.
    pub const ALL: &'static [Self] = &[
        Self::KillScheduler,
        Self::KillScheduler,
        Self::StopScheduler,
        Self::PauseScheduler,
        Self::StepClock,
        Self::KillWorker,
        Self::KillWorker,
        Self::KillWorker,
        Self::StopWorker,
        Self::StopWorker,
        Self::PauseWorker,
        Self::KillApi,
        Self::PauseApi,
        Self::KillRabbitMq,
        Self::KillRedis,
        Self::KillPostgres,
        Self::KillDocker,
        Self::StopDocker,
        Self::FillDisk,
        Self::CutNetwork,
        Self::RemoveContainer,
        Self::RemoveContainer,
        Self::PauseContainer,
        Self::PauseContainer,
    ];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|blow| format!("{blow:?}") == name).copied()
    }
}

/// A blow that has fallen, until it is healed.
pub struct Struck {
    blow: Blow,
    remedy: Remedy,
    heal_at: Instant,
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.heal_at.saturating_duration_since(Instant::now());
        write!(f, "{:?}: {:?} after {:.1} s", self.blow, self.remedy, left.as_secs_f64())
    }
}

/// Two that are alike would be of the same target.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Remedy {
    None,
    Start(Role),
    Continue(Role),
    SetClock,
    StartRabbitMq,
    StartRedis,
    StartPostgres,
    /// Whether containers are to outlive the next blow is drawn when this one is healed.
    StartDocker,
    EmptyDisk,
    MendNetwork,
    Unpause(String),
}

/// None if its target is down already, or there is none.
pub async fn strike(
    stage: &mut Stage,
    struck: &[Struck],
    blow: Blow,
    chance: &mut fastrand::Rng,
) -> anyhow::Result<Option<Struck>> {
    let one_of = |roles: &[Role], chance: &mut fastrand::Rng| roles[chance.usize(..roles.len())];
    let (remedy, seconds) = match blow {
        Blow::KillScheduler => (Remedy::Start(one_of(&Role::SCHEDULERS, chance)), 0.5..4.0),
        Blow::StopScheduler => (Remedy::Start(one_of(&Role::SCHEDULERS, chance)), 0.5..2.0),
        Blow::PauseScheduler => (Remedy::Continue(one_of(&Role::SCHEDULERS, chance)), 5.0..20.0),
        Blow::StepClock => (Remedy::SetClock, 5.0..15.0),
        Blow::KillWorker => (Remedy::Start(one_of(&Role::WORKERS, chance)), 0.5..6.0),
        Blow::StopWorker => (Remedy::Start(one_of(&Role::WORKERS, chance)), 0.5..4.0),
        // Shorter and longer than its lease.
        Blow::PauseWorker => (Remedy::Continue(one_of(&Role::WORKERS, chance)), 4.0..20.0),
        Blow::KillApi => (Remedy::Start(Role::Api), 0.5..4.0),
        Blow::PauseApi => (Remedy::Continue(Role::Api), 5.0..20.0),
        Blow::KillRabbitMq => (Remedy::StartRabbitMq, 0.5..5.0),
        Blow::KillRedis => (Remedy::StartRedis, 0.5..5.0),
        Blow::KillPostgres => (Remedy::StartPostgres, 0.5..5.0),
        Blow::KillDocker | Blow::StopDocker => (Remedy::StartDocker, 0.5..5.0),
        Blow::FillDisk => (Remedy::EmptyDisk, 3.0..6.0),
        Blow::CutNetwork => (Remedy::MendNetwork, 4.0..20.0),
        Blow::RemoveContainer => (Remedy::None, 0.0..0.1),
        Blow::PauseContainer => match a_container(stage, chance) {
            Some(name) => (Remedy::Unpause(name), 3.0..6.0),
            None => return Ok(None),
        },
    };
    if is_down(stage, struck, &remedy) || !fall(stage, blow, &remedy, chance).await? {
        return Ok(None);
    }
    let seconds = seconds.start + chance.f64() * (seconds.end - seconds.start);
    let heal_at = Instant::now() + Duration::from_secs_f64(seconds);
    Ok(Some(Struck { blow, remedy, heal_at }))
}

/// Who is paused is not killed besides.
fn is_down(stage: &Stage, struck: &[Struck], remedy: &Remedy) -> bool {
    let down = |role: &Role| {
        let hit =
            |one: &Struck| [Remedy::Start(*role), Remedy::Continue(*role)].contains(&one.remedy);
        !stage.roles.contains_key(role) || struck.iter().any(hit)
    };
    match remedy {
        Remedy::None => false,
        Remedy::Start(role) | Remedy::Continue(role) => down(role),
        other => struck.iter().any(|one| one.remedy == *other),
    }
}

/// Whether there was something to strike.
async fn fall(
    stage: &mut Stage,
    blow: Blow,
    remedy: &Remedy,
    chance: &mut fastrand::Rng,
) -> anyhow::Result<bool> {
    match (blow, remedy) {
        (Blow::StopScheduler | Blow::StopWorker, Remedy::Start(role)) => {
            let Some(process) = stage.roles.remove(role) else { return Ok(false) };
            let ending = move || process.terminate(Duration::from_secs(30));
            // Where it cannot end in time it is killed, as its keepers would.
            if let Ok(status) = tokio::task::spawn_blocking(ending).await? {
                // One that has only just begun does not listen yet.
                let is_orderly = status.code().is_none_or(|code| code == 0);
                anyhow::ensure!(is_orderly, "{role:?} ended with {status}");
            }
        }
        (_, Remedy::Start(role)) => match stage.roles.remove(role) {
            Some(process) => process.kill()?,
            None => return Ok(false),
        },
        (_, Remedy::Continue(role)) => match stage.roles.get(role) {
            Some(process) => process.signal(Signal::SIGSTOP)?,
            None => return Ok(false),
        },
        (_, Remedy::SetClock) => {
            stage.step_clock(if chance.bool() { "+30s" } else { "-30s" })?;
        }
        (_, Remedy::StartRabbitMq) => stage.services.rabbitmq.kill().await?,
        (_, Remedy::StartRedis) => stage.services.redis.kill().await?,
        (_, Remedy::StartPostgres) => stage.services.postgres.kill().await?,
        (Blow::StopDocker, _) => stage.dockerd.stop().await?,
        (_, Remedy::StartDocker) => {
            stage.docker_kills.push(SystemClock.now());
            stage.dockerd.kill().await?;
        }
        (_, Remedy::EmptyDisk) => fill_disk(stage)?,
        (_, Remedy::MendNetwork) => stage.namespace.cut()?,
        (_, Remedy::Unpause(name)) => {
            return Ok(run_at(&stage.dockerd.host(), &["pause", name]).is_ok());
        }
        (_, Remedy::None) => {
            let Some(name) = a_container(stage, chance) else { return Ok(false) };
            return Ok(run_at(&stage.dockerd.host(), &["rm", "--force", &name]).is_ok());
        }
    }
    Ok(true)
}

fn a_container(stage: &Stage, chance: &mut fastrand::Rng) -> Option<String> {
    if !stage.dockerd.runs() {
        return None;
    }
    let names = run_at(&stage.dockerd.host(), &["ps", "--format", "{{.Names}}"]).ok()?;
    let names: Vec<&str> = names.lines().collect();
    (!names.is_empty()).then(|| names[chance.usize(..names.len())].to_owned())
}

fn fill_disk(stage: &Stage) -> anyhow::Result<()> {
    let mut file = std::fs::File::create(stage.logs().join("filler"))?;
    let block = vec![0; 1 << 16];
    // The error is what is wanted.
    while file.write_all(&block).is_ok() {}
    Ok(())
}

/// Heals what is due by then.
pub async fn heal(
    stage: &mut Stage,
    struck: &mut Vec<Struck>,
    by: Instant,
    chance: &mut fastrand::Rng,
) -> anyhow::Result<()> {
    for Struck { remedy, .. } in struck.extract_if(.., |one| one.heal_at <= by) {
        match remedy {
            Remedy::None => {}
            Remedy::Start(role) => stage.start(role).await?,
            Remedy::Continue(role) => {
                if let Some(process) = stage.roles.get(&role) {
                    process.signal(Signal::SIGCONT)?;
                }
            }
            Remedy::SetClock => stage.step_clock("+0")?,
            Remedy::StartRabbitMq => stage.services.rabbitmq.start_again().await?,
            Remedy::StartRedis => stage.services.redis.start_again().await?,
            Remedy::StartPostgres => stage.services.postgres.start_again().await?,
            Remedy::StartDocker => stage.dockerd.start_again(chance.bool()).await?,
            Remedy::EmptyDisk => std::fs::remove_file(stage.logs().join("filler"))?,
            Remedy::MendNetwork => stage.namespace.mend()?,
            // It may be gone, and then Docker is not asked for it again.
            Remedy::Unpause(name) => {
                let _ = run_at(&stage.dockerd.host(), &["unpause", &name]);
            }
        }
    }
    Ok(())
}
