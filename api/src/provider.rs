//! Logging in through an OpenID provider: the authorization code flow, with PKCE and a nonce.
//!
//! What a browser has to bring back is in a cookie of its own, so that any replica can finish what another
//! began, and nothing is kept of those who never come back.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
    CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessTokenHash, AsyncHttpClient, AuthenticationFlow, AuthorizationCode, Client, ClientId,
    ClientSecret, CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, IdTokenFields, IssuerUrl, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, StandardErrorResponse,
    StandardTokenResponse, TokenResponse, UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use towpath_common::user::{Role, Roles};
use towpath_operations::Vouched;

/// How long a provider's description of itself, its keys included, is taken for true.
const DESCRIPTION_LIFE: Duration = Duration::from_secs(3600);
/// How long a provider may take over an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A provider, and what its groups mean here.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// What people know it by.
    pub name: String,
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Option<String>,
    /// Where browsers reach us.
    pub public_url: String,
    pub scopes: Vec<String>,
    /// The claim that lists a user's groups.
    pub groups_claim: String,
    /// The roles that a group gives, by team. With none, roles are given here, by an admin.
    pub group_roles: Vec<GroupRole>,
    /// What everybody may do whom the provider vouches for, in all teams.
    pub default_role: Option<Role>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRole {
    pub group: String,
    pub team: String,
    pub role: Role,
}

/// Why a login did not come to its end, by what is to be done.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Try again later.
    #[error("the provider does not answer: {0}")]
    Away(String),
    /// Begin anew.
    #[error("the login was begun elsewhere, or too long ago")]
    Stale,
    /// What the provider says cannot be believed, or not be understood.
    #[error("the provider's answer does not hold: {0}")]
    Unsound(String),
}

/// What a browser keeps while it is with the provider.
#[derive(Serialize, Deserialize)]
pub struct Pending {
    state: String,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    /// Where it goes when it is logged in.
    pub to: String,
}

impl Pending {
    pub fn text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

/// All that a provider says of a user besides the standard.
#[derive(Debug, Serialize, Deserialize)]
struct Claims(Map<String, Value>);

impl openidconnect::AdditionalClaims for Claims {}

type Tokens = StandardTokenResponse<
    IdTokenFields<
        Claims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type Party = Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Who the provider is, for us.
pub struct Provider {
    pub config: ProviderConfig,
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    http: Http,
    described: Mutex<Option<(Instant, CoreProviderMetadata)>>,
}

impl Provider {
    /// The error says which setting is wrong.
    pub fn new(config: ProviderConfig) -> Result<Self, String> {
        let issuer = IssuerUrl::new(config.issuer.clone());
        let issuer = issuer.map_err(|error| format!("the issuer {:?}: {error}", config.issuer))?;
        let public = config.public_url.trim_end_matches('/');
        // Our cookies, and our redirect, are for the whole of a host.
        if public.split("://").nth(1).is_none_or(|host| host.contains('/')) {
            return Err(format!("the public URL {:?} has a path, or no host", config.public_url));
        }
        let redirect = RedirectUrl::new(format!("{public}{}", crate::route::CALLBACK));
        let redirect =
            redirect.map_err(|error| format!("the public URL {:?}: {error}", config.public_url))?;
        // A provider that sends us elsewhere could send us anywhere.
        let policy = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().redirect(policy).timeout(PATIENCE).build();
        let http = http.map_err(|error| format!("HTTP cannot be used: {error}"))?;
        Ok(Self { config, issuer, redirect, http: Http(http), described: Mutex::default() })
    }

    /// Where the browser is sent, and what it keeps.
    pub async fn begin(&self, to: String) -> Result<(String, Pending), LoginError> {
        let party = self.party().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let asked = party.authorize_url(flow, CsrfToken::new_random, Nonce::new_random);
        let scopes = self.config.scopes.iter().cloned().map(Scope::new);
        let (url, state, nonce) = asked.add_scopes(scopes).set_pkce_challenge(challenge).url();
        Ok((url.into(), Pending { state: state.into_secret(), nonce, verifier, to }))
    }

    /// Whom the provider vouches for.
    pub async fn finish(
        &self,
        pending: Pending,
        state: &str,
        code: String,
    ) -> Result<Vouched, LoginError> {
        if pending.state != state {
            return Err(LoginError::Stale);
        }
        let mut party = self.party().await?;
        let exchange = party.exchange_code(AuthorizationCode::new(code)).map_err(unsound)?;
        let exchange = exchange.set_pkce_verifier(pending.verifier);
        let tokens = exchange.request_async(&self.http).await.map_err(|error| match error {
            openidconnect::RequestTokenError::Request(error) => LoginError::Away(error.to_string()),
            error => unsound(error),
        })?;
        let id_token = tokens.id_token().ok_or_else(|| unsound("it gives no ID token"))?;
        let mut sound = id_token.claims(&party.id_token_verifier(), &pending.nonce);
        if sound.is_err() {
            // The keys may have been changed since they were read.
            self.forget();
            party = self.party().await?;
            sound = id_token.claims(&party.id_token_verifier(), &pending.nonce);
        }
        let claims = sound.map_err(unsound)?;
        if let Some(expected) = claims.access_token_hash() {
            let algorithm = id_token.signing_alg().map_err(unsound)?;
            let verifier = party.id_token_verifier();
            let key = id_token.signing_key(&verifier).map_err(unsound)?;
            let token = tokens.access_token();
            let actual = AccessTokenHash::from_token(token, algorithm, key).map_err(unsound)?;
            if actual != *expected {
                return Err(unsound("the access token is not that of the ID token"));
            }
        }
        let subject = claims.subject().clone();
        let mut facts = serde_json::to_value(claims).map_err(unsound)?;
        // What the ID token leaves out, the provider tells who asks.
        if let Ok(asked) = party.user_info(tokens.access_token().clone(), Some(subject.clone())) {
            let told: Result<UserInfoClaims<Claims, CoreGenderClaim>, _> =
                asked.request_async(&self.http).await;
            let told = told.map_err(|error| LoginError::Away(error.to_string()))?;
            merge(&mut facts, serde_json::to_value(told).map_err(unsound)?);
        }
        Ok(Vouched {
            subject: format!("{} {}", self.issuer.as_str(), subject.as_str()),
            names: names(&facts).chain([subject.to_string()]).collect(),
            roles: self.roles(&facts),
            first_roles: self.everybodys(),
        })
    }

    /// What everybody has whom the provider vouches for.
    fn everybodys(&self) -> Roles {
        self.config.default_role.map(Roles::everywhere).unwrap_or_default()
    }

    /// Those of the user's groups; none: roles are given here.
    fn roles(&self, facts: &Value) -> Option<Roles> {
        let config = &self.config;
        if config.group_roles.is_empty() {
            return None;
        }
        let groups = words(&facts[config.groups_claim.as_str()]);
        let Roles(mut roles) = self.everybodys();
        let given = config.group_roles.iter().filter(|given| groups.contains(&given.group));
        for GroupRole { team, role, .. } in given {
            let own = roles.entry(team.clone()).or_insert(*role);
            *own = (*own).max(*role);
        }
        Some(Roles(roles))
    }

    async fn party(&self) -> Result<Party, LoginError> {
        let known = self.described().clone();
        let fresh = known.filter(|(at, _)| at.elapsed() < DESCRIPTION_LIFE);
        let description = match fresh {
            Some((_, description)) => description,
            None => {
                let issuer = self.issuer.clone();
                let asked = CoreProviderMetadata::discover_async(issuer, &self.http).await;
                let description = asked.map_err(|error| LoginError::Away(error.to_string()))?;
                *self.described() = Some((Instant::now(), description.clone()));
                description
            }
        };
        let id = ClientId::new(self.config.client_id.clone());
        let secret = self.config.client_secret.clone().map(ClientSecret::new);
        let party = Party::from_provider_metadata(description, id, secret);
        Ok(party.set_redirect_uri(self.redirect.clone()))
    }

    fn described(&self) -> std::sync::MutexGuard<'_, Option<(Instant, CoreProviderMetadata)>> {
        self.described.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn forget(&self) {
        *self.described() = None;
    }
}

/// How the provider is asked.
struct Http(reqwest::Client);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = reqwest::Error;
    type Future = BoxFuture<'c, Result<HttpResponse, reqwest::Error>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let asked = self.0.request(parts.method, parts.uri.to_string());
            let response = asked.headers(parts.headers).body(body).send().await?;
            let mut answer = HttpResponse::default();
            *answer.status_mut() = response.status();
            *answer.headers_mut() = response.headers().clone();
            *answer.body_mut() = response.bytes().await?.to_vec();
            Ok(answer)
        })
    }
}

fn unsound(why: impl std::fmt::Display) -> LoginError {
    LoginError::Unsound(why.to_string())
}

/// What is not there yet.
fn merge(facts: &mut Value, more: Value) {
    let (Value::Object(facts), Value::Object(more)) = (facts, more) else { return };
    for (name, value) in more {
        facts.entry(name).or_insert(value);
    }
}

/// What people would know the user by, the best first.
fn names(facts: &Value) -> impl Iterator<Item = String> {
    let claims = ["preferred_username", "email", "nickname", "name"].iter();
    claims.filter_map(|claim| facts[*claim].as_str()).map(str::to_owned)
}

/// A list of words, or one.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(word) => vec![word.clone()],
        Value::Array(words) => words.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
