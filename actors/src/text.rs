//! Text that people read.

/// Returns a text, cut to `chars_max` characters of which the last is then `…`.
pub(crate) fn shortened(mut text: impl Iterator<Item = char>, chars_max: usize) -> String {
    let mut short: String = text.by_ref().take(chars_max).collect();
    if text.next().is_some() {
        short.pop();
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn only_what_is_too_long_is_cut() {
        assert_eq!(shortened("né".chars(), 2), "né");
        assert_eq!(shortened("née".chars(), 2), "n…");
        assert_eq!(shortened("".chars(), 2), "");
    }
}
