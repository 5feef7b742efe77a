//! Text that a spreadsheet program could take for a formula.

use std::borrow::Cow;

/// The characters with which a spreadsheet program begins a formula, also in their full-width forms.
const TRIGGERS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// What marks a guarded text.
const MARK: char = '\'';

/// The text of a cell in a CSV file: with an apostrophe before it if a spreadsheet program could take it for a formula,
/// or if it begins with an apostrophe itself. [`unguarded`] removes it.
pub(super) fn guarded(text: &str) -> Cow<'_, str> {
    if needs_guard(text) { Cow::Owned(format!("{MARK}{text}")) } else { Cow::Borrowed(text) }
}

/// The original text of a cell in a CSV file of transactions. A cell that begins with an apostrophe is the text after
/// it; every other cell is the text itself. Numbers are never marked.
#[must_use]
pub fn unguarded(cell: &str) -> &str {
    cell.strip_prefix(MARK).unwrap_or(cell)
}

fn needs_guard(text: &str) -> bool {
    if text.starts_with([MARK, '\t', '\r', '\n']) {
        return true;
    }
    // Some programs ignore white space and invisible characters before a formula.
    let visible = text.trim_start_matches(|letter: char| letter.is_whitespace() || is_invisible(letter));
    visible.starts_with(TRIGGERS)
}

/// Control characters, and characters that have no width.
fn is_invisible(letter: char) -> bool {
    let is_mark = matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}');
    letter.is_control() || is_mark || matches!(letter, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// text => whether it is guarded
    #[test]
    fn formulas_are_guarded() {
        for (text, is_guarded) in [
            ("", false),
            ("verif_1", false),
            ("a=1", false),
            ("2 - 1", false),
            ("?=1", false),
            ("\"=1", false),
            ("=1+1", true),
            ("=cmd|' /C calc'!A0", true),
            ("+44 20 7946 0000", true),
            ("-1", true),
            ("@SUM(1)", true),
            ("\t=1", true),
            ("\tharmless", true),
            ("\r=1", true),
            ("\nharmless", true),
            ("＝1", true),
            ("＋1", true),
            ("－1", true),
            ("＠x", true),
            (" =1", true),
            ("\u{a0}\u{3000}=1", true),
            ("\u{feff}=1", true),
            ("\u{200b}\u{200e}+1", true),
            ("\u{0}=1", true),
            ("'", true),
            ("'=1", true),
            (" plain", false),
        ] {
            let cell = guarded(text);
            assert_eq!(cell.starts_with('\''), is_guarded, "{text:?}");
            assert!(!TRIGGERS.contains(&cell.chars().next().unwrap_or(' ')), "{text:?}");
            assert_eq!(unguarded(&cell), text);
        }
    }

    /// Whatever the text, the cell is harmless and the text can be read back.
    #[test]
    fn every_text_is_read_back() {
        let letters = ['=', '+', '-', '@', '\t', '\r', '\n', '\'', '"', ',', ' ', 'a', '＝', '\u{feff}', 'é'];
        for first in letters {
            for second in letters {
                for third in letters {
                    let text: String = [first, second, third].into_iter().collect();
                    let cell = guarded(&text);
                    assert_eq!(unguarded(&cell), text);
                    assert!(!cell.trim_start().starts_with(TRIGGERS), "{text:?}");
                }
            }
        }
    }
}
