//! The spaces of a text: which stay, and which are set in the font of the characters around them.

use std::ops::Range;

use krilla::text::KrillaGlyph;

/// How much of a text is looked at, in characters. No page has room for more of one.
const CHARACTERS_MAX: usize = 2_000;

/// Returns `text` without line breaks and other control characters, cut to what a page has room for.
pub(super) fn one_line(text: &str) -> String {
    let printable: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(CHARACTERS_MAX).collect();
    printable.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns whether every word is a single character. Readers take those for the letters of one word,
/// drawn wide apart, and lose the spaces.
pub(super) fn is_spaced_out(text: &str) -> bool {
    text.contains(' ') && text.split(' ').all(|word| word.chars().count() == 1)
}

/// Lets all glyphs stand for their text together, so that it is written down as it is, spaces included.
pub(super) fn keep_together(glyphs: &mut [KrillaGlyph]) {
    let start = glyphs.iter().map(|glyph| glyph.text_range.start).min().unwrap_or_default();
    let end = glyphs.iter().map(|glyph| glyph.text_range.end).max().unwrap_or_default();
    for glyph in glyphs {
        glyph.text_range = start..end;
    }
}

/// Finds the spaces between two characters of Chinese, Japanese or Korean, in bytes of the text.
///
/// In the font of the first family, a space would be a run of its own, apart from the text around it.
pub(super) fn within_cjk(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices(' ').map(|(at, space)| at..at + space.len()).filter(|space| {
        let before = text[..space.start].chars().next_back();
        let after = text[space.end..].chars().next();
        before.is_some_and(is_cjk) && after.is_some_and(is_cjk)
    })
}

/// Returns whether a character is of the blocks that the font for Chinese, Japanese and Korean is asked for.
fn is_cjk(character: char) -> bool {
    matches!(character, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::{is_spaced_out, within_cjk};

    #[test]
    fn a_text_is_spaced_out_if_no_word_has_a_second_character() {
        assert!(is_spaced_out("伟 王") && is_spaced_out("A B C"));
        assert!(!is_spaced_out("伟 王明") && !is_spaced_out("王") && !is_spaced_out(""));
    }

    #[test]
    fn a_space_is_within_if_it_has_such_a_character_on_both_sides() {
        let found = |text| within_cjk(text).map(|space| space.start).collect::<Vec<_>>();
        assert_eq!(found("伟 王"), [3]);
        assert_eq!(found("김 지우 철"), [3, 10]);
        assert!(found("Wei 王 Wang, 伟").is_empty() && found(" 王 ").is_empty());
    }
}
