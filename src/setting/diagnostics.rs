//! Collects mistakes and warnings until the whole configuration has been read.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::foreign::{self, Foreign};
use super::mask::{Names, SourceFile};
use super::report::{Mistake, Place, Report};
use super::span::Span;
use super::syntax;
use super::tree::{Tree, convert};
use super::twice::{self, Twice};
use crate::credential::SecretRef;

/// The number of the reference configuration among the files: it is always the first.
pub const REFERENCE: usize = 0;

/// The mistakes and warnings found so far, and the secret references, which are checked at the end.
pub struct Diagnostics {
    names: Names,
    files: Vec<SourceFile>,
    mistakes: Vec<Diagnostic>,
    warnings: Vec<(Option<Span>, String)>,
    /// The secret references, in the order in which they were read.
    pub references: Vec<Reference>,
}

/// A secret reference that was read.
pub struct Reference {
    /// The location of the secret.
    pub secret: SecretRef,
    /// The places of the source's id and of the path, if the secret is in a source.
    pub spans: Option<(Span, Span)>,
}

/// A mistake on its way into the report.
pub struct Diagnostic {
    span: Option<Span>,
    path: PathBuf,
    message: String,
    help: Option<String>,
    also: Option<(Span, &'static str)>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The file is not TOML here.
    Syntax,
    /// Something is wrong.
    Wrong,
    /// Something is missing or unknown; it may be in a part that could not be parsed.
    Missing,
}

impl Diagnostic {
    /// Adds what to write instead.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a second place that belongs to it.
    pub fn also(&mut self, span: Span, what: &'static str) -> &mut Self {
        self.also = Some((span, what));
        self
    }
}

impl Diagnostics {
    /// Begins without mistakes. Messages may show `names`, which are those of all settings.
    pub fn new(names: Names) -> Self {
        Self {
            names,
            files: Vec::new(),
            mistakes: Vec::new(),
            warnings: Vec::new(),
            references: Vec::new(),
        }
    }

    /// Parses a file, records its syntax errors, and returns the part that could be parsed.
    pub fn add_file(&mut self, path: &Path, text: &str) -> Tree {
        let number = self.files.len();
        let (table, errors) = DeTable::parse_recoverable(text);
        let tree = convert(table.get_ref(), text, number);
        let mut file = SourceFile::new(path.to_owned(), text.to_owned(), &self.names);
        file.learn(table.get_ref(), errors.is_empty(), &self.names);
        self.files.push(file);
        if !errors.is_empty()
            && let Some(Foreign { message, at }) = foreign::recognise(text)
        {
            let span = Span::new(number, &(at..at));
            self.syntax(span, message).help(foreign::HELP);
            return tree;
        }
        let mut lines = HashSet::new();
        for error in errors {
            let range = error.span().unwrap_or(text.len()..text.len());
            let span = Span::new(number, &range);
            let (message, help) =
                syntax::explain(error.message(), text.get(range.start..).unwrap_or_default());
            let first = match message == syntax::TWICE {
                true => twice::find(text, range.start),
                false => Twice::First(None),
            };
            // The parser goes on after an error, and often stumbles again in the same line.
            if matches!(first, Twice::InTable) || !lines.insert(self.line(span)) {
                continue;
            }
            let diagnostic = self.syntax(span, message).help(help);
            if let Twice::First(Some(at)) = first {
                diagnostic.also(Span::new(number, &(at..at)), "it stands here first");
            }
        }
        tree
    }

    /// Records that the file is not TOML at `span`.
    fn syntax(&mut self, span: Span, message: &str) -> &mut Diagnostic {
        let path = self.files[span.file].path.clone();
        self.find(Some(span), path, message.to_owned(), Kind::Syntax)
    }

    /// Records a mistake at `span`.
    pub fn mistake(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        let path = self.files[span.file].path.clone();
        self.find(Some(span), path, message.into(), Kind::Wrong)
    }

    /// Records that something is missing at `span`.
    pub fn missing(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        let path = self.files[span.file].path.clone();
        self.find(Some(span), path, message.into(), Kind::Missing)
    }

    /// Records that a file cannot be read.
    pub fn unreadable(&mut self, path: PathBuf, message: String) -> &mut Diagnostic {
        self.find(None, path, message, Kind::Syntax)
    }

    fn find(
        &mut self,
        span: Option<Span>,
        path: PathBuf,
        message: String,
        kind: Kind,
    ) -> &mut Diagnostic {
        // A setting of `[defaults]` is read once for each key.
        let is_known =
            |known: &Diagnostic| span.is_some() && known.span == span && known.message == message;
        if let Some(known) = self.mistakes.iter().position(is_known) {
            return &mut self.mistakes[known];
        }
        self.mistakes.push(Diagnostic {
            span,
            path,
            message,
            help: None,
            also: None,
            kind,
        });
        let last = self.mistakes.len() - 1;
        &mut self.mistakes[last]
    }

    /// Returns a name at `span` as a message may show it.
    pub fn shown_name<'n>(&self, span: Span, name: &'n str) -> &'n str {
        self.files[span.file].shown(name)
    }

    /// Records a warning, for settings that work but may not do what was intended.
    pub fn warn(&mut self, span: Option<Span>, text: impl Into<String>) {
        let warning = (span, text.into());
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Returns the position in the form `file:line:column`.
    pub fn place(&self, span: Span) -> String {
        let file = &self.files[span.file];
        let (line, column) = file.position(span.start);
        format!("{}:{line}:{column}", file.path.display())
    }

    fn line(&self, span: Span) -> usize {
        self.files[span.file].position(span.start).0
    }

    /// Returns the warnings, each with its place.
    ///
    /// # Errors
    /// Returns the report if there is any mistake.
    pub fn finish(mut self) -> Result<Vec<String>, Report> {
        if self.mistakes.is_empty() {
            self.warnings.sort_by_key(|(span, _)| *span);
            let shown = self.warnings.iter().map(|(span, text)| match span {
                Some(span) => format!("{}: {text}", self.place(*span)),
                None => text.clone(),
            });
            return Ok(shown.collect());
        }
        Err(self.into_report())
    }

    /// Returns `true` if no file but the reference could be read.
    pub fn is_hopeless(&self) -> bool {
        self.files.len() <= REFERENCE + 1
    }

    /// Returns `true` if no mistake has been found so far.
    pub fn is_clean(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Returns the report of the mistakes found so far.
    pub fn into_report(mut self) -> Report {
        self.drop_consequences();
        self.mistakes.sort_by_key(|diagnostic| diagnostic.span);
        let mistakes = self
            .mistakes
            .iter()
            .map(|diagnostic| self.report(diagnostic));
        Report::new(mistakes.collect())
    }

    /// Drops reports of missing settings if a file could not be parsed or read, because they may be in it.
    fn drop_consequences(&mut self) {
        let is_syntax = |diagnostic: &&Diagnostic| diagnostic.kind == Kind::Syntax;
        let broken: HashSet<_> = self
            .mistakes
            .iter()
            .filter(is_syntax)
            .map(|diagnostic| diagnostic.span.map(|span| (span.file, self.line(span))))
            .collect();
        if broken.is_empty() {
            return;
        }
        let mut mistakes = std::mem::take(&mut self.mistakes);
        mistakes.retain(|diagnostic| match diagnostic.kind {
            Kind::Syntax => true,
            Kind::Missing => false,
            Kind::Wrong => {
                let line = diagnostic.span.map(|span| (span.file, self.line(span)));
                !broken.contains(&line)
            }
        });
        self.mistakes = mistakes;
    }

    fn report(&self, diagnostic: &Diagnostic) -> Mistake {
        let note = diagnostic
            .also
            .map(|(span, what)| format!("{what}: {}", self.place(span)));
        let place = diagnostic.span.map(|span| {
            let file = &self.files[span.file];
            let (line, column) = file.position(span.start);
            Place {
                line,
                column,
                excerpt: file.excerpt(&(span.start..span.end)),
            }
        });
        Mistake::new(
            diagnostic.path.clone(),
            place,
            diagnostic.message.clone(),
            diagnostic.help.clone(),
            note,
        )
    }
}
