//! Admits only programs and pages of this machine to the routes below `/_local`. These routes need no key, so a web
//! page must not reach them, neither by a domain that resolves to 127.0.0.1 (DNS rebinding) nor through a browser on
//! this machine (cross-site requests).

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, HeaderName, ORIGIN};
use http::{HeaderMap, Method, Uri};
use scrip_http::ApiError;

/// The machine's own names, which can't be registered as domains.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// The headers in which a browser states the origin of a request. A page can't change them.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Refuses all other requests below `/_local` with 403. `port` is the one that the machine listens on.
pub(crate) async fn only_from_here(State(port): State<u16>, request: Request, next: Next) -> Response {
    let is_local = request.uri().path().starts_with("/_local");
    if is_local && !is_from_here(port, request.method(), request.uri(), request.headers()) {
        let message = "the routes below /_local accept calls under the machine's own name and port, such as \
                     http://localhost:3000, and from no page of another origin";
        return ApiError::wrong_side(message).into_response();
    }
    next.run(request).await
}

fn is_from_here(port: u16, method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let text =
        |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect::<Vec<_>>();
    let hosts = match uri.authority() {
        Some(authority) => vec![authority.as_str()],
        None => text(HOST),
    };
    // A link on any page may lead here: the page cannot read what the browser then shows.
    let navigates = method == Method::GET && text(FETCH_MODE) == ["navigate"];
    let is_page_of_ours = |site: &str| ["same-origin", "none"].contains(&site) || navigates;
    matches!(hosts.as_slice(), [host] if is_own_host(host, port))
        && text(ORIGIN).into_iter().all(|origin| is_own_origin(origin, port))
        && text(FETCH_SITE).into_iter().all(is_page_of_ours)
}

fn is_own_origin(origin: &str, port: u16) -> bool {
    origin.strip_prefix("http://").is_some_and(|host| is_own_host(host, port))
}

/// Whether a host is one of the machine's names with its port; without a port it is port 80.
fn is_own_host(host: &str, port: u16) -> bool {
    let own = port.to_string();
    let of = |name: &&str| {
        let rest = host.get(..name.len()).filter(|begin| begin.eq_ignore_ascii_case(name));
        rest.and_then(|_| host.get(name.len()..)).is_some_and(|rest| {
            rest.strip_prefix(':').map_or(rest.is_empty() && port == 80, |given| given == own)
        })
    };
    NAMES.iter().any(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a request with these headers is admitted.
    fn is_let_in(port: u16, method: &Method, headers: &[(&'static str, &str)]) -> bool {
        let uri: Uri = "/_local/clock".parse().unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        is_from_here(port, method, &uri, &map)
    }

    #[test]
    fn the_machine_is_called_by_its_own_name_and_port() {
        for (host, port, expected) in [
            ("127.0.0.1:3000", 3000, true),
            ("localhost:3000", 3000, true),
            ("LocalHost:3000", 3000, true),
            ("[::1]:3000", 3000, true),
            ("localhost", 80, true),
            ("localhost:80", 80, true),
            ("localhost", 3000, false),
            ("localhost:3001", 3000, false),
            ("localhost:03000", 3000, false),
            ("localhost:", 80, false),
            ("localhost.:3000", 3000, false),
            ("localhost.evil.example:3000", 3000, false),
            ("evil.example:3000", 3000, false),
            ("evil.example", 80, false),
            ("127.0.0.1.evil.example:3000", 3000, false),
            ("evil@localhost:3000", 3000, false),
            ("10.0.0.7:3000", 3000, false),
            ("0.0.0.0:3000", 3000, false),
            ("", 80, false),
        ] {
            assert_eq!(is_let_in(port, &Method::POST, &[("host", host)]), expected, "{host} at {port}");
        }
        assert!(!is_let_in(3000, &Method::GET, &[]));
        assert!(!is_let_in(3000, &Method::GET, &[("host", "localhost:3000"), ("host", "evil.example")]));
    }

    #[test]
    fn no_page_of_another_origin_gets_in() {
        for (origin, expected) in [
            ("http://localhost:3000", true),
            ("http://127.0.0.1:3000", true),
            ("http://localhost:8080", false),
            ("https://localhost:3000", false),
            ("http://evil.example", false),
            ("http://evil.example:3000", false),
            ("http://localhost:3000.evil.example", false),
            ("null", false),
            ("", false),
        ] {
            for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
                let headers = [("host", "localhost:3000"), ("origin", origin)];
                assert_eq!(is_let_in(3000, &method, &headers), expected, "{method} {origin}");
            }
        }
    }

    /// Browsers send no `Origin` with a GET that another page has caused; `Sec-Fetch-Site` says so instead.
    #[test]
    fn a_link_of_another_page_is_admitted_and_its_requests_are_not() {
        for (method, site, mode, expected) in [
            (Method::GET, "same-origin", "cors", true),
            (Method::GET, "none", "navigate", true),
            (Method::GET, "cross-site", "navigate", true),
            (Method::GET, "cross-site", "no-cors", false),
            (Method::GET, "same-site", "cors", false),
            (Method::POST, "cross-site", "navigate", false),
            (Method::POST, "same-origin", "cors", true),
        ] {
            let headers = [("host", "localhost:3000"), ("sec-fetch-site", site), ("sec-fetch-mode", mode)];
            assert_eq!(is_let_in(3000, &method, &headers), expected, "{method} {site} {mode}");
        }
    }
}
