use std::collections::HashMap;

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request};
use http::Method;
use http::header::CONTENT_ENCODING;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use super::ApiError;
use super::plain;

/// Which query parameters each route takes: those that its description lists, and no others. A request is held
/// against them before its handler runs, so that a parameter which a route does not know never passes unseen.
pub(super) struct Queries(HashMap<String, Vec<String>>);

impl Queries {
    /// The parameters of all described routes.
    pub(super) fn of(document: &OpenApi) -> Self {
        let mut known = HashMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in [
                (Method::GET, &item.get),
                (Method::PUT, &item.put),
                (Method::POST, &item.post),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ] {
                if let Some(operation) = operation {
                    known.insert(name(&method, path), parameters(operation));
                }
            }
        }
        Self(known)
    }

    /// Holds a request against its route's description.
    ///
    /// # Errors
    /// A path or query that does not decode; a parameter that the route does not take; a body that is encoded.
    pub(super) fn check(&self, request: &Request) -> Result<(), ApiError> {
        if let Err(problem) = decodes(request.uri().path()) {
            return Err(ApiError::field("path", problem));
        }
        let is_encoded = request.headers().get(CONTENT_ENCODING).is_some_and(|value| value != "identity");
        if is_encoded && !request.body().is_end_stream() {
            return Err(ApiError::Encoded);
        }
        let query = request.uri().query().unwrap_or_default();
        if let Err(problem) = decodes(query) {
            return Err(ApiError::field("query", problem));
        }
        let Some(path) = request.extensions().get::<MatchedPath>() else { return Ok(()) };
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        // Another method is answered 405. What is not described is no part of the API: pages for browsers and the
        // local machine's own routes.
        let Some(known) = self.0.get(&name(method, path.as_str())) else { return Ok(()) };
        let unknown = form_urlencoded::parse(query.as_bytes())
            .map(|(name, _)| name)
            .find(|name| !known.iter().any(|known| known == name));
        match unknown {
            Some(name) => {
                let known: Vec<_> = known.iter().map(String::as_str).collect();
                let (path, problem) = plain::unknown_parameter(&name, &known);
                Err(ApiError::field(path, problem))
            }
            None => Ok(()),
        }
    }
}

fn name(method: &Method, path: &str) -> String {
    format!("{method} {path}")
}

fn parameters(operation: &Operation) -> Vec<String> {
    let listed = operation.parameters.iter().flatten();
    let listed = listed.filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
        RefOr::T(_) | RefOr::Ref(_) => None,
    });
    listed.collect()
}

/// Whether a part of a URL decodes, and what mends it.
fn decodes(text: &str) -> Result<(), &'static str> {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [bytes.next(), bytes.next()].into_iter().flatten().collect::<Vec<_>>();
        let code = String::from_utf8(digits).ok().filter(|digits| digits.len() == 2);
        let code = code.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let code = code.and_then(|digits| u8::from_str_radix(&digits, 16).ok());
        decoded
            .push(code.ok_or("has a % without two hexadecimal digits after it; write %25 for a % itself")?);
    }
    match String::from_utf8(decoded) {
        Ok(_) => Ok(()),
        Err(_) => Err("does not decode to UTF-8; percent-encode the bytes of its text in UTF-8"),
    }
}

/// Refuses a range that ends before it begins.
///
/// # Errors
/// The field `from`, when it is after `to`.
pub fn in_order<T: PartialOrd>(from: T, to: T) -> Result<(), ApiError> {
    if to < from { Err(ApiError::field("from", "must not be after to")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::decodes;

    #[test]
    fn what_does_not_decode_is_told() {
        for sound in ["", "a=b", "a=%C3%A9&b=%25", "/api/v3/%7Bid%7D", "limit=+5"] {
            assert_eq!(decodes(sound), Ok(()), "{sound}");
        }
        for broken in ["%", "a=%", "a=%4", "a=%ZZ", "a=%+1", "a=%FF", "a=%C3", "a=%C3%28", "%é"] {
            assert!(decodes(broken).is_err(), "{broken}");
        }
    }
}
