//! Users whom an OpenID provider vouches for.

use serde_json::json;
use towpath_common::user::{Role, Roles, User, check_user_name};

use crate::{Actor, Deed, Operations, Result, Services};

/// What a provider says of somebody.
#[derive(Debug, Clone)]
pub struct Vouched {
    /// The issuer and the subject: what stays the same when names change.
    pub subject: String,
    /// What they are called, the best first.
    pub names: Vec<String>,
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
    /// Somebody else has the name here.
    NameTaken,
    /// None of their names can be one here.
    BadName,
}

impl Services {
    pub async fn welcome(&self, vouched: Vouched) -> Result<Welcome> {
        let user = match self.store.user_by_subject(&vouched.subject).await? {
            Some(user) => user,
            None => match self.newcomer(&vouched).await? {
                Ok(user) => user,
                Err(welcome) => return Ok(welcome),
            },
        };
        if user.disabled {
            return Ok(Welcome::Disabled);
        }
        let roles = vouched.roles.unwrap_or_else(|| user.roles.clone());
        if roles != user.roles {
            let after = User { roles: roles.clone(), ..user.clone() };
            self.note_vouched(Some(&user), &after).await?;
            self.store.set_roles(&user.name, &roles).await?;
        }
        if roles.highest().is_none() {
            return Ok(Welcome::NoRole);
        }
        self.open_session(&user.name, Role::Admin, None).await.map(Welcome::Session)
    }

    /// Somebody who was never here, under the first of their names that can be one here.
    async fn newcomer(&self, vouched: &Vouched) -> Result<std::result::Result<User, Welcome>> {
        let fits = |name: &&String| check_user_name(name).is_ok();
        let Some(name) = vouched.names.iter().find(fits) else { return Ok(Err(Welcome::BadName)) };
        let user = User {
            name: name.clone(),
            password_hash: None,
            subject: Some(vouched.subject.clone()),
            roles: vouched.first_roles.clone(),
            disabled: false,
            created_at: self.clock.now(),
        };
        self.note_vouched(None, &user).await?;
        if self.store.add_user(&user).await? {
            return Ok(Ok(user));
        }
        // The same person may have come twice at once.
        let own = self.store.user_by_subject(&vouched.subject).await?;
        Ok(own.ok_or(Welcome::NameTaken))
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
