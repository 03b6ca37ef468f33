//! The one way for a server's text into a log, an error, the state or a page.
//!
//! A server may repeat a secret, its own or that of another call, in any encoding and in any place. So a text
//! is not searched for secrets: it is cut into words, and only what is known to be harmless passes. This is
//! the words of a list, alone or joined to an identifier (`AccessDeniedException`, `invalid_api_key`), a few
//! short numbers, and the punctuation of prose. Everything else becomes one [`MASK`]. What a call sent is
//! masked in any case, because a passphrase consists of words.

mod lexicon;

use std::ops::Range;

use zeroize::Zeroizing;

use self::lexicon::{Piece, piece};
use crate::redact::{self, MASK};

pub use self::lexicon::is_word;

/// The length of the longest text of a server that is shown, in characters.
pub const LONGEST: usize = 500;
/// The length of the longest id, version or name of a server that is accepted, in characters.
pub const LONGEST_NAME: usize = 512;

/// The number of characters of a text that are examined.
const LOOKED_AT: usize = 4096;
/// The largest count of numbers in a text. More may be a dump with words in between.
const NUMBERS: usize = 6;
/// The count of numbers or single letters in a row from which on they may spell out a secret.
const ROW: usize = 3;
/// The count of letters and digits in such a row from which on they may spell out a secret.
const ROW_LENGTH: usize = 6;
/// The length up to which a known word may be a piece of a secret by chance.
const SHORT: usize = 3;
/// The longest punctuation between or around words, such as `":{"`.
const PUNCTUATION: usize = 4;

/// The punctuation allowed before a word.
const OPENING: &str = "([{<\"'`*“‘";
/// The punctuation allowed after a word.
const CLOSING: &str = ")]}>\"'`.,;:!?“”’…";
/// The punctuation allowed inside an identifier.
const JOINING: &str = "-_./:=,;'\"`()[]{}<>+@|?";
/// The punctuation allowed to stand alone.
const ALONE: &str = "-–—=+:;.,|/&*…!?()[]{}<>\"'`";

/// Returns the part of a server's text that may be shown: at most [`LONGEST`] characters in one line. `sent` are the
/// credentials of the call that was answered.
pub fn shown(text: &str, sent: &[&str]) -> String {
    let text = Text::of(text, sent);
    let mut chunks = text.chunks();
    mask_rows(&mut chunks);
    mask_numbers(&mut chunks);
    mask_marks(&mut chunks);
    mask_shards(&mut chunks);
    text.render(&chunks)
}

/// Returns `true` if a text is shown as it is.
pub fn is_plain(text: &str) -> bool {
    shown(text, &[]) == text
}

/// Returns `true` if a character controls text instead of showing in it.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns the length in characters of an id, a version or a name that is too long to be accepted.
pub fn too_long(name: &str) -> Option<usize> {
    let length = name.chars().count();
    (length > LONGEST_NAME).then_some(length)
}

/// A text under examination.
struct Text {
    chars: Zeroizing<Vec<char>>,
    /// Marks the characters that repeat what the call sent.
    sent: Vec<bool>,
}

/// A piece of text between two spaces.
struct Chunk {
    range: Range<usize>,
    /// The piece without the punctuation around it.
    core: Range<usize>,
    pieces: Vec<Piece>,
    masked: bool,
}

impl Text {
    fn of(text: &str, sent: &[&str]) -> Self {
        // JSON inside a text has backslashes before its quotes and for its line breaks.
        let text = Zeroizing::new(text.chars().take(LOOKED_AT).collect::<String>());
        let text = Zeroizing::new(text.replace("\\\"", "\"").replace("\\n", " "));
        let chars = Zeroizing::new(plain(&text));
        let sent = repeated(&chars, sent);
        Self { chars, sent }
    }

    fn chunks(&self) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut start = 0;
        for part in self.chars.split(|c| *c == ' ') {
            if !part.is_empty() {
                chunks.push(self.chunk(start..start + part.len()));
            }
            start += part.len() + 1;
        }
        chunks
    }

    fn chunk(&self, range: Range<usize>) -> Chunk {
        let chars = &self.chars[range.clone()];
        let around = |set: &str, c: &char| set.contains(*c);
        let before = chars.iter().take_while(|c| around(OPENING, c)).count();
        let rest = &chars[before..];
        let behind = rest.iter().rev().take_while(|c| around(CLOSING, c)).count();
        let is_prose = before <= PUNCTUATION && behind <= PUNCTUATION;
        let core = match is_prose {
            true => range.start + before..range.end - behind,
            false => range.clone(),
        };
        let was_sent = self.sent[range.clone()].contains(&true);
        let pieces = pieces(&self.chars[core.clone()]);
        let is_known = |piece: &Piece| !matches!(piece, Piece::Unknown(_));
        let masked = was_sent || !is_prose || !pieces.iter().all(is_known);
        Chunk {
            range,
            core,
            pieces,
            masked,
        }
    }

    /// Returns the text with one mask for each masked stretch, between the punctuation around it.
    fn render(&self, chunks: &[Chunk]) -> String {
        let text = |range: Range<usize>| self.chars[range].iter().collect::<String>();
        let mut shown = String::new();
        for (index, chunk) in chunks.iter().enumerate() {
            let follows = index > 0 && chunk.masked && chunks[index - 1].masked;
            if index > 0 && !follows {
                shown.push(' ');
            }
            if !chunk.masked {
                shown.push_str(&text(chunk.range.clone()));
                continue;
            }
            if !follows {
                shown.push_str(&text(chunk.range.start..chunk.core.start));
                shown.push_str(MASK);
            }
            if !chunks.get(index + 1).is_some_and(|next| next.masked) {
                shown.push_str(&text(chunk.core.end..chunk.range.end));
            }
        }
        match shown.char_indices().nth(LONGEST) {
            None => shown,
            Some(_) => shown.chars().take(LONGEST - 1).collect::<String>() + MASK,
        }
    }
}

/// Returns the visible characters, with a space for any white space.
fn plain(text: &str) -> Vec<char> {
    text.chars()
        .filter_map(|c| match c {
            c if c.is_whitespace() => Some(' '),
            c if is_invisible(c) => None,
            c => Some(c),
        })
        .collect()
}

/// Marks the characters that repeat what the call sent: as a whole or in part, encoded, with other characters
/// between its letters, or reversed.
fn repeated(chars: &[char], sent: &[&str]) -> Vec<bool> {
    let mut found = vec![false; chars.len()];
    let is_letter = |c: &char| c.is_alphanumeric();
    let positions: Vec<usize> = (0..chars.len())
        .filter(|at| is_letter(&chars[*at]))
        .collect();
    let letters: Zeroizing<Vec<char>> =
        Zeroizing::new(positions.iter().map(|at| chars[*at]).collect());
    for secret in sent {
        for form in redact::forms(secret) {
            redact::mask_pieces(chars, &Zeroizing::new(plain(&form)), &mut found);
        }
        let mut bare: Zeroizing<Vec<char>> =
            Zeroizing::new(secret.chars().filter(is_letter).collect());
        if bare.len() < redact::PIECE {
            continue;
        }
        let mut spread = vec![false; letters.len()];
        redact::mask_pieces(&letters, &bare, &mut spread);
        bare.reverse();
        redact::mask_pieces(&letters, &bare, &mut spread);
        for (at, is_sent) in positions.iter().zip(spread) {
            found[*at] |= is_sent;
        }
    }
    found
}

/// Splits a chunk at its punctuation.
fn pieces(core: &[char]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    if core.len() <= 2 && core.iter().all(|c| ALONE.contains(*c)) {
        return pieces;
    }
    let mut start = 0;
    let mut joints = 0;
    while start < core.len() {
        let is_part = |at: usize| core[at].is_alphanumeric() || is_apostrophe(core, at);
        let length = (start..core.len()).take_while(|at| is_part(*at)).count();
        if length > 0 {
            pieces.push(piece(&core[start..start + length]));
            start += length;
            joints = 0;
            continue;
        }
        joints += 1;
        if joints > PUNCTUATION || !JOINING.contains(core[start]) {
            pieces.push(Piece::Unknown(1));
        }
        start += 1;
    }
    // More than one number or letter in an identifier is not prose either, except for `1.1` and `K/V`.
    let is_scrap = |piece: &Piece| matches!(piece, Piece::Scrap(_) | Piece::Known(1));
    let is_pair = |pair: &[Piece]| matches!(pair, [one, other] if one.size() + other.size() == 2);
    let scraps = pieces.iter().filter(|piece| is_scrap(piece)).count();
    if pieces.is_empty() || scraps > 1 && !(scraps == 2 && pieces.windows(2).any(is_pair)) {
        pieces.push(Piece::Unknown(0));
    }
    pieces
}

/// Returns `true` if this is the apostrophe of `can't`, and not the end of a quotation.
fn is_apostrophe(core: &[char], at: usize) -> bool {
    let is_letter = |at: usize| core.get(at).is_some_and(char::is_ascii_alphabetic);
    matches!(core[at], '\'' | '’') && at > 0 && is_letter(at - 1) && is_letter(at + 1)
}

/// Masks rows of numbers, of single letters and of short unknown pieces, whatever separates them: they may be
/// a secret spelled out in bytes or letters. Short words in such a row are masked with it.
fn mask_rows(chunks: &mut [Chunk]) {
    let mut row: Vec<usize> = Vec::new();
    let (mut count, mut length) = (0, 0);
    let all: Vec<(usize, Piece)> = chunks
        .iter()
        .enumerate()
        .flat_map(|(at, chunk)| chunk.pieces.iter().map(move |piece| (at, *piece)))
        .collect();
    let mut rows = Vec::new();
    for (at, piece) in all {
        match piece {
            Piece::Scrap(size) | Piece::Unknown(size @ ..=4) => {
                count += 1;
                length += size;
                row.push(at);
            }
            // This may be an article, or belong to a row of letters.
            Piece::Known(1) => {
                length += usize::from(count > 0);
                count += 1;
                row.push(at);
            }
            Piece::Known(2) if count > 0 => row.push(at),
            Piece::Known(_) | Piece::Unknown(_) => {
                if count >= ROW || length >= ROW_LENGTH {
                    rows.append(&mut row);
                }
                row.clear();
                (count, length) = (0, 0);
            }
        }
    }
    if count >= ROW || length >= ROW_LENGTH {
        rows.append(&mut row);
    }
    for at in rows {
        chunks[at].masked = true;
    }
}

/// Masks every number if there are more than in prose.
fn mask_numbers(chunks: &mut [Chunk]) {
    let is_scrap = |piece: &&Piece| matches!(piece, Piece::Scrap(_));
    let scraps = |chunk: &Chunk| chunk.pieces.iter().filter(is_scrap).count();
    if chunks.iter().map(scraps).sum::<usize>() > NUMBERS {
        for chunk in chunks.iter_mut().filter(|chunk| scraps(chunk) > 0) {
            chunk.masked = true;
        }
    }
}

/// Masks rows of bare punctuation, such as Morse code, numbers that follow a masked chunk, and longer numbers
/// before one: these may be its ends, whatever punctuation is in between.
fn mask_marks(chunks: &mut [Chunk]) {
    let is_scrap = |piece: &Piece| matches!(piece, Piece::Scrap(_));
    let is_long = |piece: &Piece| matches!(piece, Piece::Scrap(size) if *size > SHORT);
    for at in 1..chunks.len() {
        let follows_a_mark = chunks[at - 1].pieces.is_empty();
        let before = at.saturating_sub(1 + usize::from(follows_a_mark));
        let (one, other) = (&chunks[before], &chunks[at]);
        let is_row = follows_a_mark && other.pieces.is_empty();
        let is_end = one.masked && other.pieces.first().is_some_and(is_scrap);
        let is_start = other.masked && one.pieces.last().is_some_and(is_long);
        if is_row || is_end || is_start {
            let first = if is_row { at - 1 } else { before };
            for chunk in &mut chunks[first..=at] {
                chunk.masked = true;
            }
        }
    }
}

/// Masks short words and punctuation between masked chunks, and three or more of the shortest words beside
/// one: they may be pieces of a secret that are words by chance.
fn mask_shards(chunks: &mut [Chunk]) {
    let is_shard = |chunk: &Chunk, longest: usize| {
        let is_short = |piece: &Piece| matches!(piece, Piece::Known(size) | Piece::Scrap(size) if *size <= longest);
        !chunk.masked && chunk.pieces.iter().all(is_short)
    };
    let mut start = 0;
    while start < chunks.len() {
        let stretch = |longest| {
            let rest = chunks[start..].iter();
            rest.take_while(|chunk| is_shard(chunk, longest)).count()
        };
        let (short, shortest) = (stretch(SHORT), stretch(SHORT - 1));
        let masked = |at: usize| chunks.get(at).is_some_and(|chunk| chunk.masked);
        let after = start > 0 && masked(start - 1);
        let hidden = if after && masked(start + short) {
            short
        } else if shortest >= ROW && (after || masked(start + shortest)) {
            shortest
        } else {
            0
        };
        for chunk in &mut chunks[start..start + hidden] {
            chunk.masked = true;
        }
        start += hidden.max(1);
    }
}

#[cfg(test)]
mod tests;
