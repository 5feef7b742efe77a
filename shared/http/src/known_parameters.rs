//! The query parameters of each route.

use std::collections::HashMap;

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request};
use http::Method;
use http::header::CONTENT_ENCODING;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use super::ApiError;
use super::parse_errors;

/// The query parameters that each route takes: those in its OpenAPI description. They are checked before the handler
/// runs, so that an unknown parameter is always refused.
pub(super) struct KnownParameters(HashMap<String, Vec<String>>);

impl KnownParameters {
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

    /// The parameters of an app without routes.
    pub(super) fn none() -> Self {
        Self(HashMap::new())
    }

    /// Checks a request against its route's description.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] for a path or query that cannot be decoded and for an unknown parameter;
    /// [`ApiError::Encoded`] for an encoded body.
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
        // The router answers 405 to another method. Routes without a description are not part of the API: pages for
        // browsers and the local machine's own routes.
        let Some(known) = self.0.get(&name(method, path.as_str())) else { return Ok(()) };
        let unknown = form_urlencoded::parse(query.as_bytes())
            .map(|(name, _)| name)
            .find(|name| !known.iter().any(|known| known == name));
        match unknown {
            Some(name) => {
                let known: Vec<_> = known.iter().map(String::as_str).collect();
                let (path, problem) = parse_errors::unknown_parameter(&name, &known);
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

/// Checks that a part of a URL can be decoded.
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

#[cfg(test)]
mod tests {
    use super::decodes;

    #[test]
    fn an_invalid_encoding_is_refused() {
        for sound in ["", "a=b", "a=%C3%A9&b=%25", "/api/v3/%7Bid%7D", "limit=+5"] {
            assert_eq!(decodes(sound), Ok(()), "{sound}");
        }
        for broken in ["%", "a=%", "a=%4", "a=%ZZ", "a=%+1", "a=%FF", "a=%C3", "a=%C3%28", "%é"] {
            assert!(decodes(broken).is_err(), "{broken}");
        }
    }
}
