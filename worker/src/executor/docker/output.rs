//! What containers print, on its way into the log, however often the stream of it breaks.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::{RETRY_PAUSE, State, inspect, is_missing};
use crate::log::AttemptLog;

pub type OutputStream = BoxStream<'static, Result<LogOutput, Error>>;

/// What a container prints.
pub struct Output {
    pub stream: OutputStream,
    pub origin: Origin,
}

#[derive(Clone, Copy)]
pub enum Origin {
    /// From before its start.
    Attached,
    /// From Docker's own log: what was printed and what is printed, or what was printed in all.
    Followed,
    Whole,
}

pub fn logged(docker: &Docker, name: &str, follow: bool) -> Output {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(follow).build();
    let origin = if follow { Origin::Followed } else { Origin::Whole };
    Output { stream: docker.logs(name, Some(options)).boxed(), origin }
}

/// Copies the container's output into the log to its end. A stream that breaks is begun anew, and so is the log.
pub async fn pump(docker: Docker, name: String, mut output: Output, log: AttemptLog) {
    loop {
        let was_whole = copy(&mut output.stream, &log).await;
        let end = end_of(&docker, &name).await;
        if matches!(end, End::Removed) {
            // What was copied is all that there is.
            return;
        }
        let is_complete = was_whole && matches!(end, End::Container);
        // Docker may end a log that is followed before its last lines, and so it is read again when nothing is added
        // to it any more.
        let follow = match (is_complete, output.origin) {
            (true, Origin::Attached | Origin::Whole) => return,
            (true, Origin::Followed) => false,
            (false, _) => true,
        };
        log.restart().await;
        output = logged(&docker, &name, follow);
    }
}

/// With what a stream of output has ended.
enum End {
    Container,
    /// The stream alone: the container goes on, or has gone on after it.
    Stream,
    Removed,
}

async fn end_of(docker: &Docker, name: &str) -> End {
    let mut was_away = false;
    let mut has_paused = false;
    loop {
        match inspect(docker, name).await {
            // The end of the output comes before that of the container is known.
            Ok(State::Running) if has_paused => return End::Stream,
            Ok(State::Running) => {}
            Ok(State::Created | State::Ended { .. }) if was_away => return End::Stream,
            Ok(State::Created | State::Ended { .. }) => return End::Container,
            Err(error) if is_missing(&error) => return End::Removed,
            Err(_) => was_away = true,
        }
        tokio::time::sleep(RETRY_PAUSE).await;
        has_paused = true;
    }
}

/// Copies the output into the log until the stream ends or breaks. Whether it has not broken, as far as it says.
async fn copy(output: &mut OutputStream, log: &AttemptLog) -> bool {
    let (mut stdout, mut stderr) = (log.stream(), log.stream());
    let mut is_whole = true;
    while let Some(piece) = output.next().await {
        match piece {
            Ok(LogOutput::StdErr { message }) => stderr.write(&message).await,
            Ok(
                LogOutput::StdOut { message }
                | LogOutput::Console { message }
                | LogOutput::StdIn { message },
            ) => stdout.write(&message).await,
            Err(_) => {
                is_whole = false;
                break;
            }
        }
    }
    stdout.finish().await;
    stderr.finish().await;
    is_whole
}
