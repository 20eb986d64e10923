//! Users whom an OpenID provider vouches for.

use serde_json::json;
use towpath_common::user::{Role, Roles, User, check_user_name};

use crate::{Actor, Deed, Operations, Refusal, Result, Services};

/// What a provider says of somebody.
#[derive(Debug, Clone)]
pub struct Vouched {
    /// The issuer and the subject: what stays the same when names change.
    pub subject: String,
    pub name: String,
    /// What they may do; none: what was given to them here.
    pub roles: Option<Roles>,
    /// What they may do until somebody gives them more.
    pub first_roles: Roles,
}

/// How it goes on with them.
#[derive(Debug)]
pub enum Welcome {
    /// The secret of a session.
    Session(String),
    Disabled,
    /// They are known now, and an admin can give them a role.
    NoRole,
    /// Somebody else has the name here, whom the provider does not vouch for.
    NameTaken,
}

impl Services {
    pub async fn welcome(&self, vouched: Vouched) -> Result<Welcome> {
        let known = self.store.user_by_subject(&vouched.subject).await?;
        let user = match &known {
            Some(user) => user.clone(),
            None => {
                check_user_name(&vouched.name).map_err(Refusal::Invalid)?;
                if self.store.user(&vouched.name).await?.is_some() {
                    return Ok(Welcome::NameTaken);
                }
                User {
                    name: vouched.name,
                    password_hash: None,
                    subject: Some(vouched.subject),
                    roles: vouched.first_roles,
                    disabled: false,
                    created_at: self.clock.now(),
                }
            }
        };
        let user = User { roles: vouched.roles.unwrap_or_else(|| user.roles.clone()), ..user };
        if known.as_ref() != Some(&user) {
            self.note_vouched(known.as_ref(), &user).await?;
            self.store.put_user(&user).await?;
        }
        if user.disabled {
            return Ok(Welcome::Disabled);
        }
        if user.roles.highest().is_none() {
            return Ok(Welcome::NoRole);
        }
        self.open_session(&user.name, Role::Admin, None).await.map(Welcome::Session)
    }

    async fn note_vouched(&self, before: Option<&User>, after: &User) -> Result<()> {
        let facts = |user: &User| json!({ "roles": user.roles, "disabled": user.disabled });
        let provider = Operations::new(self.clone(), Actor::local("the provider"));
        let deed = Deed {
            action: "user.set",
            dag: None,
            subject: format!("user/{}", after.name),
            before: before.map_or(json!(null), facts),
            after: facts(after),
        };
        provider.note(deed).await
    }
}
