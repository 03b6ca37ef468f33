//! What a fake is sent, and what it answers.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Method};
use serde_json::Value;

/// The administrative credential that the fakes take, unless theirs has a form.
pub const ADMIN: &str = "sk-admin-canary-5f2c9e7ab1d04836";

/// A call of a fake.
#[derive(Debug)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// The parts of its path, decoded.
    pub path: Vec<String>,
    /// Its query, decoded.
    pub query: BTreeMap<String, String>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Call {
    /// Returns its method and the parts of its path.
    pub fn line(&self) -> (&str, Vec<&str>) {
        let path = self.path.iter().map(String::as_str);
        (self.method.as_str(), path.collect())
    }

    /// Returns the token in `Authorization: Bearer …`.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// Returns a header that stands there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.get_all(name).iter();
        match (found.next(), found.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    /// Returns its body, which must be an object in JSON and say so.
    pub fn json(&self) -> Option<Value> {
        let is_json = self.header("content-type") == Some("application/json");
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        body.filter(|body| is_json && body.is_object())
    }
}

/// An answer of a fake.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its body: XML if it is a text, else JSON; without one if it is null.
    pub body: Value,
}

impl Reply {
    /// Returns an answer in JSON.
    pub fn new(status: u16, body: Value) -> Self {
        Self { status, body }
    }
}

/// Returns the names of an object that are not among `known`.
pub fn unknown(object: &Value, known: &[&str]) -> Vec<String> {
    let names = object.as_object().into_iter().flatten();
    let names = names.map(|(name, _)| name.clone());
    names
        .filter(|name| !known.contains(&name.as_str()))
        .collect()
}
