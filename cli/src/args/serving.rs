//! How the API and the UI are served, and who may use them.

use clap::{Args, Subcommand};
use towpath_common::user::Role;
use uuid::Uuid;

#[derive(Debug, Args)]
pub struct ServingOptions {
    /// Where the API and the web UI listen.
    #[arg(
        long,
        env = "TOWPATH_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS:PORT"
    )]
    pub listen: String,

    /// Let everybody in as admin; on a loopback address alone.
    #[arg(long, env = "TOWPATH_NO_AUTH")]
    pub no_auth: bool,
}

#[derive(Debug, Args)]
pub struct ApiOptions {
    #[command(flatten)]
    pub serving: ServingOptions,

    /// Browsers reach it by https, through a proxy; session cookies are sent only so then.
    #[arg(long, env = "TOWPATH_HTTPS")]
    pub https: bool,

    /// The password of the user admin, who is made if there are no users yet.
    #[arg(long, env = "TOWPATH_ADMIN_PASSWORD", hide_env_values = true)]
    pub admin_password: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum UserVerb {
    /// List users.
    List,
    /// Make a user, or change what is given.
    Set {
        name: String,
        /// A role, in all teams or in one: admin, or analytics=operator; may be repeated, and replaces all roles.
        #[arg(long = "role", value_name = "[TEAM=]ROLE", value_parser = team_role)]
        roles: Vec<(String, Role)>,
        /// Read a password from standard input.
        #[arg(long)]
        password: bool,
        /// Let the user in no more.
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// Let a disabled user in again.
        #[arg(long)]
        enable: bool,
    },
    /// Remove a user, with their sessions and tokens.
    Delete { name: String },
}

#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// List tokens.
    List,
    /// Make a token, and print its secret this once.
    Create {
        /// Whose it is.
        user: String,
        /// What it is for.
        #[arg(long, default_value = "")]
        name: String,
        /// What it may do at most: viewer, operator, author or admin.
        #[arg(long, default_value = "admin")]
        role: Role,
        /// How long it lives, in days.
        #[arg(long, default_value_t = 90)]
        days: u32,
    },
    /// Remove a token.
    Delete { id: Uuid },
}

#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// List who did what, the newest first.
    List {
        /// The beginning of what was changed, such as dag/ or run/KEY.
        #[arg(long)]
        subject: Option<String>,
        #[arg(long)]
        who: Option<String>,
        #[arg(long, default_value_t = 25)]
        limit: u32,
    },
    /// Print all of it, an entry of JSON a line.
    Export,
}

fn team_role(text: &str) -> Result<(String, Role), String> {
    let (team, role) = text.split_once('=').unwrap_or((towpath_common::user::EVERY_TEAM, text));
    let role = role
        .parse()
        .map_err(|_| format!("{role:?} is not a role; write viewer, operator, author or admin"))?;
    Ok((team.to_owned(), role))
}
