//! A browser without scripts: it keeps cookies, follows no redirect by itself, and sends the forms that it finds in pages.

use std::collections::BTreeMap;

use mozhao::console::links;
use mozhao::engine::ports::sessions::Person;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use regex::Regex;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode};

use crate::world::World;

/// A browser.
pub(crate) struct Browser<'a> {
    pub(crate) world: &'a World,
    http: Client,
    pub(crate) cookies: BTreeMap<String, String>,
}

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Page {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Page {
        assert_eq!(self.status.as_u16(), status, "{:?}\n{}", self.headers, self.text);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Page {
        assert!(self.text.contains(text), "does not say {text:?}:\n{}", self.text);
        self
    }

    #[track_caller]
    pub(crate) fn silent_about(self, text: &str) -> Page {
        assert!(!self.text.contains(text), "says {text:?}:\n{}", self.text);
        self
    }

    /// Where it sends the browser.
    #[track_caller]
    pub(crate) fn to(&self) -> &str {
        assert_eq!(self.status.as_u16(), 303, "{}", self.text);
        self.headers["location"].to_str().unwrap()
    }

    /// The value of the first hidden field of this name.
    pub(crate) fn field(&self, name: &str) -> String {
        let field = Regex::new(&format!(r#"name="{}" value="([^"]*)""#, regex::escape(name))).unwrap();
        field.captures(&self.text).unwrap_or_else(|| panic!("no {name} in\n{}", self.text))[1].to_owned()
    }
}

impl<'a> Browser<'a> {
    /// Nobody.
    pub(crate) fn new(world: &'a World) -> Browser<'a> {
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Browser { world, http, cookies: BTreeMap::new() }
    }

    /// Somebody, through a link of their own. Reviewers have the role `identity`.
    pub(crate) async fn signed_in(world: &'a World, name: &str, roles: &[&str]) -> Browser<'a> {
        Browser::for_processes(world, name, roles, &[]).await
    }

    pub(crate) async fn for_processes(world: &'a World, name: &str, roles: &[&str], processes: &[&str]) -> Browser<'a> {
        let mut browser = Browser::new(world);
        let path = link(world, name, roles, processes).await;
        browser.post(&path, &[]).await.expect(303);
        browser
    }

    fn with_cookies(&self, request: RequestBuilder) -> RequestBuilder {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.header("cookie", cookies.join("; "))
    }

    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Page {
        let response = self.with_cookies(request).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        for cookie in headers.get_all("set-cookie") {
            let (pair, rest) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Page { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        let request = self.http.get(self.world.url(path));
        self.send(request).await
    }

    /// Sends a form as it is given: no token is added.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let request = form(self.http.post(self.world.url(path)), fields);
        self.send(request).await
    }

    /// Sends a form with the token of this session.
    pub(crate) async fn act(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.get("/console/help").await.expect(200).field("csrf");
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend_from_slice(fields);
        self.post(path, &all).await
    }

    /// A request of this browser's, to be changed before it is sent.
    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.world.url(path))
    }
}

/// A form's body, as browsers encode it.
pub(crate) fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    request.header("content-type", "application/x-www-form-urlencoded").body(body.join("&"))
}

/// A new link for somebody.
pub(crate) async fn link(world: &World, name: &str, roles: &[&str], processes: &[&str]) -> String {
    let owned = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    let person =
        Person { name: name.into(), roles: owned(roles), processes: owned(processes), review_roles: vec!["identity".into()] };
    let (path, row) = links::fresh(person, links::GOOD_FOR, world.engine.clock().now()).unwrap();
    world.store.sessions().add_link(&row).await.unwrap();
    path
}
