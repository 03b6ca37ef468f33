//! Lists that come in pages.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api::{Api, Call};
use super::contract::ProviderError;
use super::fields;

/// The most pages that are read of a list, so that a server which goes in circles is noticed.
pub const MOST: usize = 1_000;

/// A page of a list whose next page begins behind the last entry of this one.
#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    has_more: bool,
    #[serde(default, deserialize_with = "fields::any_name")]
    last_id: Option<String>,
}

/// Returns the entries of every page. `cursor` is the parameter for the id behind which a page begins.
///
/// # Errors
/// Returns [`ProviderError`] if a page is not to be had, or if the pages have no end.
pub async fn all<T: DeserializeOwned>(
    api: &Api,
    call: Call<'_>,
    cursor: &'static str,
) -> Result<Vec<T>, ProviderError> {
    let mut found = Vec::new();
    let mut last: Option<String> = None;
    for _ in 0..MOST {
        let mut next = call.clone();
        if let Some(last) = &last {
            next = next.query(cursor, last);
        }
        let page: Page<T> = api.call(next).await?;
        found.extend(page.data);
        match page.last_id {
            _ if !page.has_more => return Ok(found),
            Some(id) if last.as_ref() != Some(&id) => last = Some(id),
            Some(_) | None => return Err(endless()),
        }
    }
    Err(endless())
}

/// Returns the number of keys in words.
pub fn counted(keys: usize) -> String {
    match keys {
        1 => "1 key".to_owned(),
        _ => format!("{keys} keys"),
    }
}

/// Returns the error of a list that has no end.
pub fn endless() -> ProviderError {
    ProviderError::Protocol {
        what: "the pages of the list have no end".to_owned(),
        status: "pages".to_owned(),
    }
}
