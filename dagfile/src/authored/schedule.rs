//! When a Dag runs, as people write it.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;

use super::Scalar;

/// When a Dag runs.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum AuthoredSchedule {
    /// A cron expression of five fields, a preset, or `none`.
    Short(String),
    Detailed(Box<DetailedSchedule>),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetailedSchedule {
    /// A cron expression of five fields, or a preset, or a list of them.
    #[serde(default)]
    #[schemars(with = "Option<OneOrMore>")]
    pub cron: Option<Spanned<OneOrMore>>,
    /// Assets: a run as soon as all of a list have been made anew since the last one; {any: […]} for one
    /// of them; nested at will. With cron or every: besides.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Value>")]
    pub assets: Option<Spanned<serde_json::Value>>,
    /// A fixed step from the start date on: 15m, 36h, 7d, 1mo, 1y.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub every: Option<Spanned<Scalar>>,
    /// An IANA timezone, UTC by default.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub timezone: Option<Spanned<String>>,
    /// Whether a run covers the time from one fire to the next, and fires at its end.
    #[serde(default)]
    pub data_interval: bool,
    /// Or covers so much time before its fire; none by default.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub interval: Option<Spanned<Scalar>>,
    /// What happens to a time that the clocks leave out in spring: shift (the default) or skip.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub gap: Option<Spanned<String>>,
    /// What happens to a time that comes twice in autumn: first, second (the default) or both.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub fold: Option<Spanned<String>>,
    /// Without a start date: whether the time that was last before the first look is made up for: true, or
    /// how long ago it may have been; by default a tenth of the step, or 5m.
    #[serde(default)]
    #[schemars(with = "Option<Scalar>")]
    pub run_immediately: Option<Spanned<Scalar>>,
    /// Which days count.
    #[serde(default)]
    pub calendar: AuthoredCalendar,
}

/// Dates in the schedule's timezone.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoredCalendar {
    /// If there are any: it fires on these dates only.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub include: Vec<Spanned<Scalar>>,
    /// It does not fire on these dates.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub exclude: Vec<Spanned<Scalar>>,
}

/// One text, or a list of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::More(list) => list,
        }
    }
}

impl<'de> Deserialize<'de> for AuthoredSchedule {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Forms;

        impl<'de> Visitor<'de> for Forms {
            type Value = AuthoredSchedule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a cron expression, a preset such as @daily, none, or a map such as {cron: …, timezone: …} \
                     or {every: 15m}",
                )
            }

            fn visit_str<E>(self, text: &str) -> Result<AuthoredSchedule, E> {
                Ok(AuthoredSchedule::Short(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AuthoredSchedule, A::Error> {
                DetailedSchedule::deserialize(MapAccessDeserializer::new(map))
                    .map(|detailed| AuthoredSchedule::Detailed(Box::new(detailed)))
            }
        }

        input.deserialize_any(Forms)
    }
}
