//! Runs the command as a process of this machine, in a process group of its own. The image is not
//! used. A process does not outlive its worker: nobody could watch it then.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use towpath_common::dag::Container;
use towpath_common::id::AttemptKey;
use towpath_common::outcome::{Failure, FailureClass};
use towpath_common::port::Unavailable;

use super::{AttemptSpec, Ended, Execution, Executor, LaunchError};
use crate::log::AttemptLog;

/// Settings of Towpath itself, with its credentials, are not for tasks.
const OWN_PREFIX: &str = "TOWPATH_";
/// How long the output of a command that has ended is waited for: a child of it may hold the pipe.
const OUTPUT_AFTER_EXIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct ProcessExecutor {
    /// Holds the output file of every attempt that runs.
    scratch: PathBuf,
}

impl ProcessExecutor {
    pub fn new(scratch: PathBuf) -> Self {
        Self { scratch }
    }

    fn command(&self, spec: &AttemptSpec, output: &std::path::Path) -> Command {
        let mut command = Command::new(&spec.command[0]);
        command.args(&spec.command[1..]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with(OWN_PREFIX) {
                command.env_remove(name);
            }
        }
        command.envs(&spec.environment).env("TOWPATH_OUTPUT", output);
        let working_dir = spec.container.working_dir.as_ref().map(PathBuf::from);
        if let Some(dir) = working_dir.or_else(|| spec.source_dir.clone()) {
            command.current_dir(dir);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        die_with_worker(&mut command);
        command
    }
}

/// Has the kernel kill the process when its worker dies.
#[allow(unsafe_code)]
fn die_with_worker(command: &mut Command) {
    let worker = nix::unistd::getpid();
    let ask = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The worker may have died before the call.
        if nix::unistd::getppid() == worker { Ok(()) } else { Err(nix::errno::Errno::ESRCH.into()) }
    };
    // SAFETY: between fork and exec the closure makes two system calls and touches no lock and no
    // allocation.
    unsafe {
        command.pre_exec(ask);
    }
}

#[async_trait]
impl Executor for ProcessExecutor {
    async fn check(&self) -> Result<(), Unavailable> {
        let made = tokio::fs::create_dir_all(&self.scratch).await;
        made.map_err(|error| Unavailable::new("the scratch folder", error))
    }

    async fn prepare(
        &self,
        _team: Option<&str>,
        _container: &Container,
    ) -> Result<(), LaunchError> {
        Ok(())
    }

    async fn launch(
        &self,
        spec: &AttemptSpec,
        log: AttemptLog,
    ) -> Result<Box<dyn Execution>, LaunchError> {
        let failed = |what: String| Failure::new(FailureClass::Launch, what);
        let output = self.scratch.join(spec.attempt.to_string());
        tokio::fs::write(&output, b"")
            .await
            .map_err(|error| failed(format!("{}: {error}", output.display())))?;
        let mut child = self.command(spec, &output).spawn().map_err(|error| {
            // A failure has nothing to remove; the file would be the only trace.
            let _ = std::fs::remove_file(&output);
            let unused = match spec.container.image {
                Some(_) => "; it was looked for on this machine: processes use no image",
                None => "",
            };
            failed(format!("{}: {error}{unused}", spec.command[0]))
        })?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let pipes = [
            child.stdout.take().map(|pipe| tokio::spawn(pump(pipe, log.clone()))),
            child.stderr.take().map(|pipe| tokio::spawn(pump(pipe, log.clone()))),
        ];
        let pipes = pipes.into_iter().flatten().collect();
        Ok(Box::new(Process { child, group, pipes, log, output }))
    }

    async fn traces(&self) -> Result<Vec<AttemptKey>, Unavailable> {
        Ok(Vec::new())
    }

    async fn attach(
        &self,
        attempt: &AttemptKey,
        _log: AttemptLog,
    ) -> Result<Box<dyn Execution>, LaunchError> {
        let why = format!("{attempt} died with its worker");
        Err(Unavailable::new("the process executor", why).into())
    }

    async fn remove(&self, _attempt: &AttemptKey) {}

    fn survives_worker(&self) -> bool {
        false
    }
}

/// Copies one of the command's outputs into the log, to its end.
async fn pump(mut pipe: impl AsyncRead + Unpin, log: AttemptLog) {
    let mut stream = log.stream();
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        stream.write(&buffer[..read]).await;
    }
    stream.finish().await;
}

struct Process {
    child: Child,
    group: Option<Pid>,
    pipes: Vec<JoinHandle<()>>,
    log: AttemptLog,
    output: PathBuf,
}

impl Process {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // An error means that nobody is left in the group.
            let _ = killpg(group, signal);
        }
    }
}

#[async_trait]
impl Execution for Process {
    async fn wait(&mut self) -> Ended {
        let ended = match self.child.wait().await {
            Ok(status) => Ended::Exited { code: code_of(status), oom: false },
            Err(error) => Ended::Vanished(error.to_string()),
        };
        // What the command has left running in its group ends with it.
        self.signal(Signal::SIGKILL);
        for pipe in &mut self.pipes {
            if !self.log.is_filled_by(pipe, OUTPUT_AFTER_EXIT, false).await {
                pipe.abort();
            }
        }
        self.pipes.clear();
        ended
    }

    async fn stop(&mut self, grace: Duration) {
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(grace, self.child.wait()).await.is_err() {
            self.signal(Signal::SIGKILL);
        }
    }

    async fn output(&mut self, limit: u64) -> Result<Vec<u8>, Failure> {
        let text = |error: std::io::Error| Failure::new(FailureClass::Output, error.to_string());
        let file = tokio::fs::File::open(&self.output).await.map_err(text)?;
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).await.map_err(text)?;
        Ok(bytes)
    }

    async fn remove(self: Box<Self>) {
        // Dropping it kills what is left and removes the file.
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = std::fs::remove_file(&self.output);
    }
}

fn code_of(status: ExitStatus) -> i64 {
    let signalled = status.signal().map(|signal| 128 + signal);
    i64::from(status.code().or(signalled).unwrap_or(-1))
}
