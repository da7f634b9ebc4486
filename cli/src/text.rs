//! Numbers, times and foreign texts as people read them.

use prost_types::Timestamp;
use sightline_proto::v1::run::State;
use std::time::Duration;

/// A text from a dataset or a server in one line that cannot steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The beginning of a text in at most so many characters.
pub(crate) fn short(text: &str, characters: usize) -> String {
    let text = plain(text);
    if text.chars().count() <= characters {
        return text;
    }
    let kept: String = text.chars().take(characters.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// `1,234,567`.
pub(crate) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = if number < 0 { "-".to_owned() } else { String::new() };
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `12 items`, `1 item`.
pub(crate) fn items(number: i64) -> String {
    format!("{} {}", count(number), if number == 1 { "item" } else { "items" })
}

/// Bytes in the largest unit that fits: `32.8 MiB`.
pub(crate) fn bytes(number: i64) -> String {
    if number < 1024 {
        return format!("{number} B");
    }
    // Rounded before the unit is chosen: what would be 1,024.0 of one is 1.0 of the next.
    let tenths = |bits: u32| (i128::from(number) * 10 + (1_i128 << (bits - 1))) >> bits;
    let units = [(10, "KiB"), (20, "MiB"), (30, "GiB")];
    let fitting = units.into_iter().find(|(bits, _)| tenths(*bits) < 10_240);
    let (bits, unit) = fitting.unwrap_or((30, "GiB"));
    let tenths = i64::try_from(tenths(bits)).unwrap_or(i64::MAX);
    format!("{}.{} {unit}", count(tenths / 10), tenths % 10)
}

/// `4.2 s`, `3 min 20 s`, `5 h 12 min`, `2 d 3 h`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// `12.3/s`, `1,200/s`.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second >= 100.0 {
        #[expect(clippy::cast_possible_truncation, reason = "a rate for people")]
        let whole = per_second.round() as i64;
        format!("{}/s", count(whole))
    } else {
        format!("{per_second:.1}/s")
    }
}

/// `2026-11-20 23:42:27Z`; empty where there is none.
pub(crate) fn time(timestamp: Option<&Timestamp>) -> String {
    timestamp.map_or_else(String::new, |at| {
        let whole = Timestamp {
            seconds: at.seconds,
            nanos: 0,
        };
        whole.to_string().replace('T', " ")
    })
}

/// The time between two moments; none where one is missing.
pub(crate) fn between(start: Option<&Timestamp>, end: Option<&Timestamp>) -> Option<Duration> {
    let seconds = |at: &Timestamp| Duration::try_from_secs_f64(at.seconds as f64 + f64::from(at.nanos) / 1e9).ok();
    seconds(end?)?.checked_sub(seconds(start?)?)
}

/// The name of a run's state, as in the API.
pub(crate) fn state(state: State) -> &'static str {
    state.as_str_name()
}

/// Whether a run stays as it is.
pub(crate) fn is_final(state: State) -> bool {
    matches!(
        state,
        State::Succeeded | State::PartiallySucceeded | State::Failed | State::Cancelled
    )
}

/// What stands after `collection/` in a resource name: `runs/abc` gives `abc`.
pub(crate) fn id_of<'a>(name: &'a str, collection: &str) -> &'a str {
    name.strip_prefix(collection)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(name)
}

/// The resource name, where a bare id may be given.
pub(crate) fn resource(collection: &str, given: &str) -> String {
    format!("{collection}/{}", id_of(given, collection))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_rates_rounded() {
        assert_eq!(
            [count(0), count(999), count(1000), count(-1_234_567)],
            ["0", "999", "1,000", "-1,234,567"]
        );
        assert_eq!([rate(0.25), rate(99.94), rate(1234.5)], ["0.2/s", "99.9/s", "1,235/s"]);
        assert_eq!([items(1), items(2000)], ["1 item", "2,000 items"]);
    }

    #[test]
    fn bytes_are_rounded_to_tenths_of_a_unit_below_1024() {
        let shown = [
            0,
            1023,
            1024,
            324_864,
            1_047_552,
            1_048_524,
            1_048_525,
            1 << 20,
            1_073_741_823,
            1 << 30,
        ];
        assert_eq!(
            shown.map(bytes),
            [
                "0 B",
                "1023 B",
                "1.0 KiB",
                "317.3 KiB",
                "1,023.0 KiB",
                "1,023.9 KiB",
                "1.0 MiB",
                "1.0 MiB",
                "1.0 GiB",
                "1.0 GiB"
            ]
        );
        assert_eq!(bytes(4096 << 30), "4,096.0 GiB");
        assert_eq!(bytes(i64::MAX), "8,589,934,592.0 GiB");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let shown = [0.04, 9.9, 59.0, 61.0, 3600.0, 90_000.0].map(|s| duration(Duration::from_secs_f64(s)));
        assert_eq!(shown, ["0.0 s", "9.9 s", "59 s", "1 min 1 s", "1 h 0 min", "1 d 1 h"]);
    }

    #[test]
    fn a_foreign_text_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a [2Jb c");
        assert_eq!(short("개구리 한 마리", 5), "개구리…");
        assert_eq!(short("short", 5), "short");
    }

    #[test]
    fn a_bare_id_and_a_name_mean_the_same_run() {
        assert_eq!(resource("runs", "abc"), "runs/abc");
        assert_eq!(resource("runs", "runs/abc"), "runs/abc");
    }
}
