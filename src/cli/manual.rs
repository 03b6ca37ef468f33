//! The manual pages: the text of `--help`, and the sections that a manual has beside it.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// The heading of the examples in a command's long help. Each example is a line: a command, two spaces, `# `
/// and what it is for.
const EXAMPLES: &str = "Examples:";

const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "It is done, and well."),
    (
        "1",
        "Some key failed, or the command could not do its work. Standard error says which and why.",
    ),
    ("2", "The configuration or the arguments are wrong."),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "FLASHBACK_ROTATOR_CONFIG",
        "The configuration, where --config names none.",
    ),
    (
        "STATE_DIRECTORY",
        "Where the state is, where [state] url does not say; systemd sets it.",
    ),
    (
        "CREDENTIALS_DIRECTORY",
        "Where { credential = \"NAME\" } is looked for; systemd sets it.",
    ),
    (
        "PGPASSFILE",
        "The password file for a state in PostgreSQL; ~/.pgpass where it is not set.",
    ),
    (
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY",
        "The proxy for outgoing calls. Addresses of this machine and link-local ones are called directly.",
    ),
    (
        "AWS_*",
        "Credentials and region for AWS, as the AWS command line reads them.",
    ),
    (
        "NO_COLOR",
        "Where it is set and not empty, nothing is coloured.",
    ),
    (
        "COLUMNS",
        "How wide a table may be where standard output is no terminal.",
    ),
];

const FILES: &[(&str, &str)] = &[
    (
        "/etc/flashback-rotator/config.toml",
        "The configuration, where neither --config nor $FLASHBACK_ROTATOR_CONFIG names another: a file, or a \
         directory whose *.toml are merged.",
    ),
    (
        "/var/lib/flashback-rotator/state.db",
        "The state of the service. Without $STATE_DIRECTORY and [state] url it is state.db in the working \
         directory.",
    ),
    (
        "/etc/flashback-rotator/config.toml.reference",
        "Every setting with its default and a comment.",
    ),
    (
        "/usr/share/flashback-rotator/",
        "Examples, policies for Vault and AWS, and the JSON Schema of the configuration.",
    ),
];

/// Returns the pages of a program, each with the name of its file.
///
/// # Errors
/// Returns the error of writing a page; there is none when writing into memory.
pub fn pages(command: Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add(&command, &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    // A page belongs to a version and not to a day. The date is quoted because an empty word would be
    // skipped, and the next one taken for the date.
    let man = Man::new(command.clone())
        .date("\"\"")
        .source(concat!(
            env!("CARGO_PKG_NAME"),
            " ",
            env!("CARGO_PKG_VERSION")
        ))
        .manual("flashback-rotator");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if visible(command).next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut rest = Roff::new();
    section(&mut rest, "EXIT STATUS", EXIT_STATUS);
    section(&mut rest, "ENVIRONMENT", ENVIRONMENT);
    section(&mut rest, "FILES", FILES);
    let examples = examples(command);
    let examples: Vec<_> = examples
        .iter()
        .map(|(line, what)| (line.as_str(), what.as_str()))
        .collect();
    section(&mut rest, "EXAMPLES", &examples);
    rest.to_writer(&mut page)?;
    pages.push((man.get_filename(), page));
    visible(command).try_for_each(|command| add(command, pages))
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
}

/// Adds a section that lists terms with their meanings.
fn section(page: &mut Roff, title: &str, terms: &[(&str, &str)]) {
    if terms.is_empty() {
        return;
    }
    page.control("SH", [title]);
    for (term, meaning) in terms {
        page.control("TP", []);
        page.text([bold(*term)]);
        page.text([roman(*meaning)]);
    }
}

/// Returns the examples in a command's long help, each with what it is for.
fn examples(command: &Command) -> Vec<(String, String)> {
    let help = command.get_after_long_help();
    let help = help.map(ToString::to_string).unwrap_or_default();
    let lines = help.lines().skip_while(|line| *line != EXAMPLES).skip(1);
    lines
        .filter_map(|line| line.split_once("  # "))
        .map(|(line, what)| (line.trim().to_owned(), what.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::Cli;

    fn walk(command: &Command, path: &str, each: &mut dyn FnMut(&str, &Command)) {
        each(path, command);
        for command in visible(command) {
            walk(command, &format!("{path} {}", command.get_name()), each);
        }
    }

    #[test]
    fn every_command_has_examples_that_it_takes() {
        walk(
            &Cli::command(),
            "flashback-rotator",
            &mut |path, command| {
                let examples = examples(command);
                assert!(
                    !examples.is_empty(),
                    "`{path}` has no examples in its long help"
                );
                for (line, _) in examples {
                    let taken = line.split([';', '|', '>']).next().unwrap_or_default();
                    let words: Vec<&str> = taken.split_whitespace().collect();
                    assert!(
                        line.starts_with(path),
                        "{line}: it is no example of `{path}`"
                    );
                    let parsed = Cli::try_parse_from(&words);
                    assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
                }
            },
        );
    }

    #[test]
    fn every_page_has_every_section() {
        let pages = pages(Cli::command()).expect("they are rendered");
        assert!(pages.len() > 10, "{} pages", pages.len());
        for (name, page) in pages {
            let page = String::from_utf8(page).expect("text");
            let mut from = 0;
            for title in [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "\"EXIT STATUS\"",
                "ENVIRONMENT",
                "FILES",
                "EXAMPLES",
            ] {
                let at = page[from..].find(&format!(".SH {title}\n"));
                from += at.unwrap_or_else(|| panic!("{name}: no {title} in its place: {page}"));
            }
        }
    }
}
