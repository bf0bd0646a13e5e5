//! Access tokens: making, listing, revoking. A secret is shown once, when it is made; only its hash is kept.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::{Caller, PREFIX, hash};
use super::extract::{InPath, Json};
use super::kinds;
use super::permit::{Action, Role};
use super::problem::Problem;
use super::stamp::Stamp;
use crate::domain::time::{Time, parse_duration};
use crate::engine::ports::records::TokenRow;
use crate::engine::ports::store::StoreError;

/// A token that is to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Who will act with it: 1 to 64 of `a-z 0-9 . _ -`. For a submitter also the producer of its requests.
    #[schema(example = "web-app")]
    pub name: String,
    /// What it may do.
    pub roles: Vec<Role>,
    /// The processes that it is good for; left out: all.
    #[serde(default)]
    pub processes: Vec<String>,
    /// The reviewers' roles that it has.
    #[serde(default)]
    pub review_roles: Vec<String>,
    /// When it ends, counted from now: `90d`. Left out: never.
    #[serde(default)]
    #[schema(example = "90d")]
    pub expires_in: Option<String>,
}

/// Makes a token: the secret, to be shown once, and the row to store.
///
/// # Errors
/// A sentence that says what of `new` is not right.
pub fn fresh(new: &NewToken, now: Time) -> Result<(String, TokenRow), String> {
    let word = |text: &str, most: usize| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
        (1..=most).contains(&text.len()) && text.bytes().all(fits)
    };
    if !word(&new.name, 64) {
        return Err("`name` is 1 to 64 of the characters a-z 0-9 . _ -".to_owned());
    }
    if new.roles.is_empty() {
        return Err("`roles` names at least one role".to_owned());
    }
    if new.processes.len() > 100 || new.review_roles.len() > 100 {
        return Err("`processes` and `review_roles` have at most 100 names".to_owned());
    }
    if !new.processes.iter().chain(&new.review_roles).all(|name| word(name, 64)) {
        return Err("names in `processes` and `review_roles` are 1 to 64 of the characters a-z 0-9 . _ -".to_owned());
    }
    let length: Option<Duration> = match &new.expires_in {
        None => None,
        Some(text) => Some(parse_duration(text).map_err(|why| format!("`expires_in`: {why}"))?),
    };
    if length.is_some_and(|length| length.is_zero()) {
        return Err("`expires_in` is longer than nothing".to_owned());
    }
    let random: [u8; 32] = rand::random();
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let mut roles: Vec<String> = new.roles.iter().map(|role| role.as_str().to_owned()).collect();
    roles.sort();
    roles.dedup();
    let row = TokenRow {
        name: new.name.clone(),
        sha256: hash(&secret),
        roles,
        processes: new.processes.clone(),
        review_roles: new.review_roles.clone(),
        created_at: now,
        expires_at: length.map(|length| now.plus(length)),
        revoked_at: None,
    };
    Ok((secret, row))
}

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenBody {
    /// Who acts with it.
    name: String,
    /// What it may do.
    roles: Vec<String>,
    /// The processes that it is good for; empty: all.
    processes: Vec<String>,
    /// The reviewers' roles that it has.
    review_roles: Vec<String>,
    /// When it was made.
    created_at: Stamp,
    /// When it ends.
    expires_at: Option<Stamp>,
    /// When it was revoked.
    revoked_at: Option<Stamp>,
}

impl From<&TokenRow> for TokenBody {
    fn from(row: &TokenRow) -> TokenBody {
        TokenBody {
            name: row.name.clone(),
            roles: row.roles.clone(),
            processes: row.processes.clone(),
            review_roles: row.review_roles.clone(),
            created_at: row.created_at.into(),
            expires_at: row.expires_at.map(Stamp),
            revoked_at: row.revoked_at.map(Stamp),
        }
    }
}

/// A token that was just made.
#[derive(Debug, Serialize, ToSchema)]
struct MadeToken {
    /// The secret, for `Authorization: Bearer`. It is shown this once.
    secret: String,
    /// The rest.
    #[serde(flatten)]
    token: TokenBody,
}

/// All tokens.
#[derive(Debug, Serialize, ToSchema)]
struct TokenList {
    /// By name.
    items: Vec<TokenBody>,
}

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
struct Me {
    /// The token.
    #[serde(flatten)]
    token: TokenBody,
    /// What it may do.
    may: Vec<Action>,
}

/// Makes a token. Its secret is shown once.
#[utoipa::path(post, path = "/v1/tokens", operation_id = "create_token", tag = "tokens", request_body = NewToken, responses(
    (status = 201, body = MadeToken), (status = 409, description = "There is a token with this name", body = super::problem::ProblemBody, content_type = "application/problem+json")))]
async fn create(State(api): State<Api>, caller: Caller, Json(new): Json<NewToken>) -> Result<Response, Problem> {
    caller.require_everywhere(Action::ManageTokens)?;
    let (secret, row) = fresh(&new, api.engine().clock().now()).map_err(|why| Problem::new(&kinds::INVALID, why))?;
    let exists = || Problem::new(&kinds::EXISTS, "there is a token with this name; revoked ones keep theirs");
    if api.engine().store().tokens().await?.iter().any(|token| token.name == row.name) {
        return Err(exists());
    }
    match api.engine().store().add_token(&row).await {
        Ok(()) => {}
        // Lost against another admin: the name's unique index decides.
        Err(StoreError::Data(_)) => return Err(exists()),
        Err(error) => return Err(error.into()),
    }
    Ok((StatusCode::CREATED, Answer(MadeToken { secret, token: (&row).into() })).into_response())
}

/// All tokens, without their secrets.
#[utoipa::path(get, path = "/v1/tokens", operation_id = "list_tokens", tag = "tokens", responses((status = 200, body = TokenList)))]
async fn list(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    caller.require_everywhere(Action::ReadTokens)?;
    let mut rows = api.engine().store().tokens().await?;
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Answer(TokenList { items: rows.iter().map(TokenBody::from).collect() }).into_response())
}

/// Revokes a token. Other workers notice within seconds.
#[utoipa::path(delete, path = "/v1/tokens/{name}", operation_id = "revoke_token", tag = "tokens", params(("name" = String, Path, description = "The token's name")),
    responses((status = 204), (status = 409, description = "It is the caller's own", body = super::problem::ProblemBody, content_type = "application/problem+json")))]
async fn revoke(State(api): State<Api>, caller: Caller, path: InPath) -> Result<Response, Problem> {
    caller.require_everywhere(Action::ManageTokens)?;
    let name = path.text("name")?;
    if name == caller.name() {
        return Err(Problem::new(&kinds::OWN_TOKEN, "this is the token that you are using"));
    }
    let now = api.engine().clock().now();
    if !api.engine().store().revoke_token(name, now).await? {
        return Err(Problem::not_found("this token"));
    }
    api.tokens().clear();
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Who the caller is and what it may do.
#[utoipa::path(get, path = "/v1/me", operation_id = "show_me", tag = "tokens", responses((status = 200, body = Me)))]
async fn me(caller: Caller) -> Response {
    let may = super::permit::ACTIONS.into_iter().filter(|action| caller.may(*action)).collect();
    Answer(Me { token: caller.token().into(), may }).into_response()
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(revoke)).routes(routes!(me))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn new(name: &str) -> NewToken {
        NewToken {
            name: name.into(),
            roles: vec![Role::Submitter, Role::Reviewer, Role::Submitter],
            processes: vec!["card_unbind".into()],
            review_roles: Vec::new(),
            expires_in: Some("90d".into()),
        }
    }

    #[test]
    fn a_secret_is_new_each_time_and_only_its_hash_is_kept() {
        let (secret, row) = fresh(&new("web-app"), Time(5)).unwrap();
        let (other, _) = fresh(&new("web-app"), Time(5)).unwrap();
        assert_ne!(secret, other);
        assert_eq!((secret.len(), row.sha256), (46, hash(&secret)));
        assert_eq!(row.roles, ["reviewer", "submitter"]);
        assert_eq!(row.expires_at, Some(Time(5 + 90 * 86_400_000_000)));
        assert!(!format!("{row:?}").contains(&secret[3..]));
    }

    #[test]
    fn what_makes_no_token() {
        let long = "a".repeat(65);
        for name in ["", "Web", "a b", "ä", &long] {
            assert!(fresh(&new(name), Time(0)).is_err(), "{name}");
        }
        assert!(fresh(&NewToken { roles: vec![], ..new("a") }, Time(0)).is_err());
        assert!(fresh(&NewToken { processes: vec![String::new()], ..new("a") }, Time(0)).is_err());
        assert!(fresh(&NewToken { expires_in: Some("soon".into()), ..new("a") }, Time(0)).is_err());
        assert!(fresh(&NewToken { expires_in: Some("0s".into()), ..new("a") }, Time(0)).is_err());
    }
}
