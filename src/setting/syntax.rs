//! Converts the errors of the TOML parser, which may quote the file, to texts that are safe to print.

/// The message for a table or a setting that is defined already.
pub const TWICE: &str = "this is set twice";

/// The beginnings of the parser's messages, each with what is wrong and what to do about it.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "duplicate key",
        TWICE,
        "keep one of the two; a table has one header",
    ),
    (
        "string values must be quoted",
        "a text without quotes",
        "put quotes around it: `name = \"…\"`",
    ),
    (
        "missing opening quote",
        "a text without an opening quote",
        "put quotes around it: `name = \"…\"`",
    ),
    (
        "invalid basic string",
        "a text that does not end, or has a character it cannot hold",
        "close it with `\"` in the same line, and write `\\\\` for `\\`",
    ),
    (
        "invalid literal string",
        "a text that does not end, or has a character it cannot hold",
        "close it with `'` in the same line",
    ),
    (
        "invalid multi-line",
        "a text of several lines that does not end",
        "close it with the three quotes it began with",
    ),
    (
        "missing value",
        "nothing stands right of the `=`",
        "write a value: `name = \"…\"`, `name = 1`, `name = true`",
    ),
    (
        "key with no value",
        "a name without a value",
        "write `name = \"…\"`, with `=` and not `:`, or take the line out",
    ),
    (
        "extra `=`",
        "there is one `=` too many",
        "one setting a line: `name = \"…\"`",
    ),
    (
        "unclosed array",
        "a list that does not end",
        "close it with `]`",
    ),
    (
        "unclosed inline table",
        "a table that does not end",
        "close it with `}`",
    ),
    (
        "unclosed table",
        "a header that does not end",
        "close it with `]`",
    ),
    (
        "missing comma",
        "a comma is missing",
        "put a comma between two entries: `{ path = \"…\", field = \"…\" }`",
    ),
];

/// Returns a message for an error of the parser, and what to do about it. The parser's own message may quote the
/// file: only its known beginnings are compared, and none of it is passed on.
pub fn explain(message: &str, from: &str) -> (&'static str, &'static str) {
    const CURLY: [char; 6] = ['“', '”', '„', '‘', '’', '«'];
    if from.starts_with(CURLY) {
        return (
            "a text in the quotation marks of a word processor",
            "put straight ones around it: `name = \"…\"`",
        );
    }
    let found = KNOWN.iter().find(|known| message.starts_with(known.0));
    found.map_or(
        (
            "this is not TOML",
            "a line is `name = \"…\"`, a header `[table]`, a comment begins with `#`",
        ),
        |known| (known.1, known.2),
    )
}
