//! What may happen to the messages of a queue: none of it loses a rotation.

use crate::support::queued::{FAULTS, Queued};
use crate::support::rotator::writes;

#[tokio::test(flavor = "multi_thread")]
async fn every_newest_value_arrives_however_often_its_message_comes() {
    let mut queued = Queued::start(8, "1s").await;
    queued.shake(200, &FAULTS).await;
    queued.settle().await;
    queued.is_read().await;

    let before = writes(&queued.sandbox);
    queued.double().await;
    queued.is_read().await;
    assert_eq!(queued.behind(), Vec::<String>::new());
    let after = writes(&queued.sandbox);
    assert_eq!(after, before, "messages that come twice cause no push");
}
