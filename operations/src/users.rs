//! Users: who they are, how they prove it, what they may do.

use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use towpath_common::user::{
    Credential, CredentialKind, Role, Roles, User as Stored, check_user_name,
};
use uuid::Uuid;

use crate::answer::{NewToken, Page, Part, Token, TokenRequest, User, UserRequest, time};
use crate::{Actor, Deed, Operations, Refusal, Result, Services};

/// How long a browser stays logged in.
pub const SESSION_LIFE: Duration = Duration::from_secs(12 * 60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Each takes a core for a while, and some memory.
static HASHING: Semaphore = Semaphore::const_new(2);
const PASSWORD_MIN: usize = 10;
const PASSWORD_MAX: usize = 1000;

/// Who a secret stands for.
pub struct Identity {
    pub actor: Actor,
    pub credential: Credential,
}

/// What is kept of a secret. It is random and long, so one round suffices.
pub fn hash_of(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 256 bits from the operating system, with a prefix by which leaks are found.
fn new_secret() -> String {
    let random: String = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()]
        .iter()
        .map(|part| part.simple().to_string())
        .collect();
    format!("towpath_{random}")
}

/// Takes tens of milliseconds on purpose.
async fn hash_password(password: String) -> Result<String> {
    if !(PASSWORD_MIN..=PASSWORD_MAX).contains(&password.len()) {
        return Err(Refusal::Invalid(format!(
            "a password has from {PASSWORD_MIN} to {PASSWORD_MAX} bytes"
        )));
    }
    let work = move || Argon2::default().hash_password(password.as_bytes()).map(|h| h.to_string());
    let _place = HASHING.acquire().await.map_err(Refusal::invalid)?;
    let hashed = tokio::task::spawn_blocking(work).await;
    let hashed = hashed.map_err(|error| Refusal::Broken(error.to_string()))?;
    hashed.map_err(|error| Refusal::Broken(error.to_string()))
}

/// Takes as long for a user who is not there.
async fn password_fits(password: String, hash: Option<String>) -> bool {
    // Of nothing that anybody knows.
    const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$aW50ZW50aW9uYWxseQ$\
                          AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let (known, short) = (hash.is_some(), password.len() <= PASSWORD_MAX);
    let work = move || {
        let hash = hash.as_deref().unwrap_or(NOBODY);
        PasswordHash::new(hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    };
    let Ok(_place) = HASHING.acquire().await else { return false };
    let fits = short && tokio::task::spawn_blocking(work).await.unwrap_or(false);
    fits && known
}

impl Services {
    /// Who the secret stands for; none if it is unknown, expired, or its user is disabled.
    pub async fn identify(&self, secret: &str) -> Result<Option<Identity>> {
        let found = self.store.credential(&hash_of(secret)).await?;
        let valid = found.filter(|(credential, user)| {
            credential.expires_at > self.clock.now() && !user.disabled
        });
        Ok(valid.map(|(credential, user)| {
            let roles = user.roles.capped(credential.role_max);
            let own = credential.kind == CredentialKind::Token || !credential.name.is_empty();
            let until = own.then_some(credential.expires_at);
            Identity { actor: Actor { name: user.name, roles, until }, credential }
        }))
    }

    /// The secret of a new session, if the password is the user's.
    pub async fn log_in(&self, name: &str, password: String) -> Result<Option<String>> {
        let user = self.store.user(name).await?.filter(|user| !user.disabled);
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        match (password_fits(password, hash).await, user) {
            (true, Some(user)) => self.open_session(&user.name, Role::Admin, None).await.map(Some),
            _ => Ok(None),
        }
    }

    /// For somebody who has logged in with a token; it ends with the token.
    pub async fn open_session_for(&self, token: &Credential) -> Result<String> {
        self.open_session(&token.user, token.role_max, Some(token)).await
    }

    pub(crate) async fn open_session(
        &self,
        user: &str,
        role_max: Role,
        token: Option<&Credential>,
    ) -> Result<String> {
        let now = self.clock.now();
        let longest = now.plus(SESSION_LIFE);
        self.store.forget_expired(now).await?;
        let secret = new_secret();
        let credential = Credential {
            id: self.ids.uuid(),
            kind: CredentialKind::Session,
            user: user.to_owned(),
            hash: hash_of(&secret),
            name: token.map(|token| token.id.to_string()).unwrap_or_default(),
            role_max,
            created_at: now,
            expires_at: token.map_or(longest, |token| token.expires_at.min(longest)),
        };
        self.store.put_credential(&credential).await?;
        Ok(secret)
    }

    /// Those that a token has opened, or all.
    async fn end_sessions(&self, user: &str, token: Option<Uuid>) -> Result<()> {
        for session in self.store.credentials(Some(user), CredentialKind::Session).await? {
            if token.is_none_or(|token| session.name == token.to_string()) {
                self.store.delete_credential(session.id).await?;
            }
        }
        Ok(())
    }

    pub async fn log_out(&self, credential: Uuid) -> Result<()> {
        self.store.delete_credential(credential).await?;
        Ok(())
    }
}

impl Operations {
    pub async fn users(&self, part: &Part) -> Result<Page<User>> {
        self.require(Role::Admin, None)?;
        let users = self.store().users().await?.into_iter().map(answered).collect();
        Ok(Page::part(users, part, |user: &User| user.name.clone()))
    }

    /// Makes the user, or changes what is given.
    pub async fn put_user(&self, name: &str, request: UserRequest) -> Result<User> {
        self.require(Role::Admin, None)?;
        check_user_name(name).map_err(Refusal::Invalid)?;
        let known = self.store().user(name).await?;
        let mut user = known.clone().unwrap_or_else(|| Stored {
            name: name.to_owned(),
            password_hash: None,
            subject: None,
            roles: Roles::default(),
            disabled: false,
            created_at: self.now(),
        });
        let UserRequest { password, roles, disabled } = request;
        let new_password = password.is_some();
        if let Some(password) = password {
            user.password_hash = Some(hash_password(password).await?);
        }
        user.roles = roles.map_or(user.roles, Roles);
        user.disabled = disabled.unwrap_or(user.disabled);
        if name == self.actor.name && (user.disabled || !user.roles.may(Role::Admin, None)) {
            return Err(Refusal::Conflict(
                "nobody takes the role admin from themselves".to_owned(),
            ));
        }
        let facts = |user: &Stored| json!({ "roles": user.roles, "disabled": user.disabled });
        let mut after = facts(&user);
        after["new_password"] = json!(new_password);
        self.note(Deed {
            action: "user.set",
            dag: None,
            subject: format!("user/{name}"),
            before: known.as_ref().map_or(json!(null), facts),
            after,
        })
        .await?;
        self.store().put_user(&user).await?;
        if new_password || user.disabled {
            self.services.end_sessions(name, None).await?;
        }
        Ok(answered(user))
    }

    pub async fn delete_user(&self, name: &str) -> Result<()> {
        self.require(Role::Admin, None)?;
        if self.store().user(name).await?.is_none() {
            return Err(Refusal::NotFound(format!("there is no user {name}")));
        }
        if name == self.actor.name {
            return Err(Refusal::Conflict("nobody deletes themselves".to_owned()));
        }
        self.note(Deed {
            action: "user.delete",
            dag: None,
            subject: format!("user/{name}"),
            before: json!(null),
            after: json!(null),
        })
        .await?;
        self.store().delete_user(name).await?;
        Ok(())
    }

    /// One's own; an admin sees all.
    pub async fn tokens(&self, part: &Part) -> Result<Page<Token>> {
        // Their ids are in the order of time.
        Ok(Page::part(self.own_tokens().await?, part, |token| token.id.to_string()))
    }

    async fn own_tokens(&self) -> Result<Vec<Token>> {
        self.require_any()?;
        let every = self.actor.roles.may(Role::Admin, None);
        let user = (!every).then_some(self.actor.name.as_str());
        let tokens = self.store().credentials(user, CredentialKind::Token).await?;
        Ok(tokens.into_iter().map(token).collect())
    }

    /// For oneself; an admin makes them for others too.
    pub async fn create_token(&self, request: &TokenRequest) -> Result<NewToken> {
        self.require_any()?;
        let user = request.user.as_ref().unwrap_or(&self.actor.name);
        if *user != self.actor.name {
            self.require(Role::Admin, None)?;
        }
        if self.store().user(user).await?.is_none() {
            return Err(Refusal::NotFound(format!("there is no user {user}")));
        }
        if !(1..=3660).contains(&request.days) {
            return Err(Refusal::Invalid("a token lives for 1 to 3660 days".to_owned()));
        }
        if request.name.len() > 200 {
            return Err(Refusal::Invalid("a token's name has at most 200 bytes".to_owned()));
        }
        // Nobody passes on more than they have.
        let own = self.actor.roles.highest().unwrap_or(Role::Viewer);
        let expires_at = self.now().plus(request.days * DAY);
        let secret = new_secret();
        let credential = Credential {
            id: self.uuid(),
            kind: CredentialKind::Token,
            user: user.to_owned(),
            hash: hash_of(&secret),
            name: request.name.clone(),
            role_max: request.role_max.min(own),
            created_at: self.now(),
            expires_at: self.actor.until.map_or(expires_at, |until| until.min(expires_at)),
        };
        self.note(Deed {
            action: "token.create",
            dag: None,
            subject: format!("token/{}", credential.id),
            before: json!(null),
            after: json!({ "user": user, "name": request.name, "role_max": credential.role_max }),
        })
        .await?;
        self.store().put_credential(&credential).await?;
        Ok(NewToken { token: token(credential), secret })
    }

    pub async fn delete_token(&self, id: Uuid) -> Result<()> {
        let known = self.own_tokens().await?;
        let Some(known) = known.into_iter().find(|token| token.id == id) else {
            return Err(Refusal::NotFound(format!("there is no token {id}")));
        };
        self.note(Deed {
            action: "token.delete",
            dag: None,
            subject: format!("token/{id}"),
            before: json!(null),
            after: json!(null),
        })
        .await?;
        self.store().delete_credential(id).await?;
        self.services.end_sessions(&known.user, Some(id)).await
    }
}

fn answered(user: Stored) -> User {
    User {
        name: user.name,
        roles: user.roles.0,
        disabled: user.disabled,
        has_password: user.password_hash.is_some(),
        has_provider: user.subject.is_some(),
        created_at: time(user.created_at),
    }
}

fn token(credential: Credential) -> Token {
    Token {
        id: credential.id,
        user: credential.user,
        name: credential.name,
        role_max: credential.role_max,
        created_at: time(credential.created_at),
        expires_at: time(credential.expires_at),
    }
}
