//! How the program ends when nothing was wrong with how it was called.

use std::process::ExitCode;

use towpath_common::state::RunState;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// A run that was waited for has failed.
    RunFailed,
}

impl Outcome {
    /// Of runs that were waited for.
    pub fn of_runs<'a>(states: impl IntoIterator<Item = &'a RunState>) -> Self {
        let failed = states.into_iter().any(|state| *state != RunState::Success);
        if failed { Self::RunFailed } else { Self::Done }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::RunFailed => Self::from(1),
        }
    }
}
