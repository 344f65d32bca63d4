//! Times and lengths of time as people write them.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Reads a length of time: numbers with units, such as `250ms`, `30s`, `1h30m` or `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a length of time; write one such as 30s, 15m, 2h or 7d");
    let (mut total, mut rest) = (Duration::ZERO, text.trim());
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let ms = number.checked_mul(unit_ms(unit).ok_or_else(wrong)?).ok_or_else(wrong)?;
        total = total.checked_add(Duration::from_millis(ms)).ok_or_else(wrong)?;
        rest = after;
    }
    Ok(total)
}

fn unit_ms(unit: &str) -> Option<u64> {
    Some(match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return None,
    })
}

/// Reads a time: RFC 3339, or how long ago, such as `2h`.
pub(super) fn time(text: &str) -> Result<OffsetDateTime, String> {
    time_before(text, OffsetDateTime::now_utc())
}

fn time_before(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time);
    }
    let ago = duration(text).ok().and_then(|ago| time::Duration::try_from(ago).ok());
    ago.and_then(|ago| now.checked_sub(ago)).ok_or_else(|| {
        format!("{text:?} is neither a time such as 2026-11-23T08:00:00Z nor an age such as 2h or 7d")
    })
}

/// Writes a time for people: RFC 3339 in UTC, to the second.
pub(super) fn show(time: OffsetDateTime) -> String {
    let whole = time.to_offset(time::UtcOffset::UTC).replace_nanosecond(0).unwrap_or(time);
    whole.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

/// Writes a time that may be absent; a dash stands for none.
pub(super) fn show_option(time: Option<OffsetDateTime>) -> String {
    time.map_or_else(|| "-".to_owned(), show)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::macros::datetime;

    use super::{duration, show, time_before};

    #[test]
    fn lengths_of_time_add_up() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_hours(168)));
        for bad in
            ["", "7", "d", "7 days", "-2h", "2H", "1.5h", "99999999999999999999d", "18446744073709551615w"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_is_a_date_or_an_age() {
        let now = datetime!(2026-11-23 12:00 UTC);
        assert_eq!(time_before("2h", now), Ok(datetime!(2026-11-23 10:00 UTC)));
        assert_eq!(time_before("2026-11-23T08:00:00+01:00", now), Ok(datetime!(2026-11-23 07:00 UTC)));
        for bad in ["yesterday", "2026-11-23", "2026-13-01T00:00:00Z", "999999999d"] {
            assert!(time_before(bad, now).unwrap_err().contains(bad), "{bad}");
        }
    }

    #[test]
    fn times_are_shown_to_the_second() {
        assert_eq!(show(datetime!(2026-11-23 08:00:01.25 +1)), "2026-11-23T07:00:01Z");
    }
}
