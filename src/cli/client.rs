//! The API's client for people at a terminal: every way in which a call can fail becomes an exit code, one line that
//! says what the server said, and what to do next.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use super::exit::{Exit, Failure};

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 32 * 1024 * 1024;
/// How long a call may take, beyond what it asked the server to wait.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How a command finds the server, and who it is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(super) struct ServerArgs {
    /// The API's address
    #[arg(
        long,
        env = "MOZHAO_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8080",
        value_name = "URL",
        global = true
    )]
    url: String,
    /// The access token; better in the variable or a file, where other users of this machine do not see it
    #[arg(long, env = "MOZHAO_TOKEN", hide_env_values = true, value_name = "TOKEN", global = true)]
    token: Option<String>,
    /// A file with the access token
    #[arg(long, env = "MOZHAO_TOKEN_FILE", hide_env_values = true, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
}

/// A connection to the API.
#[derive(Debug)]
pub(super) struct Client {
    base: String,
    token: Option<String>,
    http: reqwest::Client,
}

impl ServerArgs {
    /// Makes the client; does not call the server yet.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let base = self.url.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(Failure::new(Exit::Usage, format!("`{}` is no address of a server", self.url))
                .hint("write --url http://HOST:PORT"));
        }
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => Some(token.trim().to_owned()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::new(Exit::Failed, format!("cannot read the token from {}", path.display())).because(&error)
                })?;
                Some(text.trim().to_owned())
            }
            (None, None) => None,
        };
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .user_agent(concat!("mozhao/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::new(Exit::Failed, "cannot make an HTTP client").because(&error))?;
        Ok(Client { base, token, http })
    }
}

/// A call that is being put together.
pub(super) struct Call<'c> {
    client: &'c Client,
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    key: Option<String>,
    wait: Duration,
}

impl Client {
    pub(super) fn get(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::GET, path.into())
    }

    pub(super) fn post(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::POST, path.into())
    }

    pub(super) fn delete(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::DELETE, path.into())
    }

    fn call(&self, method: Method, path: String) -> Call<'_> {
        Call { client: self, method, path, query: Vec::new(), body: None, key: None, wait: Duration::ZERO }
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let what = if error.is_timeout() {
            format!("{} did not answer in time", self.base)
        } else {
            format!("cannot reach {}", self.base)
        };
        // What stands between is the library's own layers.
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Failure::new(Exit::Unreachable, what)
            .because(cause)
            .hint("start it with `mozhao serve` (or `mozhao demo`), or name another address with --url or MOZHAO_URL")
    }

    /// What the answer's status means for a person.
    fn refused(&self, status: StatusCode, body: &Value) -> Failure {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let faults = body.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        // With faults listed one by one below, the detail would say them all again.
        let detail = text("detail").filter(|_| faults.is_empty());
        let message = detail.or_else(|| text("title")).unwrap_or_else(|| format!("the server answered {status}"));
        // What the problem is, beyond its status.
        let word = text("type").and_then(|path| path.strip_prefix("/problems/").map(str::to_owned)).unwrap_or_default();
        let (exit, hint) = match status.as_u16() {
            401 if self.token.is_none() => (
                Exit::Failed,
                "name a token with --token, MOZHAO_TOKEN or MOZHAO_TOKEN_FILE; `mozhao token create NAME --role admin` makes one"
                    .to_owned(),
            ),
            401 if !self.token.as_deref().is_some_and(looks_like_a_token) => (
                Exit::Failed,
                "what was given is no token: one begins with `mz_`, and is printed once by `mozhao token create`".to_owned(),
            ),
            401 => (
                Exit::Failed,
                "the token is not known here, has ended or was revoked; `mozhao token create` makes another".to_owned(),
            ),
            403 => (
                Exit::Failed,
                "use a token with another role: `mozhao token list` shows them, `mozhao token create` makes one".to_owned(),
            ),
            404 => (Exit::NotFound, "check the id; a token sees only what its role and processes allow".to_owned()),
            _ if body.get("code").and_then(Value::as_str) == Some("unknown_process") => {
                (Exit::NotFound, "check the name: the processes are the files of the folder `processes`".to_owned())
            }
            409 if word == "key-conflict" => (
                Exit::Conflict,
                "a key stands for one process and payload: send another request with a key of its own".to_owned(),
            ),
            409 if word == "not-applied" || word == "ended" => {
                (Exit::Conflict, "`mozhao request show` tells how it stands".to_owned())
            }
            409 if word == "exists" => (Exit::Conflict, "choose another name".to_owned()),
            409 | 412 => (Exit::Conflict, "look at it again: it has changed".to_owned()),
            423 => (Exit::Conflict, "somebody else holds it: wait, or take it over".to_owned()),
            422 if text("code").as_deref() == Some("unknown_process") => {
                (Exit::NotFound, "check the name; a token sees only the processes that it is good for".to_owned())
            }
            400 if word == "bad-query" || word == "bad-id" => (Exit::Usage, String::new()),
            400 | 413 | 415 | 422 => (Exit::Failed, String::new()),
            429 | 503 => (Exit::Unreachable, "try again in a moment".to_owned()),
            _ => (Exit::Failed, "the server's log has the cause, under the request id".to_owned()),
        };
        let mut failure = Failure::new(exit, message);
        for fault in faults {
            let at = fault.get("pointer").and_then(Value::as_str).unwrap_or_default();
            let what = fault.get("message").and_then(Value::as_str).unwrap_or_default();
            let said = at.is_empty() || what.starts_with(at);
            failure.causes.push(if said { what.to_owned() } else { format!("{at}: {what}") });
        }
        if let Some(id) = text("request_id").filter(|_| status.is_server_error()) {
            failure.causes.push(format!("request id {id}"));
        }
        if !hint.is_empty() {
            failure.hint = Some(hint);
        }
        failure
    }
}

impl Call<'_> {
    /// Adds a query parameter, where there is a value.
    pub(super) fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// Adds a query parameter for each value.
    pub(super) fn each(mut self, name: &'static str, values: &[String]) -> Self {
        self.query.extend(values.iter().map(|value| (name, value.clone())));
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Makes a repetition of the call harmless.
    pub(super) fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// The server is asked to wait this long with its answer.
    pub(super) fn waits(mut self, length: Duration) -> Self {
        self.wait = length;
        self
    }

    /// Sends it; a JSON answer, or null where there is none.
    pub(super) async fn send(self) -> Result<Value, Failure> {
        let client = self.client;
        let response = self.response().await?;
        let status = response.status();
        let body = read(response).await.map_err(|error| client.unreachable(error))?;
        let json = serde_json::from_slice::<Value>(&body).ok();
        if !status.is_success() {
            return Err(client.refused(status, &json.unwrap_or_default()));
        }
        match json {
            Some(json) => Ok(json),
            None if body.is_empty() => Ok(Value::Null),
            None => {
                let message = format!("{} answered something that is not JSON", client.base);
                Err(Failure::new(Exit::Failed, message).hint("is this the address of mozhao's API? See --url"))
            }
        }
    }

    async fn response(self) -> Result<Response, Failure> {
        let mut url = format!("{}{}", self.client.base, self.path);
        for (at, (name, value)) in self.query.iter().enumerate() {
            url.extend([if at == 0 { "?" } else { "&" }, name, "=", &segment(value)]);
        }
        let mut request = self.client.http.request(self.method, &url).timeout(TIMEOUT + self.wait);
        if let Some(token) = &self.client.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &self.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &self.body {
            request = request.json(body);
        }
        request.send().await.map_err(|error| self.client.unreachable(error))
    }

    /// Opens an event stream, after the event with this id; it has no deadline as a whole.
    pub(super) async fn stream(self, after: Option<&str>) -> Result<Response, Failure> {
        let client = self.client;
        let mut request = client.http.get(format!("{}{}", client.base, self.path)).header("accept", "text/event-stream");
        if let Some(token) = &client.token {
            request = request.bearer_auth(token);
        }
        if let Some(id) = after {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.map_err(|error| client.unreachable(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = read(response).await.map_err(|error| client.unreachable(error))?;
        Err(client.refused(status, &serde_json::from_slice(&body).unwrap_or_default()))
    }
}

/// Has it the form of an access token?
fn looks_like_a_token(token: &str) -> bool {
    token.starts_with(crate::api::PREFIX) && (20..=100).contains(&token.len())
}

/// Reads a body up to [`MAX_ANSWER`]; the rest is not waited for.
async fn read(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            break;
        }
    }
    Ok(body)
}

/// A value as a part of a path or a query.
pub(super) fn segment(value: &str) -> String {
    percent_encoding::utf8_percent_encode(value, UNRESERVED).to_string()
}

/// Everything but what RFC 3986 leaves alone.
const UNRESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What `/readyz` of a server answers.
pub(super) async fn ready(base: &str) -> Result<u16, String> {
    let call = async {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        http.get(format!("{base}/readyz")).send().await
    };
    match call.await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) if error.is_connect() => Err("nothing listens there".to_owned()),
        Err(error) => Err(error.without_url().to_string()),
    }
}
