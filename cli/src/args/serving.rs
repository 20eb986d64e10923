//! How the API and the UI are served, and who may use them.

use clap::{Args, Subcommand};
use towpath_api::GroupRole;
use towpath_common::user::{EVERY_TEAM, Role};
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

    /// Where browsers reach it, such as https://towpath.example.org; a provider sends them back there.
    #[arg(long, env = "TOWPATH_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,

    #[command(flatten)]
    pub provider: ProviderOptions,
}

/// An OpenID provider that people log in through.
#[derive(Debug, Args)]
#[command(next_help_heading = "OpenID provider")]
pub struct ProviderOptions {
    /// The issuer, such as https://login.example.org; its redirect URI is PUBLIC_URL/api/v1/session/provider/callback.
    #[arg(long, env = "TOWPATH_OIDC_ISSUER", value_name = "URL", requires_all = ["oidc_client_id", "public_url"])]
    pub oidc_issuer: Option<String>,

    #[arg(long, env = "TOWPATH_OIDC_CLIENT_ID", value_name = "ID")]
    pub oidc_client_id: Option<String>,

    /// [default: a public client, with PKCE alone].
    #[arg(long, env = "TOWPATH_OIDC_CLIENT_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub oidc_client_secret: Option<String>,

    /// What people know it by.
    #[arg(long, env = "TOWPATH_OIDC_NAME", default_value = "single sign-on", value_name = "NAME")]
    pub oidc_name: String,

    /// What is asked of it, separated by blanks.
    #[arg(
        long,
        env = "TOWPATH_OIDC_SCOPES",
        default_value = "profile email",
        value_delimiter = ' ',
        value_name = "SCOPES"
    )]
    pub oidc_scopes: Vec<String>,

    /// The claim that lists a user's groups.
    #[arg(long, env = "TOWPATH_OIDC_GROUPS_CLAIM", default_value = "groups", value_name = "CLAIM")]
    pub oidc_groups_claim: String,

    /// The role that a group gives, in all teams or in one: platform=admin or analysts=analytics:viewer; several by
    /// commas. At each login a user's roles become those of their groups [default: admins give roles].
    #[arg(
        long,
        env = "TOWPATH_OIDC_ROLES",
        value_delimiter = ',',
        value_name = "GROUP=[TEAM:]ROLE",
        value_parser = group_role
    )]
    pub oidc_roles: Vec<GroupRole>,

    /// What everybody may do whom the provider vouches for, in all teams [default: nothing].
    #[arg(long, env = "TOWPATH_OIDC_DEFAULT_ROLE", value_name = "ROLE", value_parser = a_role)]
    pub oidc_default_role: Option<Role>,
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

fn group_role(text: &str) -> Result<GroupRole, String> {
    let (group, given) = text.rsplit_once('=').ok_or("write GROUP=ROLE or GROUP=TEAM:ROLE")?;
    let (team, role) = given.split_once(':').unwrap_or((EVERY_TEAM, given));
    Ok(GroupRole { group: group.to_owned(), team: team.to_owned(), role: a_role(role)? })
}

fn a_role(text: &str) -> Result<Role, String> {
    let wrong = || format!("{text:?} is not a role; write viewer, operator, author or admin");
    text.parse().map_err(|_| wrong())
}

fn team_role(text: &str) -> Result<(String, Role), String> {
    let (team, role) = text.split_once('=').unwrap_or((EVERY_TEAM, text));
    Ok((team.to_owned(), a_role(role)?))
}
