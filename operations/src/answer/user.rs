//! Users, tokens and sessions.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use towpath_common::user::Role;
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct User {
    pub name: String,
    /// The role in each team; `*` stands for all teams.
    pub roles: BTreeMap<String, Role>,
    pub disabled: bool,
    pub has_password: bool,
    /// Whether an OpenID provider vouches for the user.
    pub has_provider: bool,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserRequest {
    /// Absent: as it was.
    #[serde(default)]
    pub password: Option<String>,
    #[serde(default)]
    pub roles: Option<BTreeMap<String, Role>>,
    #[serde(default)]
    pub disabled: Option<bool>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Token {
    pub id: Uuid,
    pub user: String,
    pub name: String,
    /// What it may do at most.
    pub role_max: Role,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Whose it is; one's own by default.
    #[serde(default)]
    pub user: Option<String>,
    /// What it is for.
    pub name: String,
    #[serde(default = "admin")]
    pub role_max: Role,
    /// From 1 to 3660.
    #[schema(minimum = 1, maximum = 3660)]
    pub days: u32,
}

fn admin() -> Role {
    Role::Admin
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    #[serde(flatten)]
    pub token: Token,
    /// Shown this once.
    pub secret: String,
}

/// Who is logged in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    pub user: String,
    pub roles: BTreeMap<String, Role>,
    /// What a browser sends as `X-CSRF-Token` with each change.
    pub csrf_token: Option<String>,
}

/// How one can log in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LoginOptions {
    /// With a name and a password, or a token.
    pub password: bool,
    /// Through an OpenID provider that people know by this name.
    pub provider: Option<String>,
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password: Option<String>,
    /// Instead of a name and a password.
    #[serde(default)]
    pub token: Option<String>,
}
