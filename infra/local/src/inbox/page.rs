//! Renders the inbox as an HTML page.

use scrip_http::timestamp;
use serde_json::Value;

use super::received::ReceivedRequest;

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="3"><title>Webhook inbox</title>
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin: 0 0 .25rem } p { margin: 0 0 1.5rem }
article { border: 1px solid #8886; border-radius: 8px; padding: .75rem 1rem; margin: 0 0 1rem }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline }
header b { font-size: 1.05rem } time, .more { opacity: .75 }
.yes, .no { font-weight: 600 } .yes { color: #167c3a } .no { color: #b3261e }
@media (prefers-color-scheme: dark) { .yes { color: #6fd08c } .no { color: #ff8a80 } }
pre { overflow-x: auto; margin: .5rem 0 0; font-size: .85rem }
summary { cursor: pointer; margin-top: .5rem }
</style></head><body><main><h1>Webhook inbox</h1>
"#;

/// The size in bytes after which a page takes no further request; how many bytes of a body and of an event's name it shows;
/// and the depth from which on JSON is not indented further.
const PAGE_BYTES_MAX: usize = 1024 * 1024;
const SHOWN_BYTES_MAX: usize = 16 * 1024;
const NAME_BYTES_MAX: usize = 100;
const DEPTH_MAX: usize = 8;

/// The page: plain HTML that loads nothing and refreshes itself. It shows the newest requests, of `kept` in all.
pub(super) fn page(received: &[ReceivedRequest], kept: usize) -> String {
    let mut page = HEAD.to_owned();
    page += "<p>Requests to <code>/_local/inbox/…</code> on this machine, newest first. ";
    page +=
        "Add <code>?answer=503</code> to a webhook's URL to answer its deliveries with that status.</p>\n";
    if received.is_empty() {
        page += "<p>Nothing yet. Create a webhook whose URL ends in <code>/_local/inbox/me</code>, then \
                 POST <code>/api/v3/webhooks/{id}/test</code>.</p>\n";
    }
    let mut shown = 0usize;
    for one in received {
        if page.len() >= PAGE_BYTES_MAX {
            break;
        }
        page += &article(one);
        shown = shown.saturating_add(1);
    }
    if shown < kept {
        page += &format!(
            "<p>The newest {shown} of {kept}. Programs get up to 100 with <code>?limit=100</code>.</p>\n"
        );
    }
    page + "</main></body></html>\n"
}

fn article(one: &ReceivedRequest) -> String {
    let body: Value = serde_json::from_str(&one.text).unwrap_or_default();
    let field = |name: &str| match body.get(name) {
        Some(Value::String(text)) => escaped(beginning(text, NAME_BYTES_MAX)),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) | None => "–".to_owned(),
    };
    let verdict = match &one.problem {
        None => "<span class=\"yes\">✓ signature verifies</span>".to_owned(),
        Some(problem) => format!("<span class=\"no\">✗ {}</span>", escaped(problem)),
    };
    let shown = if body.is_null() { one.text.clone() } else { indented(&one.text) };
    let whole = shown.len();
    let shown: String = beginning(&shown, SHOWN_BYTES_MAX).to_owned();
    let cut = match one.truncated || shown.len() < whole {
        true => format!(" · {} bytes, of which the beginning is shown", one.body_bytes),
        false => String::new(),
    };
    let mut headers: Vec<_> =
        one.headers.iter().map(|(name, value)| format!("{}: {}", escaped(name), escaped(value))).collect();
    headers.sort();
    format!(
        "<article><header><b>{}</b> <span>#{}</span> {verdict} <time>{}</time>\
         <span class=\"more\">/_local/inbox/{} · answered {}{cut}</span></header>\
         <pre>{}</pre><details><summary>Headers</summary><pre>{}</pre></details></article>\n",
        field("event"),
        field("sequence"),
        timestamp::text(&one.received_at),
        escaped(&one.name),
        one.answered,
        escaped(&shown),
        headers.join("\n"),
    )
}

/// Indents JSON over several lines, and changes neither its order nor its spelling.
fn indented(json: &str) -> String {
    let (mut out, mut depth) = (String::with_capacity(json.len()), 0usize);
    let (mut in_string, mut is_escaped) = (false, false);
    for sign in json.chars() {
        if in_string {
            in_string = is_escaped || sign != '"';
            is_escaped = !is_escaped && sign == '\\';
            out.push(sign);
            continue;
        }
        match sign {
            '{' | '[' => {
                depth = depth.saturating_add(1);
                out.push(sign);
                out += &line(depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                let is_empty = out.trim_end().ends_with(['{', '[']);
                out.truncate(out.trim_end().len());
                out += &if is_empty { String::new() } else { line(depth) };
                out.push(sign);
            }
            ',' => {
                out.push(sign);
                out += &line(depth);
            }
            ':' => out += ": ",
            ' ' | '\t' | '\r' | '\n' => {}
            other => {
                in_string = other == '"';
                out.push(other);
            }
        }
    }
    out
}

/// A line break and the indentation of a depth.
fn line(depth: usize) -> String {
    format!("\n{}", "  ".repeat(depth.min(DEPTH_MAX)))
}

/// The beginning of a text, at most `most` bytes.
fn beginning(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;

    #[test]
    fn what_was_received_is_shown_and_never_executed() {
        let hostile = "<script>alert('x')</script>";
        let body = json!({ "event": hostile, "sequence": 5, "data": [hostile] });
        let one = ReceivedRequest {
            received_at: chrono::DateTime::UNIX_EPOCH,
            name: hostile.to_owned(),
            verified: false,
            problem: Some(hostile.to_owned()),
            webhook_id: None,
            answered: 200,
            headers: HashMap::from([("x".to_owned(), hostile.to_owned())]),
            body_bytes: body.to_string().len(),
            truncated: false,
            text: body.to_string(),
            body: to_raw_value(&body).unwrap(),
        };
        let page = page(&[one], 1);
        assert!(!page.contains("<script"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;").count(), 6);
        assert!(page.contains("<span>#5</span>"));
    }

    /// The body that was sent => what the page shows.
    #[test]
    fn a_body_is_shown_in_its_own_order_and_spelling() {
        for (sent, shown) in [
            (
                r#"{"b":1,"a":[2,{}],"b":3}"#,
                "{\n  \"b\": 1,\n  \"a\": [\n    2,\n    {}\n  ],\n  \"b\": 3\n}",
            ),
            (
                r#" { "a" : "x\"{,:}\\" , "n" : 1.50e1 } "#,
                "{\n  \"a\": \"x\\\"{,:}\\\\\",\n  \"n\": 1.50e1\n}",
            ),
            (r#"["\u00e9",[ ]]"#, "[\n  \"\\u00e9\",\n  []\n]"),
            ("7", "7"),
        ] {
            assert_eq!(indented(sent), shown, "{sent}");
        }
    }
}
