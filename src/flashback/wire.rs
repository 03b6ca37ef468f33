//! The API's shapes, as they are on the wire.
