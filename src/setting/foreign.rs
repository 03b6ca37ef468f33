//! Files in another format than TOML, known by their input.

/// Another format.
pub struct Foreign {
    /// The message, as a whole sentence.
    pub message: &'static str,
    /// The byte at which its first line begins.
    pub at: usize,
}

/// The help for a file in another format.
pub const HELP: &str = "write it as TOML: a table is `[flashback]`, a setting `base_url = \"…\"`, a comment begins with `#`; `flashback-rotator init` prints a file to begin with";

/// Returns the format of a file that is not TOML, if it is plain. The first line that is not blank or a comment
/// decides; YAML is also recognised by most of the lines, because one line of it may be a slip in TOML.
pub fn recognise(text: &str) -> Option<Foreign> {
    let lines = || {
        let mut at = 0;
        text.split_inclusive('\n').filter_map(move |line| {
            let begins = at + (line.len() - line.trim_start().len());
            at += line.len();
            let line = line.trim();
            let says = !line.is_empty() && !line.starts_with('#');
            says.then_some((begins, line))
        })
    };
    let (at, first) = lines().next()?;
    let first = first.trim_start_matches('\u{feff}');
    let found = |message| Some(Foreign { message, at });
    if first.starts_with('{') || first == "[" {
        return found("this is JSON, and the configuration is TOML");
    }
    let yaml = lines().filter(|(_, line)| is_yaml(line)).count();
    if first == "---" || first.starts_with("%YAML") || 2 * yaml > lines().count() {
        return found("this is YAML, and the configuration is TOML");
    }
    None
}

/// Returns `true` for lines of YAML: `name:`, `name: value`, `- item`.
fn is_yaml(line: &str) -> bool {
    let is_name = |name: &str| {
        let name = name.trim_matches(['"', '\'']);
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        !name.is_empty() && name.chars().all(plain)
    };
    let is_pair = |line: &str| {
        let pair = line.split_once(':');
        pair.is_some_and(|(name, value)| {
            is_name(name) && (value.is_empty() || value.starts_with(' '))
        })
    };
    line.starts_with("- ") || is_pair(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_are_known_and_a_slip_in_toml_is_neither() {
        let what = |text| recognise(text).map_or("", |foreign| foreign.message);
        for yaml in [
            "flashback:\n  base_url: https://example.com\n",
            "---\n# a comment\nkeys:\n  - name: x\n",
            "# first\n\nflashback:\n\tauth: {}\n",
        ] {
            assert!(what(yaml).contains("YAML"), "{yaml}");
        }
        for json in ["{\"flashback\": {}}", "\u{feff}{\n}", "# x\n[\n"] {
            assert!(what(json).contains("JSON"), "{json}");
        }
        for other in [
            "",
            "[flashback]\nbase_url: \"x\"\n[state]\n",
            "[keys.x]\npath = \"a: b\"\n",
            "x = {",
        ] {
            assert_eq!(what(other), "", "{other}");
        }
    }

    #[test]
    fn the_place_is_the_first_line_that_says_something() {
        assert_eq!(
            recognise("# x\n\n  a: 1\n").map(|foreign| foreign.at),
            Some(7)
        );
    }
}
