//! Calls routes of the API, and knows which routes were called.

use std::cell::RefCell;
use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::http::{HttpAnswer, HttpCall};
use crate::project::Project;
use crate::{router, stack};

/// Where the routes are, and what was called: methods and paths.
pub(crate) struct Gateway<'a> {
    url: &'a str,
    called: RefCell<BTreeSet<String>>,
}

impl<'a> Gateway<'a> {
    pub(crate) fn new(url: &'a str) -> Self {
        Self { url, called: RefCell::default() }
    }

    /// Checks that every route of the template was called.
    pub(crate) fn called_every_route(&self, project: &Project) -> Result<()> {
        let fragments = stack::read(&project.root, &project.functions()?)?;
        let called = self.called.borrow();
        for (path, methods) in router::routes(&fragments)? {
            for method in methods.keys() {
                let route = format!("{method} {path}");
                ensure!(called.iter().any(|call| is_call_of(&route, call)), "{route} was not called");
            }
        }
        Ok(())
    }
}

/// Whether a call, such as `GET /a/1`, is one of a route, such as `GET /a/{id}`.
fn is_call_of(route: &str, call: &str) -> bool {
    let (parts, called) = (route.split('/'), call.split('/'));
    let is_same =
        |(part, called): (&str, &str)| part == called || (part.starts_with('{') && !called.is_empty());
    parts.clone().count() == called.clone().count() && parts.zip(called).all(is_same)
}

/// A caller of the routes; without a key an anonymous one.
pub(crate) struct RouteCaller<'a> {
    pub(crate) api: &'a Gateway<'a>,
    pub(crate) key: Option<&'a str>,
}

impl RouteCaller<'_> {
    pub(crate) fn get(&self, path: &str, status: u16) -> Result<HttpAnswer> {
        self.call("GET", path, status)
    }

    pub(crate) fn call(&self, method: &str, path: &str, status: u16) -> Result<HttpAnswer> {
        self.send(
            HttpCall { method, url: format!("{}{path}", self.api.url), headers: vec![], body: None },
            status,
        )
    }

    pub(crate) fn post(&self, path: &str, idempotency_key: &str, body: &Value) -> Result<HttpAnswer> {
        self.post_for(201, path, idempotency_key, body)
    }

    pub(crate) fn post_for(
        &self,
        status: u16,
        path: &str,
        idempotency_key: &str,
        body: &Value,
    ) -> Result<HttpAnswer> {
        let headers = vec![("Idempotency-Key", idempotency_key.to_owned())];
        let url = format!("{}{path}", self.api.url);
        self.send(HttpCall { method: "POST", url, headers, body: Some(body.clone()) }, status)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<HttpAnswer> {
        let url = format!("{}{path}", self.api.url);
        self.send(HttpCall { method: "PUT", url, headers: vec![], body: Some(body.clone()) }, 200)
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Result<HttpAnswer> {
        let url = format!("{}{path}", self.api.url);
        self.send(HttpCall { method: "PATCH", url, headers: vec![], body: Some(body.clone()) }, 200)
    }

    /// A request of a page in the session that an answer has begun.
    pub(crate) fn call_in(
        &self,
        session: &HttpAnswer,
        method: &str,
        path: &str,
        status: u16,
    ) -> Result<HttpAnswer> {
        let cookie = session.cookie.clone().context("the answer sets no cookie")?;
        let csrf = session.at("/data/csrfToken")?.to_owned();
        let headers = vec![("Cookie", cookie), ("Scrip-CSRF-Token", csrf)];
        let body = (method == "POST").then(|| serde_json::json!({}));
        self.send(HttpCall { method, url: format!("{}{path}", self.api.url), headers, body }, status)
    }

    fn send(&self, mut call: HttpCall<'_>, status: u16) -> Result<HttpAnswer> {
        let name = format!("{} {}", call.method, call.url);
        call.headers.extend(self.key.map(|key| ("Authorization", format!("Bearer {key}"))));
        let path = call.url.trim_start_matches(self.api.url).split('?').next().unwrap_or_default();
        self.api.called.borrow_mut().insert(format!("{} {path}", call.method));
        let answer = call.send()?;
        ensure!(answer.status == status, "{name}: {} {}", answer.status, answer.body);
        println!("    {status} {name}");
        Ok(answer)
    }
}

impl HttpAnswer {
    pub(crate) fn at(&self, place: &str) -> Result<&str> {
        self.body.pointer(place).and_then(Value::as_str).with_context(|| format!("no {place}: {}", self.body))
    }

    pub(crate) fn number(&self, place: &str) -> Result<u64> {
        self.body.pointer(place).and_then(Value::as_u64).with_context(|| format!("no {place}: {}", self.body))
    }
}

#[cfg(test)]
mod checks {
    use super::*;

    #[test]
    fn a_call_belongs_to_its_route() {
        for (route, call, expected) in [
            ("GET /a", "GET /a", true),
            ("GET /a", "POST /a", false),
            ("GET /a/{id}", "GET /a/1", true),
            ("GET /a/{id}", "GET /a", false),
            ("GET /a/{id}", "GET /a/1/b", false),
            ("GET /a/{id}/b", "GET /a/1/c", false),
        ] {
            assert_eq!(is_call_of(route, call), expected, "{route}, {call}");
        }
    }
}
