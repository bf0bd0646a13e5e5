//! How a call gets to the wire: over TLS by `reqwest`, over plain HTTP by the library that this is made of ([`super::plain`]).
//!
//! Plain HTTP to a neighbour is what most calls are. What `reqwest` puts around them for the rest of the world (addresses as URLs,
//! redirects, retries, proxies) costs there as much as the call itself, though it does nothing. Both kinds behave alike: one request,
//! one answer, no redirects, no cookies, no proxies, gzip understood, connections kept for a while.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tower::ServiceExt as _;
use tower_http::decompression::{Decompression, DecompressionBody};

use super::plain::{Plain, Used};

/// Kept below the five seconds after which many servers close an idle connection: an effect sent just then is unknown.
pub(super) const IDLE: Duration = Duration::from_secs(4);
/// The longest cause in a failure's detail, in characters.
const MAX_CAUSE: usize = 200;

/// A request as it is sent.
pub(super) type Outgoing = Request<Bytes>;

/// The client of one connector.
pub(super) enum Wire {
    /// `http://`
    Plain(Plain),
    /// `https://`
    Tls(reqwest::Client),
}

/// An answer whose body has not been read.
pub(super) struct Incomplete {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Kind,
}

enum Kind {
    Plain(Incoming, Used),
    Packed(Box<DecompressionBody<Incoming>>, Used),
    Tls(reqwest::Body),
}

/// Why there is no answer. The text is the innermost error's: the outer ones repeat the address, which may hold sensitive values.
pub(super) enum NoAnswer {
    /// The host's name was not found.
    NoHost(String),
    /// It could not be connected to; `tls`: it was there, and spoke no TLS that we trust.
    NotConnected { why: String, tls: bool },
    /// It broke off once the request may have been sent.
    Broke(String),
}

/// Why a body could not be read.
pub(super) enum Cut {
    Broke(String),
    TooLarge,
}

impl Wire {
    /// No proxies, no redirects, no cookies. `idle`: how many connections are kept; `ca`: certificates to trust beside the system's.
    pub(super) fn new(connect_timeout: Duration, idle: usize, https: bool, ca: Option<&[u8]>) -> Result<Wire, String> {
        if !https && ca.is_none() {
            return Ok(Wire::Plain(Plain::new(connect_timeout, idle)));
        }
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(idle);
        if let Some(pem) = ca {
            let certs = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|error| format!("`ca_file` holds no certificates: {error}"))?;
            builder = builder.tls_certs_merge(certs);
        }
        let client = builder.build().map_err(|error| format!("the HTTP client cannot be built: {}", inner(&error)))?;
        Ok(Wire::Tls(client))
    }

    /// Sends a request; waits for the head of its answer.
    pub(super) async fn send(&self, mut request: Outgoing) -> Result<Incomplete, NoAnswer> {
        match self {
            Wire::Plain(client) => {
                request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
                let (answer, used) = client.send(request).await?;
                let (head, body) = answer.into_parts();
                if !head.headers.contains_key(CONTENT_ENCODING) {
                    return Ok(Incomplete { status: head.status, headers: head.headers, body: Kind::Plain(body, used) });
                }
                // Few targets do: only their answers go through the library's layer.
                let mut packed = Some(Response::from_parts(head, body));
                let there = tower::service_fn(move |_: Request<()>| {
                    std::future::ready(packed.take().ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof)))
                });
                let mut asked = Request::new(());
                asked.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
                let answer = Decompression::new(there).oneshot(asked).await.map_err(|error| NoAnswer::Broke(cause(&error)))?;
                let (head, body) = answer.into_parts();
                Ok(Incomplete { status: head.status, headers: head.headers, body: Kind::Packed(Box::new(body), used) })
            }
            Wire::Tls(client) => {
                let request = reqwest::Request::try_from(request.map(reqwest::Body::from));
                let request = request.map_err(|error| NoAnswer::tls(&error))?;
                let answer = client.execute(request).await.map_err(|error| NoAnswer::tls(&error))?;
                let (head, body) = Response::from(answer).into_parts();
                Ok(Incomplete { status: head.status, headers: head.headers, body: Kind::Tls(body) })
            }
        }
    }
}

impl Incomplete {
    /// Does without the body. Where little is left of it, the connection can still be used.
    pub(super) fn leave(self) {
        match self.body {
            Kind::Plain(body, used) => {
                drop(body);
                used.give_back();
            }
            Kind::Packed(..) | Kind::Tls(_) => {}
        }
    }

    /// Reads the decompressed body, counting: neither a declared length nor a compressed one says how much will come.
    pub(super) async fn body(self, max: usize) -> Result<Bytes, Cut> {
        match self.body {
            Kind::Plain(body, used) => read(body, max).await.inspect(|_| used.give_back()),
            Kind::Packed(body, used) => read(body, max).await.inspect(|_| used.give_back()),
            Kind::Tls(body) => read(body, max).await,
        }
    }
}

async fn read<B>(mut body: B, max: usize) -> Result<Bytes, Cut>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Why,
{
    if body.size_hint().lower() > max as u64 {
        return Err(Cut::TooLarge);
    }
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Cut::Broke(error.why()))?;
        // Trailers say nothing that we asked for.
        let Ok(chunk) = frame.into_data() else { continue };
        length = length.saturating_add(chunk.len());
        if length > max {
            return Err(Cut::TooLarge);
        }
        match first.take() {
            None if rest.is_empty() => first = Some(chunk),
            whole => {
                rest.extend_from_slice(&whole.unwrap_or_default());
                rest.extend_from_slice(&chunk);
            }
        }
    }
    Ok(first.unwrap_or_else(|| rest.freeze()))
}

/// Errors of bodies.
trait Why {
    fn why(&self) -> String;
}

impl Why for hyper::Error {
    fn why(&self) -> String {
        cause(self)
    }
}

impl Why for Box<dyn Error + Send + Sync> {
    fn why(&self) -> String {
        cause(&**self)
    }
}

impl Why for reqwest::Error {
    fn why(&self) -> String {
        inner(self)
    }
}

impl NoAnswer {
    /// Certainly not sent.
    pub(super) fn unsent(why: &str) -> NoAnswer {
        NoAnswer::NotConnected { why: why.to_owned(), tls: false }
    }

    fn tls(error: &reqwest::Error) -> NoAnswer {
        let why = inner(error);
        if error.is_dns() {
            NoAnswer::NoHost(why)
        } else if error.is_builder() {
            // It was not sent at all.
            NoAnswer::NotConnected { why, tls: false }
        } else if error.is_connect() {
            NoAnswer::NotConnected { why, tls: !error.is_timeout() && !refused(error) }
        } else {
            NoAnswer::Broke(why)
        }
    }
}

pub(super) fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| (*error).source())
}

/// Did the operating system say so, and not the TLS library?
fn refused(error: &reqwest::Error) -> bool {
    chain(error).any(|error| error.downcast_ref::<io::Error>().is_some_and(|io| io.raw_os_error().is_some()))
}

/// The innermost error's text where the outermost repeats the address.
fn inner(error: &reqwest::Error) -> String {
    error.source().map_or_else(|| "unknown".to_owned(), cause)
}

/// The innermost error's text.
pub(super) fn cause(error: &(dyn Error + 'static)) -> String {
    let text = chain(error).last().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    text.chars().filter(|c| !c.is_control()).take(MAX_CAUSE).collect()
}
