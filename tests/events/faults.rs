//! What may happen to events on their way: none of it loses a rotation.

use crate::support::rotator::writes;
use crate::support::shaken::{FAULTS, Shaken};

#[tokio::test(flavor = "multi_thread")]
async fn every_newest_value_arrives_whatever_happens_to_its_event() {
    let mut shaken = Shaken::start(8, "1s").await;
    shaken.shake(300, &FAULTS).await;
    shaken.settle().await;

    let before = writes(&shaken.sandbox);
    shaken.double_records();
    shaken.rotate_one().await;
    let after = writes(&shaken.sandbox);
    assert_eq!(after - before, 2, "records that come twice cause no push");
}
