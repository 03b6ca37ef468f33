//! `type = "sqs"`: the settings.

use serde_json::json;
use url::Url;

use crate::setting::value_types::place::web;
use crate::setting::{Shape, ValueType, settings};

/// An example of a queue's URL.
const EXAMPLE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/flashback-rotator";

settings! {
    /// A trigger of the type `sqs`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SqsConfig, read by SqsTable {
        /// The URL of the queue into which an EventBridge rule puts "Secret Label Updated". The sign-in is the source's.
        queue_url: Queue = QUEUE, Required;
    }
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its URL.
    pub url: String,
    /// The endpoint that serves it.
    pub endpoint: String,
    /// The region in the name of its host; `None` where it has none, as behind an endpoint of one's own.
    pub region: Option<String>,
}

const QUEUE: ValueType<Queue> = ValueType {
    shape: Shape::Text(
        || json!({ "type": "string", "pattern": "^https?://[^/]+/.+/.+", "format": "uri" }),
    ),
    read: |input| {
        let (text, url) = web(input, EXAMPLE)?;
        let queue = Queue::of(text, &url);
        if queue.is_none() {
            input.wrong("is not the URL of a queue").help(format!(
                "write `{EXAMPLE}`: an account's number and a name follow the host"
            ));
        }
        queue
    },
};

impl Queue {
    /// Returns the queue at `url`, which is written as `text`; `None` if no queue is there.
    pub fn of(text: &str, url: &Url) -> Option<Self> {
        let parts: Vec<&str> = url.path_segments()?.collect();
        let [.., account, name] = parts[..] else {
            return None;
        };
        (!account.is_empty() && !name.is_empty()).then(|| Self {
            url: text.to_owned(),
            endpoint: url.origin().ascii_serialization(),
            region: url.host_str().and_then(region).map(str::to_owned),
        })
    }
}

/// Returns the region in a host's name: `sqs.REGION.amazonaws.com`, `REGION.queue.amazonaws.com`,
/// `vpce-….sqs.REGION.vpce.amazonaws.com`
/// (<https://docs.aws.amazon.com/general/latest/gr/sqs-service.html>).
fn region(host: &str) -> Option<&str> {
    let (labels, _) = host.split_once(".amazonaws.com")?;
    let labels: Vec<&str> = labels.split('.').collect();
    match labels[..] {
        ["sqs" | "sqs-fips", region] | [region, "queue"] | [_, "sqs", region, "vpce"] => {
            Some(region)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(text: &str) -> Option<Queue> {
        Queue::of(text, &Url::parse(text).expect("a URL"))
    }

    #[test]
    fn a_queue_has_its_endpoint_and_region_in_its_url() {
        for (host, expected) in [
            ("sqs.eu-west-1.amazonaws.com", Some("eu-west-1")),
            (
                "sqs-fips.us-gov-west-1.amazonaws.com",
                Some("us-gov-west-1"),
            ),
            ("sqs.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("eu-west-1.queue.amazonaws.com", Some("eu-west-1")),
            (
                "vpce-0a1-b2c.sqs.us-east-2.vpce.amazonaws.com",
                Some("us-east-2"),
            ),
            ("127.0.0.1:4566", None),
        ] {
            let queue = queue(&format!("https://{host}/123456789012/q.fifo")).expect("a queue");
            assert_eq!(queue.region.as_deref(), expected, "{host}");
            assert_eq!(queue.endpoint, format!("https://{host}"));
        }
        for text in ["https://h", "https://h/", "https://h/name", "https://h/1/"] {
            assert_eq!(queue(text), None, "{text}");
        }
    }
}
