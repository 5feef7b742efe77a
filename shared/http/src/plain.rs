//! What the parsers say of a request that does not read, as a sentence that says the mend.
//!
//! Every message goes with the path of its field, so it says what the field must be, in the words of
//! the domain's own types. The value that was sent is never repeated: it may be a secret.

use strsim::levenshtein;

#[cfg(test)]
mod tests;

/// Characters of a path at most: the names of unknown fields are the caller's, and may be any length.
const PATH_CHARS_MAX: usize = 120;

/// Characters of a name at most that is compared with those of the fields.
const NAME_CHARS_MAX: usize = 64;

/// How many letters may be wrong in a name for it to be told which was meant.
const TYPING_ERRORS_MAX: usize = 2;

/// What `rust_decimal` calls a number.
const DECIMAL: &str = "a Decimal type representing a fixed-point number";

/// Where a field stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// In the JSON body.
    Body,
    /// In the query.
    Query,
}

/// Where in a request a problem is and what mends it, from the path that the parser had come to and
/// its own words. Words that are none of the parser's stay as they are.
pub(super) fn mend(part: Part, path: &str, told: &str) -> (String, String) {
    let is_whole = matches!(path, "." | "?");
    let parent = if is_whole { "" } else { path };
    let (path, words) = if let Some((name, known)) = unknown(told, "field") {
        // The path ends at the field, or at its parent.
        let parent = match parent.strip_suffix(name) {
            Some("") => "",
            Some(before) => before.strip_suffix('.').unwrap_or(parent),
            None => parent,
        };
        (below(parent, name), no_field(part, parent, name, &known))
    } else if let Some(name) = missing(told) {
        (below(parent, name), "is required".to_owned())
    } else if let Some(name) = quoted(told, "duplicate field `") {
        (below(parent, name), "must be sent once".to_owned())
    } else {
        let whole = match part {
            Part::Body => "body",
            Part::Query => "query",
        };
        let words = value(told).unwrap_or_else(|| told.to_owned());
        (if is_whole { whole.to_owned() } else { path.to_owned() }, words)
    };
    (excerpt(path), words)
}

/// The field that is missing.
pub(super) fn missing(told: &str) -> Option<&str> {
    quoted(told, "missing field `")
}

/// Where a query parameter is that a route does not take, and what mends it.
pub(super) fn unknown_parameter(name: &str, known: &[&str]) -> (String, String) {
    (excerpt(name.to_owned()), no_field(Part::Query, "", name, known))
}

/// What is told of a body that is no JSON: what the parser met, and where.
pub(super) fn not_json(told: &str, line: usize, column: usize) -> String {
    let problem = match told {
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
        // No matter of JSON, but of what we read.
        "number out of range" => return "must be a number nearer to zero".to_owned(),
        "recursion limit exceeded" => return "must not be nested so deeply".to_owned(),
        told if told.starts_with("control character") => {
            "a string has a control character that is not escaped"
        }
        told => told,
    };
    format!("the body is not JSON: {problem} at line {line}, column {column}")
}

/// The words for a value that is none of its field's.
fn value(told: &str) -> Option<String> {
    if let Some((_, known)) = unknown(told, "variant") {
        return Some(format!("must be one of: {}", known.join(", ")));
    }
    if let Some((what, sent)) = told.split_once(": ")
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
    if told.starts_with("invalid length ") {
        // A list where the fields of an object are expected by their names, or one of another length.
        let (_, expected) = told.rsplit_once(", expected ")?;
        return Some(format!("must be {}", wanted(expected)));
    }
    // What the standard library says of the text of a query.
    let words = match told {
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

/// What a field takes, by serde's name for it.
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
        // A type that says by itself what it takes.
        own => own,
    }
}

/// What a field takes that was sent a number past what it can hold.
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

/// What was sent in place of what is wanted, where that helps to see the mistake.
fn mistaken(sent: &str, wanted: &str) -> Option<&'static str> {
    let kind = sent.split([' ', '`']).next().unwrap_or_default();
    Some(match kind {
        "string" => "not text",
        "boolean" => "not a boolean",
        "sequence" => "not a list",
        "map" => "not an object",
        "null" | "unit" => "not null",
        // 1.0 and 1e3 are whole numbers too, to whoever has sent them.
        "floating" if wanted.starts_with("a whole number") => "without decimal point or exponent",
        "integer" | "floating" => "not a number",
        _ => return None,
    })
}

/// The words for a field that there is not.
fn no_field(part: Part, parent: &str, name: &str, known: &[&str]) -> String {
    let kind = match part {
        Part::Body => "field",
        Part::Query => "parameter",
    };
    let of = if parent.is_empty() { "this request".to_owned() } else { excerpt(parent.to_owned()) };
    if known.is_empty() {
        return format!("is not a {kind} of {of}, which has none");
    }
    let meant = meant(name, known).map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
    let known = known.join(", ");
    format!("is not a {kind} of {of}{meant}; the {kind}s are: {known}")
}

/// The name that was sent in place of one of those that are known, and these. The caller's may have
/// any characters in it, so it ends at the last place where it can.
fn unknown<'a>(told: &'a str, what: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let rest = told.strip_prefix("unknown ")?.strip_prefix(what)?.strip_prefix(" `")?;
    if let Some(name) = rest.strip_suffix("`, there are no fields") {
        return Some((name, Vec::new()));
    }
    let (name, known) = rest.rsplit_once("`, expected ")?;
    Some((name, known.split('`').skip(1).step_by(2).collect()))
}

/// The name between `start` and the end of the words.
fn quoted<'a>(told: &'a str, start: &str) -> Option<&'a str> {
    told.strip_prefix(start)?.strip_suffix('`')
}

fn below(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

fn excerpt(path: String) -> String {
    let is_long = path.chars().nth(PATH_CHARS_MAX).is_some();
    if is_long { path.chars().take(PATH_CHARS_MAX).chain(['…']).collect() } else { path }
}

/// The one that is nearest to a name that was mistyped.
fn meant<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let chars = name.chars().count();
    if chars > NAME_CHARS_MAX {
        return None;
    }
    // Of a short name so many wrong letters make another altogether.
    let most = (chars / 2).min(TYPING_ERRORS_MAX);
    let near = known.iter().map(|known| (levenshtein(name, known), *known));
    near.filter(|(errors, _)| *errors <= most).min_by_key(|(errors, _)| *errors).map(|(_, known)| known)
}
