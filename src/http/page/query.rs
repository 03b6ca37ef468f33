//! The selection of keys and the display options that a client asks for.

use url::form_urlencoded;

use crate::engine::report::State;

/// The states in the order of their urgency: those in which something is wrong come first.
pub const ORDER: [State; 6] = [
    State::Failing,
    State::Missing,
    State::Held,
    State::Pending,
    State::InSync,
    State::Disabled,
];

/// The longest search text, in characters; the rest is cut off.
const LONGEST: usize = 100;

/// The query string of the page. Unknown or invalid parts are ignored, so that a mistyped link still shows
/// the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Only keys in this state.
    pub state: Option<State>,
    /// Only keys whose id, name, source or path contains this text.
    pub search: String,
    /// The page of keys, counted from 1.
    pub page: usize,
    /// `true` if the page refreshes itself.
    pub refresh: bool,
}

impl Query {
    pub fn parse(text: &str) -> Self {
        let mut query = Self {
            state: None,
            search: String::new(),
            page: 1,
            refresh: true,
        };
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "state" => query.state = ORDER.into_iter().find(|state| state.as_str() == value),
                "q" => query.search = value.trim().chars().take(LONGEST).collect(),
                "page" => query.page = value.parse().unwrap_or(1).max(1),
                "refresh" => query.refresh = value != "off",
                _ => {}
            }
        }
        query
    }

    /// Returns the link to this query, relative to the page, so that it also works behind a proxy that serves
    /// the page under another path.
    pub fn link(&self) -> String {
        let mut link = form_urlencoded::Serializer::for_suffix(String::from("?"), 1);
        if let Some(state) = self.state {
            link.append_pair("state", state.as_str());
        }
        if !self.search.is_empty() {
            link.append_pair("q", &self.search);
        }
        if self.page > 1 {
            link.append_pair("page", &self.page.to_string());
        }
        if !self.refresh {
            link.append_pair("refresh", "off");
        }
        link.finish()
    }

    /// Returns this query for keys in `state`, or in any state, from the first page.
    pub fn in_state(&self, state: Option<State>) -> Self {
        Self {
            state,
            page: 1,
            ..self.clone()
        }
    }

    /// Returns this query for another page of keys.
    pub fn on_page(&self, page: usize) -> Self {
        Self {
            page,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_round_trips_through_its_link() {
        let text = "?state=in_sync&q=a%26b+%3C&page=3&refresh=off";
        let query = Query::parse(&text[1..]);
        assert_eq!(query.search, "a&b <");
        assert_eq!(query.link(), text);
        assert_eq!(Query::parse("").link(), "?");
        assert_eq!(
            query.in_state(None).on_page(1).link(),
            "?q=a%26b+%3C&refresh=off"
        );
    }

    #[test]
    fn nonsense_is_passed_over() {
        for text in [
            "state=broken&page=-1&page=x&page=99999999999999999999",
            "state=&q=&page=0&%ff=%fe&&&=&refresh=on",
        ] {
            assert_eq!(Query::parse(text), Query::parse(""), "{text}");
        }
        let long = format!("q={}", "é".repeat(1000));
        assert_eq!(Query::parse(&long).search.chars().count(), LONGEST);
    }
}
