//! `towpath`: the roles and the verbs.
//!
//! Exit codes: 0 for success, 1 for a run that failed, 2 for input or a service that cannot be used.

mod args;
mod client;
mod embedded;
mod keys;
mod operations;
mod outcome;
mod progress;
mod role;
mod secret;
mod settings;
mod signals;
mod verb;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use args::{Args, Command, LogFormat, WorkerOptions};
use outcome::Outcome;

fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr(&args);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return report(Err(error.into())),
    };
    let outcome = runtime.block_on(run(args));
    // A blocked read of standard input or of a file must not hold up the exit.
    runtime.shutdown_background();
    report(outcome)
}

async fn run(args: Args) -> anyhow::Result<Outcome> {
    let Args { connection, command, .. } = args;
    match command {
        Command::Scheduler(options) => role::scheduler::run(&connection, options).await,
        Command::Worker(WorkerOptions { verb: Some(verb), .. }) | Command::Fleet(verb) => {
            verb::fleet::run(&connection, verb).await
        }
        Command::Worker(options) => role::worker::run(&connection, options).await,
        Command::Api(options) => role::api::run(&connection, options).await,
        Command::Standalone(options) => role::standalone::run(&connection, options).await,
        Command::Dag(verb) => verb::dag::run(&connection, verb).await,
        Command::Run(verb) => verb::run::run(&connection, verb).await,
        Command::Task(verb) => verb::task::run(&connection, verb).await,
        Command::Backfill(verb) => verb::backfill::run(&connection, verb).await,
        Command::User(verb) => verb::user::users(&connection, verb).await,
        Command::Token(verb) => verb::user::tokens(&connection, verb).await,
        Command::Audit(verb) => verb::audit::run(&connection, verb).await,
        Command::Asset(verb) => verb::asset::run(&connection, verb).await,
        Command::Variable(verb) => verb::vault::variables(&connection, verb).await,
        Command::Connection(verb) => verb::vault::connections(&connection, verb).await,
        Command::EncryptionKey(verb) => verb::vault::keys(&connection, verb).await,
        Command::Notification(verb) => verb::notification::run(&connection, verb).await,
        Command::Pool(verb) => verb::pool::run(&connection, verb).await,
        Command::Db(verb) => verb::db::run(&connection, verb).await,
        Command::Health(options) => verb::health::run(&connection, options).await,
    }
}

fn report(outcome: anyhow::Result<Outcome>) -> ExitCode {
    match outcome {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            eprintln!("towpath: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn log_to_stderr(args: &Args) {
    let default = if args.command.is_role() { "info" } else { "warn" };
    let wanted = std::env::var("TOWPATH_LOG").unwrap_or_else(|_| default.to_owned());
    // The AMQP client logs every error that it also returns; it is said once, by whoever handles it.
    let filter = EnvFilter::new(format!("lapin=off,{wanted}"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => logs.with_ansi(false).init(),
        LogFormat::Json => logs.json().init(),
    }
}
