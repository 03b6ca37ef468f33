//! The bodies of requests.

use std::io::Write;

use bytes::Bytes;
use serde::Serialize;
use zeroize::Zeroizing;

/// Returns JSON in memory that is wiped when its last handle is dropped.
///
/// # Panics
/// Panics if `body` cannot be written as JSON, which no struct of texts and numbers is.
pub fn wiped_json(body: &impl Serialize) -> Bytes {
    // Measured first, because a buffer that grows leaves its old memory behind unwiped.
    let mut size = Measure(0);
    let measured = serde_json::to_writer(&mut size, body);
    let mut buffer = Zeroizing::new(Vec::with_capacity(size.0));
    measured
        .and_then(|()| serde_json::to_writer(&mut *buffer, body))
        .expect("texts in memory can always be written as JSON");
    Bytes::from_owner(buffer)
}

struct Measure(usize);

impl Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
