// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel is known to do wrong, with the date by which somebody looks again.

use std::{fmt, str::FromStr};

use schemars::json_schema;
use serde::{Serialize, Serializer};
use time::{Month, OffsetDateTime};

use crate::language::{At, Complaint, Decode, Dynamic, Node, Template, described, keys};
use crate::model::code::Code;

keys! {
    /// A known failure. The case still expects what is right. If it fails, it is shown as a known issue, which is neither a pass nor a
    /// failure. If it passes, or fails after `until`, it is a failure, so that someone looks at it again.
    #[serde(serialize)]
    pub struct KnownIssue {
        /// Where the case is known to fail. The default is everywhere.
        #[example("{{ iommu == 'intel' }}")]
        pub when: Option<Dynamic<bool>>,
        /// A text that the failure's message contains, so that another failure is not mistaken for this one. The default is any failure.
        #[example("the kernel logged: WARNING")]
        pub message: Option<String>,
        /// What is known about it, for the report.
        #[example("the compat ioctl passes no permission on to VT-d, which warns")]
        pub reason: Template,
        /// Where it is described, such as a ticket or a thread.
        #[example("https://bugs.example.org/4711")]
        pub link: Option<String>,
        /// The last day on which it is accepted. After that day it is a failure.
        pub until: Date,
    }
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(time::Date);

impl Date {
    /// Today's date in UTC.
    pub fn today() -> Date {
        Date(OffsetDateTime::now_utc().date())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0.year(), u8::from(self.0.month()), self.0.day())
    }
}

impl FromStr for Date {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<Date, Complaint> {
        let numbers: Vec<&str> = text.split('-').collect();
        let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        let parsed = match numbers.as_slice() {
            [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2) => {
                let month = month.parse::<u8>().ok().and_then(|month| Month::try_from(month).ok());
                month
                    .zip(year.parse().ok())
                    .zip(day.parse().ok())
                    .and_then(|((month, year), day)| time::Date::from_calendar_date(year, month, day).ok())
            }
            _ => None,
        };
        parsed.map(Date).ok_or_else(|| {
            Complaint::new(Code::BadDate, format_args!("`{text}` is no date")).expected("a day such as 2027-06-30")
        })
    }
}

impl Decode for Date {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.parse(node, "a day such as 2027-06-30")
    }

    fn made_up() -> Self {
        Date::today()
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

described!(Date, |_| json_schema!({
    "description": "A day: year, month and day.",
    "type": "string",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "examples": ["2027-06-30"],
}));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_one_of_the_calendar() {
        for day in ["2027-06-30", "2028-02-29", "0001-01-01"] {
            assert_eq!(day.parse::<Date>().unwrap().to_string(), day);
        }
        for text in ["2027-02-29", "2027-13-01", "2027-6-30", "30.6.2027", "+027-06-30", "2027-06-30-1", ""] {
            assert_eq!(text.parse::<Date>().unwrap_err().title, format!("`{text}` is no date"));
        }
        assert!("2026-11-24".parse::<Date>().unwrap() < Date::today());
        assert!("2027-06-30".parse::<Date>().unwrap() < "2027-07-01".parse().unwrap());
    }
}
