//! A directory of files tells of its changes by itself.

use flashback_rotator::flashback::sandbox::Options;

use crate::support::rotator::{Rotator, arrives, file_key, sandbox};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_replaced_arrives_long_before_its_next_check() {
    let sandbox = sandbox(Options::default()).await;
    let rest = "[sources.watched]\ntype = \"file\"\ndir = \"{dir}/secrets\"\n\
                [schedule]\ncheck = \"24h\"\n";
    let key = file_key("one").replace("\"files\"", "\"watched\"");
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{rest}{key}"));
    rotator.put("one", "sk-one-0");
    rotator.start();
    rotator.ready().await;
    rotator.event("events_up", |_| true).await;
    arrives(&sandbox, "one", "sk-one-0").await;
    for number in 1..=3 {
        let secret = format!("sk-one-{number}");
        rotator.put("one", &secret);
        arrives(&sandbox, "one", &secret).await;
    }
}
