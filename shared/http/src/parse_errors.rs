//! Turns the parsers' messages about an invalid request into hints: what each field must be.
//!
//! A message never repeats the value that was sent, which may be a secret.

use strsim::levenshtein;

#[cfg(test)]
mod tests;

/// The most characters of a path that a message shows. The names of unknown fields are the caller's and may be any length.
const PATH_CHARS_MAX: usize = 120;

/// The longest name, in characters, that is compared with the names of the fields.
const NAME_CHARS_MAX: usize = 64;

/// The most wrong letters in a name for which a message suggests the right one.
const TYPING_ERRORS_MAX: usize = 2;

/// The name of a number in messages of `rust_decimal`.
const DECIMAL: &str = "a Decimal type representing a fixed-point number";

/// The part of a request that a field is in.
#[derive(Clone, Copy, Debug)]
pub(super) enum RequestPart {
    /// The JSON body.
    Body,
    /// The query.
    Query,
}

/// The path of the invalid field and a hint, made of the parser's path and message. A message of one of our own types is
/// a hint already.
pub(super) fn hint(part: RequestPart, path: &str, message: &str) -> (String, String) {
    let is_whole = matches!(path, "." | "?");
    let parent = if is_whole { "" } else { path };
    let (path, words) = if let Some((name, known)) = unknown(message, "field") {
        // The path ends at the field, or at its parent.
        let parent = match parent.strip_suffix(name) {
            Some("") => "",
            Some(before) => before.strip_suffix('.').unwrap_or(parent),
            None => parent,
        };
        (below(parent, name), no_field(part, parent, name, &known))
    } else if let Some(name) = missing(message) {
        (below(parent, name), "is required".to_owned())
    } else if let Some(name) = quoted(message, "duplicate field `") {
        (below(parent, name), "must be sent once".to_owned())
    } else {
        let whole = match part {
            RequestPart::Body => "body",
            RequestPart::Query => "query",
        };
        let words = value(message).unwrap_or_else(|| message.to_owned());
        (if is_whole { whole.to_owned() } else { path.to_owned() }, words)
    };
    (excerpt(path), words)
}

/// The field that is missing, by the parser's message.
pub(super) fn missing(message: &str) -> Option<&str> {
    quoted(message, "missing field `")
}

/// The path of a query parameter that a route does not take, and a hint.
pub(super) fn unknown_parameter(name: &str, known: &[&str]) -> (String, String) {
    (excerpt(name.to_owned()), no_field(RequestPart::Query, "", name, known))
}

/// The message for a body that is not JSON: the problem and its place.
pub(super) fn not_json(message: &str, line: usize, column: usize) -> String {
    let problem = match message {
        "EOF while parsing a list" => "it ends inside a list",
        "EOF while parsing an object" => "it ends inside an object",
        "EOF while parsing a string" => "it ends inside a string",
        "EOF while parsing a value" => "it ends where a value is expected",
        "expected ident" => "expected true, false or null",
        "expected value" => "expected a value",
        "key must be a string" => "expected a name in double quotes",
        "trailing comma" => "nothing follows a comma",
        "trailing characters" => "something follows its end",
        "invalid escape" => "a string has a \\ that escapes nothing",
        "invalid number" => "a number is not written as in JSON",
        "invalid unicode code point" => "a string is not UTF-8",
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" => {
            "a string has a \\u escape that is not whole"
        }
        // Valid JSON beyond what the parser accepts.
        "number out of range" => return "must be a number nearer to zero".to_owned(),
        "recursion limit exceeded" => return "must not be nested so deeply".to_owned(),
        message if message.starts_with("control character") => {
            "a string has a control character that is not escaped"
        }
        message => message,
    };
    format!("the body is not JSON: {problem} at line {line}, column {column}")
}

/// The hint for a value that its field does not accept.
fn value(message: &str) -> Option<String> {
    if let Some((_, known)) = unknown(message, "variant") {
        return Some(format!("must be one of: {}", known.join(", ")));
    }
    if let Some((what, sent)) = message.split_once(": ")
        && matches!(what, "invalid type" | "invalid value")
    {
        let (sent, expected) = sent.rsplit_once(", expected ")?;
        if expected == "unit" {
            return Some("must be sent as a word, without an object around it".to_owned());
        }
        if what == "invalid value" {
            return Some(format!("must be {}", bounds(sent, expected).unwrap_or_else(|| wanted(expected))));
        }
        let wanted = wanted(expected);
        let mistaken = mistaken(sent, wanted).map(|kind| format!(", {kind}")).unwrap_or_default();
        return Some(format!("must be {wanted}{mistaken}"));
    }
    if message.starts_with("invalid length ") {
        // A list in place of an object, or a list of another length.
        let (_, expected) = message.rsplit_once(", expected ")?;
        return Some(format!("must be {}", wanted(expected)));
    }
    // Messages of the standard library about the text of a query.
    let words = match message {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "must be a whole number, in digits alone"
        }
        "number too large to fit in target type" => "must be a smaller number",
        "number too small to fit in target type" => "must be a larger number",
        "provided string was not `true` or `false`" => "must be true or false",
        "invalid float literal" | "cannot parse float from empty string" => "must be a number",
        _ => return None,
    };
    Some(words.to_owned())
}

/// What a field accepts, from serde's name for it.
fn wanted(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number from 0 on",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" | DECIMAL => "a number",
        "a string" | "a borrowed string" | "string or map" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a JSON object",
        record if record.starts_with("struct ") => "a JSON object",
        own => own,
    }
}

/// What a field accepts, for a number beyond its range.
fn bounds(sent: &str, expected: &str) -> Option<&'static str> {
    let is_number = sent.starts_with("integer `") || sent.starts_with("floating point `");
    if !is_number || sent.contains("`-") {
        return None;
    }
    Some(match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "i8" | "i16" | "i32" | "i64" | DECIMAL => "a smaller number",
        _ => return None,
    })
}

/// What was sent instead, where that helps to see the mistake.
fn mistaken(sent: &str, wanted: &str) -> Option<&'static str> {
    let kind = sent.split([' ', '`']).next().unwrap_or_default();
    Some(match kind {
        "string" => "not text",
        "boolean" => "not a boolean",
        "sequence" => "not a list",
        "map" => "not an object",
        "null" | "unit" => "not null",
        // The caller may take 1.0 and 1e3 for whole numbers.
        "floating" if wanted.starts_with("a whole number") => "without decimal point or exponent",
        "integer" | "floating" => "not a number",
        _ => return None,
    })
}

/// The hint for an unknown field.
fn no_field(part: RequestPart, parent: &str, name: &str, known: &[&str]) -> String {
    let kind = match part {
        RequestPart::Body => "field",
        RequestPart::Query => "parameter",
    };
    let of = if parent.is_empty() { "this request".to_owned() } else { excerpt(parent.to_owned()) };
    if known.is_empty() {
        return format!("is not a {kind} of {of}, which has none");
    }
    let meant = meant(name, known).map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
    let known = known.join(", ");
    format!("is not a {kind} of {of}{meant}; the {kind}s are: {known}")
}

/// The unknown name that was sent, and the known ones. The caller's name may contain any characters, so it ends at the
/// last possible place.
fn unknown<'a>(message: &'a str, what: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let rest = message.strip_prefix("unknown ")?.strip_prefix(what)?.strip_prefix(" `")?;
    if let Some(name) = rest.strip_suffix("`, there are no fields") {
        return Some((name, Vec::new()));
    }
    let (name, known) = rest.rsplit_once("`, expected ")?;
    Some((name, known.split('`').skip(1).step_by(2).collect()))
}

/// The name between `start` and the end of the message.
fn quoted<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message.strip_prefix(start)?.strip_suffix('`')
}

fn below(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

fn excerpt(path: String) -> String {
    let is_long = path.chars().nth(PATH_CHARS_MAX).is_some();
    if is_long { path.chars().take(PATH_CHARS_MAX).chain(['…']).collect() } else { path }
}

/// The known name that is nearest to a mistyped one.
fn meant<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let chars = name.chars().count();
    if chars > NAME_CHARS_MAX {
        return None;
    }
    // In a short name, that many wrong letters make another word.
    let most = (chars / 2).min(TYPING_ERRORS_MAX);
    let near = known.iter().map(|known| (levenshtein(name, known), *known));
    near.filter(|(errors, _)| *errors <= most).min_by_key(|(errors, _)| *errors).map(|(_, known)| known)
}
