//! How long a key lives.

use std::time::Duration;

use serde_json::json;

use crate::setting::{Shape, ValueType};

/// A number of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(i32);

impl Days {
    /// The longest life of a key (`CredentialAgeDays` in
    /// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceSpecificCredential.html>).
    const MOST: i32 = 36_600;

    /// Returns a length of time as days; `None` unless it is a whole number of them that IAM takes.
    pub fn of(length: Duration) -> Option<Self> {
        const DAY: u64 = 24 * 60 * 60;
        let days = i32::try_from(length.as_secs() / DAY).ok()?;
        let is_whole = length.as_secs().is_multiple_of(DAY) && length.subsec_nanos() == 0;
        (is_whole && (1..=Self::MOST).contains(&days)).then_some(Self(days))
    }

    /// Returns their number.
    pub fn get(self) -> i32 {
        self.0
    }
}

/// A whole number of days.
pub(super) const DAYS: ValueType<Days> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "examples": ["90d", "365d"] })),
    read: |input| {
        let length = humantime::parse_duration(input.text("90d")?).ok();
        let days = length.and_then(Days::of);
        if days.is_none() {
            input
                .wrong("is not a whole number of days from 1 to 36600")
                .help("write `90d`");
        }
        days
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_a_whole_number_of_days() {
        let days = |text: &str| {
            let length = humantime::parse_duration(text).expect("a length");
            Days::of(length).map(Days::get)
        };
        assert_eq!(days("1d"), Some(1));
        assert_eq!(days("48h"), Some(2));
        assert_eq!(days("36600d"), Some(36_600));
        for wrong in ["0s", "23h", "1d 1s", "1d 1ns", "36601d", "1year"] {
            assert_eq!(days(wrong), None, "{wrong}");
        }
    }
}
