//! The invariants of ARCHITECTURE.md, held against the source text.
