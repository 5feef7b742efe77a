//! Rust source as tokens with their lines, without comments.

/// A word, a literal or a sign. `::`, `->` and `=>` are one sign each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

impl Token {
    pub(super) fn is(&self, text: &str) -> bool {
        self.text == text
    }

    pub(super) fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_') && !self.text.contains('"')
    }
}

pub(super) fn tokens(source: &str) -> Vec<Token> {
    let (mut found, mut rest, mut line) = (Vec::new(), source, 1);
    while !rest.is_empty() {
        let (text, after) = rest.split_at(length(rest));
        let is_blank = text.trim().is_empty() || text.starts_with("//") || text.starts_with("/*");
        if !is_blank {
            found.push(Token { text: text.to_owned(), line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    found
}

/// The bytes of the first token, blank or comment of a text.
fn length(rest: &str) -> usize {
    let first = rest.chars().next().unwrap();
    let is_in_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if let Some(length) = string(rest) {
        return length;
    }
    if first == '\'' {
        return quoted(rest);
    }
    if is_in_word(first) {
        return rest.find(|letter| !is_in_word(letter)).unwrap_or(rest.len());
    }
    let is_pair = ["::", "->", "=>"].iter().any(|pair| rest.starts_with(pair));
    if is_pair { 2 } else { first.len_utf8() }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    for (place, _) in rest.char_indices() {
        if rest[place..].starts_with("/*") {
            depth += 1;
        } else if rest[place..].starts_with("*/") {
            depth -= 1;
            if depth == 0 {
                return place + 2;
            }
        }
    }
    rest.len()
}

/// The bytes of a string literal, if the text begins with one.
fn string(rest: &str) -> Option<usize> {
    let marks = ["", "b", "c", "r", "br", "cr"];
    let (mark, body) = marks.iter().find_map(|mark| {
        let body = rest.strip_prefix(mark)?;
        let is_raw = mark.contains('r');
        let opens = if is_raw { body.trim_start_matches('#') } else { body };
        opens.starts_with('"').then_some((mark, body))
    })?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let opened = mark.len() + hashes + 1;
    if mark.contains('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(rest[opened..].find(&end).map_or(rest.len(), |place| opened + place + end.len()));
    }
    let mut is_escaped = false;
    for (place, letter) in rest[opened..].char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return Some(opened + place + 1),
            _ => (),
        }
    }
    Some(rest.len())
}

/// The bytes of a character literal or of a lifetime.
fn quoted(rest: &str) -> usize {
    let letters: Vec<(usize, char)> = rest.char_indices().take(4).collect();
    match letters[1..] {
        [(_, '\\'), _, (next, _)] => rest[next..].find('\'').map_or(rest.len(), |place| next + place + 1),
        [_, (place, '\''), ..] => place + 1,
        _ => {
            let name = &rest[1..];
            1 + name.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(name.len())
        }
    }
}

#[test]
fn source_is_split_into_tokens() {
    let source = "/* a /* b */ c */ fn f<'a>(s: &'a str) -> char { // x\n  r#\"\"quoted\" \\\"#; \"\\\"{\"; '\\''; '{'; b'\\n'\n}";
    let texts: Vec<_> = tokens(source).into_iter().map(|token| token.text).collect();
    let expected =
        "fn f < 'a > ( s : & 'a str ) -> char { r#\"\"quoted\" \\\"# ; \"\\\"{\" ; '\\'' ; '{' ; b '\\n' }";
    assert_eq!(texts.join(" "), expected);
    let lines: Vec<_> = tokens(source).iter().map(|token| token.line).collect();
    assert_eq!((lines[0], lines[lines.len() - 1]), (1, 3));
}
