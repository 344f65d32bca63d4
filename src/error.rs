//! What a handler says when it fails, and how error texts are made fit to store.

use std::error::Error;
use std::fmt;

/// The longest error text that is stored, in bytes.
pub const ERROR_BYTES_MAX: usize = 2_000;

type Source = Box<dyn Error + Send + Sync>;

/// Why a handler failed, and whether trying again may help.
///
/// Any error turns into [`HandlerError::Retryable`] with `?`; call
/// [`Fatal::fatal`] on one that no retry can cure.
///
/// # Examples
///
/// ```
/// use stentor::{Fatal, HandlerError};
///
/// fn days(text: &str) -> Result<u32, HandlerError> {
///     text.parse::<u32>().fatal() // a word will not become a number tomorrow
/// }
/// assert!(matches!(days("many"), Err(HandlerError::Fatal(_))));
/// ```
#[derive(Debug)]
pub enum HandlerError {
    /// Delivered again after a backoff, until the attempts are used up.
    Retryable(Source),
    /// A dead letter at once.
    Fatal(Source),
}

impl HandlerError {
    /// Makes a retryable error from a message or an error.
    pub fn retryable(error: impl Into<Source>) -> Self {
        Self::Retryable(error.into())
    }

    /// Makes a fatal error from a message or an error.
    pub fn fatal(error: impl Into<Source>) -> Self {
        Self::Fatal(error.into())
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Retryable(source) | Self::Fatal(source)) = self;
        write!(f, "{source}")?;
        let mut cause = source.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::Retryable(Box::new(error))
    }
}

/// Marks the error of a result as one that can never succeed.
pub trait Fatal<T> {
    /// Turns the error into [`HandlerError::Fatal`].
    ///
    /// # Errors
    ///
    /// Returns the error that `self` holds, as a fatal one.
    fn fatal(self) -> Result<T, HandlerError>;
}

impl<T, E: Into<Source>> Fatal<T> for Result<T, E> {
    fn fatal(self) -> Result<T, HandlerError> {
        self.map_err(HandlerError::fatal)
    }
}

/// Makes `text` fit to store and to print: no NUL or other control characters
/// but line breaks and tabs, and [`ERROR_BYTES_MAX`] bytes at most.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len().min(ERROR_BYTES_MAX));
    for character in text.chars() {
        let kept = match character {
            '\n' | '\t' => character,
            control if control.is_control() => '\u{fffd}',
            other => other,
        };
        if cleaned.len() + kept.len_utf8() > ERROR_BYTES_MAX - '…'.len_utf8() {
            cleaned.push('…');
            break;
        }
        cleaned.push(kept);
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::{ERROR_BYTES_MAX, clean};

    #[test]
    fn texts_are_cleaned_and_cut_at_a_character() {
        assert_eq!(clean("a\0b\u{1b}c\nd"), "a\u{fffd}b\u{fffd}c\nd");
        let long = clean(&"é".repeat(ERROR_BYTES_MAX));
        assert!(long.len() <= ERROR_BYTES_MAX && long.ends_with('…'));
    }
}
