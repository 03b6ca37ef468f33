//! The encodings in which a server may repeat a secret, and the texts in which it may do so.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Answers that contain `SECRET`: JSON of the API, JSON of another service, or plain text.
pub const PLACES: [&str; 14] = [
    "SECRET",
    "SECRET is not a valid API key",
    "Incorrect API key provided: SECRET",
    "The key SECRET was rejected by the provider",
    "The key \"SECRET\" was rejected",
    "Provider said: {\"error\":{\"message\":\"Invalid key SECRET\",\"type\":\"invalid\"}}",
    "GET https://api.openai.com/v1/models?key=SECRET failed",
    "Authorization: Bearer SECRET",
    "x-api-key: SECRET\n",
    "no key=SECRET, please try again",
    "denied (SECRET).",
    "[401] 'SECRET': no such key",
    "invalid to: SECRET is in use",
    "key id as SECRET or so",
];

/// Returns the secret in each encoding, with the name of the encoding.
pub fn all(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let each = |separator: &str, write: &dyn Fn(&u8) -> String| {
        bytes.iter().map(write).collect::<Vec<_>>().join(separator)
    };
    let chars = |write: &dyn Fn(char) -> String| secret.chars().map(write).collect::<String>();
    let pieces = |length: usize, separator: &str| {
        let chars: Vec<char> = secret.chars().collect();
        let pieces = chars
            .chunks(length)
            .map(|piece| piece.iter().collect::<String>());
        pieces.collect::<Vec<_>>().join(separator)
    };
    let backwards: String = secret.chars().rev().collect();
    vec![
        ("plain", secret.to_owned()),
        ("upper", secret.to_uppercase()),
        ("lower", secret.to_lowercase()),
        ("flipped", chars(&flip)),
        ("backwards", backwards.clone()),
        ("rot13", chars(&rot13)),
        ("leetspeak", chars(&leet)),
        ("full width", chars(&|c| moved(c, 0xfee0))),
        ("mathematical", chars(&mathematical)),
        ("circled", chars(&circled)),
        ("zero-width", chars(&|c| format!("{c}\u{200b}"))),
        ("turned", format!("\u{202e}{backwards}\u{202c}")),
        ("combining", chars(&|c| format!("{c}\u{336}"))),
        ("soft hyphens", pieces(4, "\u{ad}")),
        ("spaced", pieces(1, " ")),
        ("dotted", pieces(1, ".")),
        ("hyphens", pieces(1, "-")),
        ("pairs", pieces(2, " ")),
        ("pieces of 3", pieces(3, " ")),
        ("pieces of 4", pieces(4, "-")),
        ("pieces of 5", pieces(5, "/")),
        ("pieces of 7", pieces(7, " ")),
        ("pieces of 7, dots", pieces(7, ".")),
        ("pieces of 7, lines", pieces(7, "\n")),
        ("quoted pieces", pieces(7, "\" + \"")),
        ("percent", each("", &|byte| format!("%{byte:02x}"))),
        ("percent twice", each("", &|byte| format!("%25{byte:02X}"))),
        ("\\u", each("", &|byte| format!("\\u{byte:04x}"))),
        ("\\u{}", each("", &|byte| format!("\\u{{{byte:x}}}"))),
        ("\\x", each("", &|byte| format!("\\x{byte:02x}"))),
        ("octal", each("", &|byte| format!("\\{byte:03o}"))),
        ("octal row", each(" ", &|byte| format!("{byte:03o}"))),
        ("entities", each("", &|byte| format!("&#{byte};"))),
        ("hex entities", each("", &|byte| format!("&#x{byte:x};"))),
        ("hex", each("", &|byte| format!("{byte:02x}"))),
        ("hex, blanks", each(" ", &|byte| format!("{byte:02x}"))),
        ("hex, colons", each(":", &|byte| format!("{byte:02X}"))),
        ("hex, 0x", each(", ", &|byte| format!("0x{byte:02x}"))),
        ("hex, hyphens", each("-", &|byte| format!("{byte:02x}"))),
        ("UTF-16", each(" ", &|byte| format!("{byte:02x} 00"))),
        ("UTF-16 raw", chars(&|c| format!("{c}\0"))),
        ("bytes", format!("{bytes:?}")),
        ("bytes, blanks", each(" ", &u8::to_string)),
        ("bytes, told", each(" and ", &|byte| format!("byte {byte}"))),
        ("binary", each(" ", &|byte| format!("{byte:08b}"))),
        ("binary row", each("", &|byte| format!("{byte:08b}"))),
        ("quoted-printable", each("", &|byte| format!("={byte:02X}"))),
        ("base64", STANDARD.encode(secret)),
        (
            "base64 in lines",
            STANDARD_NO_PAD.encode(secret).replace('A', "A\n"),
        ),
        ("base64url", URL_SAFE_NO_PAD.encode(format!("x{secret}"))),
        ("base64 twice", STANDARD.encode(STANDARD.encode(secret))),
        (
            "base32",
            in_groups(bytes, 5, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
        ),
        ("base58", base58(bytes)),
        ("base85", base85(bytes)),
        ("uuencoded", in_groups(bytes, 6, &uu())),
        ("punycode", format!("xn--{secret}-kva")),
        (
            "a Rust literal",
            format!("b\"{}\"", secret.escape_default()),
        ),
        ("a Python literal", format!("b'{secret}'")),
        ("JSON", serde_json::Value::from(secret).to_string()),
        (
            "JSON in JSON",
            serde_json::Value::from(format!("{{\"k\":\"{secret}\"}}")).to_string(),
        ),
        (
            "Morse",
            secret.chars().map(morse).collect::<Vec<_>>().join(" "),
        ),
        ("braille", chars(&|c| moved(c, 0x2800 - 0x20))),
    ]
}

fn flip(c: char) -> String {
    match c.is_ascii_lowercase() {
        true => c.to_ascii_uppercase().to_string(),
        false => c.to_ascii_lowercase().to_string(),
    }
}

fn rot13(c: char) -> String {
    let turn = |first: u8| char::from((c as u8 - first + 13) % 26 + first).to_string();
    match c {
        'a'..='z' => turn(b'a'),
        'A'..='Z' => turn(b'A'),
        other => other.to_string(),
    }
}

fn leet(c: char) -> String {
    let plain = "aeiostbgl";
    let digits: Vec<char> = "431057861".chars().collect();
    plain.find(c).map_or(c, |at| digits[at]).to_string()
}

fn moved(c: char, by: u32) -> String {
    let there = char::from_u32(c as u32 + by).filter(|_| c.is_ascii_graphic());
    there.unwrap_or(c).to_string()
}

fn mathematical(c: char) -> String {
    match c {
        'a'..='z' => moved(c, 0x1d41a - 'a' as u32),
        'A'..='Z' => moved(c, 0x1d400 - 'A' as u32),
        '0'..='9' => moved(c, 0x1d7ce - '0' as u32),
        other => other.to_string(),
    }
}

fn circled(c: char) -> String {
    match c {
        'a'..='z' => moved(c, 0x24d0 - 'a' as u32),
        'A'..='Z' => moved(c, 0x24b6 - 'A' as u32),
        '1'..='9' => moved(c, 0x2460 - '1' as u32),
        other => other.to_string(),
    }
}

fn uu() -> Vec<u8> {
    (0x20..0x60).collect()
}

/// Encodes the bits in groups of `size`, each as a character of `alphabet`.
fn in_groups(bytes: &[u8], size: usize, alphabet: &[u8]) -> String {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let groups = bits.as_bytes().chunks(size);
    groups
        .map(|group| {
            let bits = format!("{:0<size$}", String::from_utf8_lossy(group));
            char::from(alphabet[usize::from_str_radix(&bits, 2).expect("bits")])
        })
        .collect()
}

fn base58(bytes: &[u8]) -> String {
    let alphabet = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<u32> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit << 8;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    digits
        .iter()
        .rev()
        .map(|digit| char::from(alphabet[*digit as usize]))
        .collect()
}

fn base85(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(4) {
        let mut four = [0; 4];
        four[..group.len()].copy_from_slice(group);
        let number = u32::from_be_bytes(four);
        for power in (0..5).rev().take(group.len() + 1) {
            let digit = number / 85_u32.pow(power) % 85;
            text.push(char::from(b'!' + digit as u8));
        }
    }
    text
}

/// Encodes letters and digits as Morse code, and leaves other characters as they are.
fn morse(c: char) -> String {
    let codes = [
        ".-", "-...", "-.-.", "-..", ".", "..-.", "--.", "....", "..", ".---", "-.-", ".-..", "--",
        "-.", "---", ".--.", "--.-", ".-.", "...", "-", "..-", "...-", ".--", "-..-", "-.--",
        "--..",
    ];
    let digits = [
        "-----", ".----", "..---", "...--", "....-", ".....", "-....", "--...", "---..", "----.",
    ];
    match c.to_ascii_lowercase() {
        letter @ 'a'..='z' => codes[letter as usize - 'a' as usize].to_owned(),
        digit @ '0'..='9' => digits[digit as usize - '0' as usize].to_owned(),
        other => other.to_string(),
    }
}
