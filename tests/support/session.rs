//! A browser that has signed in to the local machine.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{ApiAnswer, World, send};

/// A browser with the cookie of a session.
#[derive(Clone)]
pub struct Browser<'a> {
    world: &'a World,
    cookie: String,
    /// What its page sends with each request that changes something.
    pub csrf: String,
    /// What its page knows of the session.
    pub session: Value,
}

impl World {
    /// Signs in with a body, `{key}` or `{link}`.
    pub async fn sign_in(&self, sessions: &str, body: &Value) -> Browser<'_> {
        Browser::of(self, &self.post_plain(sessions, body).await)
    }

    /// A browser in a session of a new member of an organisation with this role. `key` needs every scope of it.
    pub async fn member(&self, key: &str, role: &str) -> Browser<'_> {
        let body = json!({ "email": format!("{}@example.com", crate::unique()), "role": role });
        let invited = self.post("/api/v3/invitations", key, &crate::unique(), &body).await.created();
        let accept = json!({ "token": invited["token"], "name": role });
        let joined = self.post_plain("/api/v3/invitations/accept", &accept).await;
        let joining = Browser::with(self, cookie(&joined), String::new(), Value::Null);
        let session = joining.get("/api/v3/sessions/current").await.data();
        Browser { csrf: session["csrfToken"].as_str().unwrap().to_owned(), session, ..joining }
    }
}

/// What a browser sends back of the cookie that an answer sets.
fn cookie(answer: &ApiAnswer) -> String {
    let set = answer.headers.iter().find(|(name, _)| name == "set-cookie");
    let set = set.unwrap_or_else(|| panic!("no cookie: {answer:?}"));
    set.1.split(';').next().unwrap().to_owned()
}

impl<'a> Browser<'a> {
    /// The browser to which an answer has given the cookie of a session.
    pub fn of(world: &'a World, answer: &ApiAnswer) -> Self {
        let session = answer.created();
        let csrf = session["csrfToken"].as_str().unwrap().to_owned();
        Self::with(world, cookie(answer), csrf, session)
    }

    fn with(world: &'a World, cookie: String, csrf: String, session: Value) -> Self {
        Self { world, cookie, csrf, session }
    }

    /// The same browser after it was given another cookie and has kept this page.
    pub fn with_cookie(&self, cookie: &str) -> Self {
        Self { cookie: cookie.to_owned(), ..self.clone() }
    }

    /// The cookie that it sends.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// A request of a page of its session, that the test may add to.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_of_stranger(method, path).header("scrip-csrf-token", &self.csrf)
    }

    /// A request that another site has it send: with the cookie, without what only its own pages know.
    pub fn request_of_stranger(&self, method: Method, path: &str) -> RequestBuilder {
        self.world.request(method, path, "").header("cookie", &self.cookie)
    }

    /// GET.
    pub async fn get(&self, path: &str) -> ApiAnswer {
        send(self.request(Method::GET, path)).await
    }

    /// POST of `body` under a new idempotency key.
    pub async fn post(&self, path: &str, body: &Value) -> ApiAnswer {
        send(self.request(Method::POST, path).header("idempotency-key", crate::unique()).json(body)).await
    }

    /// PATCH.
    pub async fn patch(&self, path: &str, body: &Value) -> ApiAnswer {
        send(self.request(Method::PATCH, path).json(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> ApiAnswer {
        send(self.request(Method::DELETE, path)).await
    }
}
