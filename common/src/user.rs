//! Who may do what: users, their roles in teams, and how they prove who they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::DagId;
use crate::time::Timestamp;
use crate::words::words;

words!(
    /// Each may do all that those before it may.
    Role {
        /// Look.
        Viewer = "viewer",
        /// Trigger, clear, mark, pause, cancel, backfill.
        Operator = "operator",
        /// Deploy Dags; set variables and connections.
        Author = "author",
        /// In all teams: users, tokens of others, the audit log. In one team no more than an author.
        Admin = "admin",
    }
);

/// The team that stands for all, those without a Dag and Dags without a team included.
pub const EVERY_TEAM: &str = "*";

/// A user's role in each team.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Roles(pub BTreeMap<String, Role>);

impl Roles {
    pub fn everywhere(role: Role) -> Self {
        Self([(EVERY_TEAM.to_owned(), role)].into())
    }

    /// The role in a team; `None` as a team is what belongs to none.
    pub fn in_team(&self, team: Option<&str>) -> Option<Role> {
        let own = team.and_then(|team| self.0.get(team));
        own.max(self.0.get(EVERY_TEAM)).copied()
    }

    pub fn may(&self, role: Role, team: Option<&str>) -> bool {
        self.in_team(team) >= Some(role)
    }

    /// The highest role in any team.
    pub fn highest(&self) -> Option<Role> {
        self.0.values().max().copied()
    }

    /// The teams whose Dags may be seen; none as a list stands for all of them.
    pub fn visible(&self) -> Option<Vec<String>> {
        let every = self.0.contains_key(EVERY_TEAM);
        (!every).then(|| self.0.keys().cloned().collect())
    }

    /// No more than `role` in any team.
    pub fn capped(&self, role: Role) -> Self {
        Self(self.0.iter().map(|(team, own)| (team.clone(), *own.min(&role))).collect())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// Argon2, in PHC form. None: no password opens it.
    pub password_hash: Option<String>,
    /// The issuer and the subject of an OpenID provider that vouches for the user.
    pub subject: Option<String>,
    pub roles: Roles,
    pub disabled: bool,
    pub created_at: Timestamp,
}

/// The error says what is wrong with the name.
pub fn check_user_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_alphanumeric() || "_-.@+".contains(c);
    if name.is_empty() || name.len() > 200 || !name.chars().all(allowed) {
        return Err(format!(
            "{name:?} cannot be a user's name; use up to 200 letters, digits and _ - . @ +"
        ));
    }
    Ok(())
}

words!(
    CredentialKind {
        /// A browser's, in a cookie.
        Session = "session",
        /// A program's, in a header.
        Token = "token",
    }
);

/// What stands for a user who has logged in, or for a program of theirs. Only the hash of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    pub id: Uuid,
    pub kind: CredentialKind,
    pub user: String,
    /// SHA-256 of the secret, in hexadecimal digits.
    pub hash: String,
    /// What a token is for.
    pub name: String,
    /// What it may do at most.
    pub role_max: Role,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// One change: who, what, and what it was before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Ordered by time.
    pub id: Uuid,
    pub at: Timestamp,
    pub who: String,
    pub action: String,
    pub team: Option<String>,
    /// The Dag that it concerns, directly or through a run or a backfill.
    pub dag_id: Option<DagId>,
    /// Of what: `dag/NAME`, `run/KEY`, `pool/NAME` …
    pub subject: String,
    pub before: serde_json::Value,
    pub after: serde_json::Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_holds_in_its_team_and_the_stars_everywhere() {
        let roles = Roles([("a".into(), Role::Author), ("*".into(), Role::Viewer)].into());
        let check = |team: Option<&str>, role: Role, expected: bool| {
            assert_eq!(roles.may(role, team), expected, "{team:?} {role}");
        };
        check(Some("a"), Role::Author, true);
        check(Some("a"), Role::Admin, false);
        check(Some("b"), Role::Viewer, true);
        check(Some("b"), Role::Operator, false);
        check(None, Role::Viewer, true);
        assert!(!Roles::default().may(Role::Viewer, Some("a")));
        assert!(!roles.capped(Role::Viewer).may(Role::Operator, Some("a")));
    }
}
