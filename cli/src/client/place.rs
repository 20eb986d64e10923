//! A path of the API, with its query.

use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use towpath_api::PREFIX;

/// What may stand as it is in a path's segment and in a query.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Debug, Clone)]
pub struct Place {
    path: String,
    query: String,
}

/// Below the API's prefix.
pub fn at(segments: &[&str]) -> Place {
    let mut path = PREFIX.to_owned();
    for segment in segments {
        path.push('/');
        path.extend(utf8_percent_encode(segment, ESCAPED));
    }
    Place { path, query: String::new() }
}

impl Place {
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        self.query.push(if self.query.is_empty() { '?' } else { '&' });
        self.query.push_str(name);
        self.query.push('=');
        self.query.extend(utf8_percent_encode(&value.to_string(), ESCAPED));
        self
    }

    pub fn with_some(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub fn text(&self) -> String {
        format!("{}{}", self.path, self.query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_whole() {
        let place = at(&["dags", "a/b c", "runs"]).with("run_id", "x&y=+").with_some("n", Some(1));
        assert_eq!(place.text(), "/api/v1/dags/a%2Fb%20c/runs?run_id=x%26y%3D%2B&n=1");
        assert_eq!(at(&["dags"]).with_some("n", None::<u8>).text(), "/api/v1/dags");
    }
}
