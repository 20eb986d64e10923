//! `towpath user …`, `towpath token …`.

use anyhow::bail;
use towpath_common::time::Timestamp;
use towpath_operations::answer::{NewToken, Token, TokenRequest, User, UserRequest};

use crate::args::{Connection, TokenVerb, UserVerb};
use crate::client::at;
use crate::outcome::Outcome;
use crate::secret::secret;

pub async fn users(connection: &Connection, verb: UserVerb) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    match verb {
        UserVerb::List => {
            println!("{:<24} {:<9} ROLES", "USER", "STATE");
            for user in client.list::<User>(at(&["users"]), None).await? {
                let state = if user.disabled { "disabled" } else { "enabled" };
                let roles: Vec<String> =
                    user.roles.iter().map(|(team, role)| format!("{team}={role}")).collect();
                println!("{:<24} {state:<9} {}", user.name, roles.join(" "));
            }
        }
        UserVerb::Set { name, roles, password, disable, enable } => {
            let request = UserRequest {
                password: if password { Some(read_password()?) } else { None },
                roles: (!roles.is_empty()).then(|| roles.into_iter().collect()),
                disabled: (disable || enable).then_some(disable),
            };
            client.put::<User>(at(&["users", &name]), &request).await?;
            println!("user {name} is set");
        }
        UserVerb::Delete { name } => {
            client.delete(at(&["users", &name])).await?;
            println!("user {name} is gone");
        }
    }
    Ok(Outcome::Done)
}

pub async fn tokens(connection: &Connection, verb: TokenVerb) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    match verb {
        TokenVerb::List => {
            println!("{:<36} {:<16} {:<9} {:<32} NAME", "TOKEN", "USER", "ROLE", "EXPIRES");
            for token in client.list::<Token>(at(&["tokens"]), None).await? {
                let expires = Timestamp::from(token.expires_at).to_string();
                let (id, user, role) = (token.id, token.user, token.role_max);
                println!("{id:<36} {user:<16} {role:<9} {expires:<32} {}", token.name);
            }
        }
        TokenVerb::Create { user, name, role, days } => {
            let request = TokenRequest { user: Some(user), name, role_max: role, days };
            let token: NewToken = client.post(at(&["tokens"]), &request).await?;
            println!("{}", token.secret);
        }
        TokenVerb::Delete { id } => {
            client.delete(at(&["tokens", &id.to_string()])).await?;
            println!("token {id} is gone");
        }
    }
    Ok(Outcome::Done)
}

fn read_password() -> anyhow::Result<String> {
    let text = secret("Password: ")?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("standard input holds no password");
    }
    Ok(password.to_owned())
}
