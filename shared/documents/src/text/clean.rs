//! Text that every reader of PDF can show.

use std::borrow::Cow;

/// The text without what no font has: control characters, private characters and noncharacters become U+FFFD, a tab a
/// space. Line breaks stay, in one form.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let is_clean = |letter: char| letter == '\n' || replacement(letter).is_none();
    if text.chars().all(is_clean) {
        return Cow::Borrowed(text);
    }
    let text = text.replace("\r\n", "\n");
    Cow::Owned(text.chars().map(|letter| replacement(letter).unwrap_or(letter)).collect())
}

/// What stands for a character that cannot be shown.
fn replacement(letter: char) -> Option<char> {
    match letter {
        '\n' => None,
        '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some('\n'),
        '\t' => Some(' '),
        '\u{feff}' => Some('\u{2060}'),
        '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{f0000}'.. => {
            Some(char::REPLACEMENT_CHARACTER)
        }
        other if other.is_control() || is_last_of_plane(other) => Some(char::REPLACEMENT_CHARACTER),
        _ => None,
    }
}

/// Whether it is one of the two noncharacters at the end of each plane.
fn is_last_of_plane(letter: char) -> bool {
    u32::from(letter) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    /// text => what is shown
    #[test]
    fn what_no_font_has_is_replaced() {
        for (text, shown) in [
            ("", ""),
            ("Łódź, 王明", "Łódź, 王明"),
            ("a\tb", "a b"),
            ("a\r\nb\rc\nd\u{2028}e", "a\nb\nc\nd\ne"),
            ("a\0b\u{7f}", "a\u{fffd}b\u{fffd}"),
            ("\u{feff}a", "\u{2060}a"),
            ("\u{e000}\u{f8ff}\u{10fffd}\u{ffff}\u{1fffe}", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(clean(text), shown, "{text:?}");
        }
    }
}
