use serde_json::Value;
use shared::edge::instant;

use crate::inbox::Received;

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

/// The inbox for people: plain HTML that loads nothing and looks again by itself.
pub(crate) fn page(received: &[Received]) -> String {
    let mut page = HEAD.to_owned();
    page += "<p>Whatever is sent to <code>/_local/inbox/…</code> on this machine, the newest first. ";
    page += "With <code>?answer=503</code> in a webhook's URL its deliveries are answered with that status.</p>\n";
    if received.is_empty() {
        page += "<p>Nothing yet. Make a webhook whose URL ends in <code>/_local/inbox/me</code>, then \
                 POST <code>/api/v3/webhooks/{id}/test</code>.</p>\n";
    }
    for one in received {
        page += &article(one);
    }
    page + "</main></body></html>\n"
}

fn article(one: &Received) -> String {
    let field = |name: &str| match one.body.get(name) {
        Some(Value::String(text)) => escaped(text),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) | None => "–".to_owned(),
    };
    let verdict = match &one.problem {
        None => "<span class=\"yes\">✓ signature verifies</span>".to_owned(),
        Some(problem) => format!("<span class=\"no\">✗ {}</span>", escaped(problem)),
    };
    let body = serde_json::to_string_pretty(&one.body).unwrap_or_default();
    let mut headers: Vec<_> =
        one.headers.iter().map(|(name, value)| format!("{}: {}", escaped(name), escaped(value))).collect();
    headers.sort();
    format!(
        "<article><header><b>{}</b> <span>#{}</span> {verdict} <time>{}</time>\
         <span class=\"more\">/_local/inbox/{} · answered {}</span></header>\
         <pre>{}</pre><details><summary>Headers</summary><pre>{}</pre></details></article>\n",
        field("event"),
        field("sequence"),
        instant::text(&one.received_at),
        escaped(&one.name),
        one.answered,
        escaped(&body),
        headers.join("\n"),
    )
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

    use super::*;

    #[test]
    fn what_was_sent_is_shown_and_never_run() {
        let hostile = "<script>alert('x')</script>";
        let one = Received {
            received_at: chrono::DateTime::UNIX_EPOCH,
            name: hostile.to_owned(),
            verified: false,
            problem: Some(hostile.to_owned()),
            webhook_id: None,
            answered: 200,
            headers: HashMap::from([("x".to_owned(), hostile.to_owned())]),
            body: json!({ "event": hostile, "sequence": 5, "data": [hostile] }),
        };
        let page = page(&[one]);
        assert!(!page.contains("<script"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;").count(), 6);
        assert!(page.contains("<span>#5</span>"));
    }
}
