//! What is found wrong while the configuration is read, kept until all of it has been read.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::foreign::Foreign;
use super::mask::SourceFile;
use super::reference::known_names;
use super::report::{Mistake, Place, Report};
use super::tree::{Spot, Tree, convert};
use super::twice::{self, Twice};
use super::{foreign, syntax};
use crate::model::SourceId;

/// The number of the reference configuration among the files: it is always the first.
pub(super) const REFERENCE: usize = 0;

/// Mistakes, warnings and what has to be checked once everything is known.
#[derive(Default)]
pub(super) struct Findings {
    files: Vec<SourceFile>,
    mistakes: Vec<Finding>,
    warnings: Vec<(Option<Spot>, String)>,
    /// The secret references to a source, in the order they were read.
    pub(super) references: Vec<Reference>,
}

/// A secret reference that names a source.
pub(super) struct Reference {
    /// Where the source is named.
    pub(super) spot: Spot,
    pub(super) source: SourceId,
    pub(super) path: String,
    pub(super) path_spot: Spot,
}

/// A mistake on its way into the report.
pub(super) struct Finding {
    spot: Option<Spot>,
    path: PathBuf,
    message: String,
    help: Option<String>,
    also: Option<(Spot, &'static str)>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The file is not TOML here.
    Syntax,
    /// Something is there and wrong.
    Wrong,
    /// Something is not there, or not known; it may be in what could not be parsed.
    Missing,
}

impl Finding {
    /// What to write instead.
    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// A second place that belongs to it.
    pub(super) fn also(&mut self, spot: Spot, what: &'static str) -> &mut Self {
        self.also = Some((spot, what));
        self
    }
}

impl Findings {
    /// Takes a file in: its syntax errors, and whatever of it could be parsed.
    pub(super) fn add_file(&mut self, path: &Path, text: &str) -> Tree {
        let number = self.files.len();
        let (table, errors) = DeTable::parse_recoverable(text);
        let tree = convert(table.get_ref(), text, number);
        let mut file = SourceFile::new(path.to_owned(), text.to_owned(), known_names());
        file.learn(table.get_ref(), errors.is_empty());
        self.files.push(file);
        if !errors.is_empty()
            && let Some(Foreign { message, at }) = foreign::recognise(text)
        {
            let spot = Spot::new(number, &(at..at));
            self.syntax(spot, message).help(foreign::HELP);
            return tree;
        }
        let mut lines = HashSet::new();
        for error in errors {
            let span = error.span().unwrap_or(text.len()..text.len());
            let spot = Spot::new(number, &span);
            let (message, help) =
                syntax::explain(error.message(), text.get(span.start..).unwrap_or_default());
            let first = match message == syntax::TWICE {
                true => twice::find(text, span.start),
                false => Twice::First(None),
            };
            // The parser goes on after an error, and often stumbles again in the same line.
            if matches!(first, Twice::InTable) || !lines.insert(self.line(spot)) {
                continue;
            }
            let finding = self.syntax(spot, message).help(help);
            if let Twice::First(Some(at)) = first {
                finding.also(Spot::new(number, &(at..at)), "it stands here first");
            }
        }
        tree
    }

    /// The file is not TOML at `spot`.
    fn syntax(&mut self, spot: Spot, message: &str) -> &mut Finding {
        let path = self.files[spot.file].path.clone();
        self.find(Some(spot), path, message.to_owned(), Kind::Syntax)
    }

    /// Something is wrong at `spot`.
    pub(super) fn mistake(&mut self, spot: Spot, message: impl Into<String>) -> &mut Finding {
        let path = self.files[spot.file].path.clone();
        self.find(Some(spot), path, message.into(), Kind::Wrong)
    }

    /// Something that belongs at `spot` is nowhere to be found.
    pub(super) fn missing(&mut self, spot: Spot, message: impl Into<String>) -> &mut Finding {
        let path = self.files[spot.file].path.clone();
        self.find(Some(spot), path, message.into(), Kind::Missing)
    }

    /// The file itself is the matter.
    pub(super) fn unreadable(&mut self, path: PathBuf, message: String) -> &mut Finding {
        self.find(None, path, message, Kind::Syntax)
    }

    fn find(
        &mut self,
        spot: Option<Spot>,
        path: PathBuf,
        message: String,
        kind: Kind,
    ) -> &mut Finding {
        // A setting of `[defaults]` is read once for each key.
        let is_known =
            |known: &Finding| spot.is_some() && known.spot == spot && known.message == message;
        if let Some(known) = self.mistakes.iter().position(is_known) {
            return &mut self.mistakes[known];
        }
        self.mistakes.push(Finding {
            spot,
            path,
            message,
            help: None,
            also: None,
            kind,
        });
        let last = self.mistakes.len() - 1;
        &mut self.mistakes[last]
    }

    /// A name at `spot` as a message may show it.
    pub(super) fn shown_name<'n>(&self, spot: Spot, name: &'n str) -> &'n str {
        self.files[spot.file].shown(name)
    }

    /// Something that works, but not as it may be meant to.
    pub(super) fn warn(&mut self, spot: Option<Spot>, text: impl Into<String>) {
        let warning = (spot, text.into());
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// `file:line:column`.
    pub(super) fn place(&self, spot: Spot) -> String {
        let file = &self.files[spot.file];
        let (line, column) = file.position(spot.start);
        format!("{}:{line}:{column}", file.path.display())
    }

    fn line(&self, spot: Spot) -> usize {
        self.files[spot.file].position(spot.start).0
    }

    /// The warnings, each with its place.
    ///
    /// # Errors
    /// The report, where there is any mistake.
    pub(super) fn finish(mut self) -> Result<Vec<String>, Report> {
        if self.mistakes.is_empty() {
            self.warnings.sort_by_key(|(spot, _)| *spot);
            let shown = self.warnings.iter().map(|(spot, text)| match spot {
                Some(spot) => format!("{}: {text}", self.place(*spot)),
                None => text.clone(),
            });
            return Ok(shown.collect());
        }
        Err(self.into_report())
    }

    /// Whether nothing but the reference could be taken in.
    pub(super) fn is_hopeless(&self) -> bool {
        self.files.len() <= REFERENCE + 1
    }

    /// Whether no mistake was found so far.
    pub(super) fn is_clean(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// The report of what was found so far.
    pub(super) fn into_report(mut self) -> Report {
        self.drop_consequences();
        self.mistakes.sort_by_key(|finding| finding.spot);
        let mistakes = self.mistakes.iter().map(|finding| self.report(finding));
        Report::new(mistakes.collect())
    }

    /// Where a file could not be parsed or read, what is missing may well be in it.
    fn drop_consequences(&mut self) {
        let is_syntax = |finding: &&Finding| finding.kind == Kind::Syntax;
        let broken: HashSet<_> = self
            .mistakes
            .iter()
            .filter(is_syntax)
            .map(|finding| finding.spot.map(|spot| (spot.file, self.line(spot))))
            .collect();
        if broken.is_empty() {
            return;
        }
        let mut mistakes = std::mem::take(&mut self.mistakes);
        mistakes.retain(|finding| match finding.kind {
            Kind::Syntax => true,
            Kind::Missing => false,
            Kind::Wrong => {
                let line = finding.spot.map(|spot| (spot.file, self.line(spot)));
                !broken.contains(&line)
            }
        });
        self.mistakes = mistakes;
    }

    fn report(&self, finding: &Finding) -> Mistake {
        let note = finding
            .also
            .map(|(spot, what)| format!("{what}: {}", self.place(spot)));
        let place = finding.spot.map(|spot| {
            let file = &self.files[spot.file];
            let (line, column) = file.position(spot.start);
            Place {
                line,
                column,
                excerpt: file.excerpt(&(spot.start..spot.end)),
            }
        });
        Mistake::new(
            finding.path.clone(),
            place,
            finding.message.clone(),
            finding.help.clone(),
            note,
        )
    }
}
