//! Every mistake of a configuration, in one report that is safe to print and to log.

use std::fmt;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::mask::Excerpt;

/// All mistakes in a configuration, in the order of the files.
#[derive(Clone, Debug)]
pub struct Report {
    mistakes: Vec<Mistake>,
}

/// One mistake. It holds no value of the configuration.
#[derive(Clone, Debug)]
pub struct Mistake {
    file: PathBuf,
    place: Option<Place>,
    message: String,
    help: Option<String>,
    note: Option<String>,
}

/// The place of a mistake in its file.
#[derive(Clone, Debug)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    pub excerpt: Excerpt,
}

impl Mistake {
    pub(super) fn new(
        file: PathBuf,
        place: Option<Place>,
        message: String,
        help: Option<String>,
        note: Option<String>,
    ) -> Self {
        Self {
            file,
            place,
            message,
            help,
            note,
        }
    }

    /// Returns the file it is in.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the line, from 1; `None` if the mistake concerns the file as a whole.
    pub fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.line)
    }

    /// Returns the column, in characters from 1.
    pub fn column(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.column)
    }

    /// Returns the message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what to write instead.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Returns the title with the position, then the excerpt with the remedy.
    ///
    /// The position is an element of its own because it cannot be computed from the excerpt, in which masked text has
    /// another length.
    fn groups(&self) -> Vec<Group<'_>> {
        let title = Level::ERROR.primary_title(self.message.as_str());
        let mut origin = Origin::path(self.file.to_string_lossy());
        let mut body = Group::with_level(Level::ERROR);
        if let Some(place) = &self.place {
            origin = origin.line(place.line).char_column(place.column);
            let mark = AnnotationKind::Primary.span(place.excerpt.mark.clone());
            let snippet = Snippet::source(place.excerpt.line.as_str())
                .line_start(place.line)
                .annotation(mark);
            body = body.element(snippet);
        }
        if let Some(note) = &self.note {
            body = body.element(Level::NOTE.message(note.as_str()));
        }
        if let Some(help) = &self.help {
            body = body.element(Level::HELP.message(help.as_str()));
        }
        vec![Group::with_title(title).element(origin), body]
    }
}

/// One line, for a log: `file:line:column: what is wrong; what to write instead`.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {}", self.message)?;
        for more in self.note.iter().chain(&self.help) {
            write!(f, "; {more}")?;
        }
        Ok(())
    }
}

impl Report {
    pub(super) fn new(mistakes: Vec<Mistake>) -> Self {
        Self { mistakes }
    }

    /// Returns the mistakes, in the order of the files. There is at least one.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// Renders the whole report for people, in colour if `colour` is set.
    pub fn render(&self, colour: bool) -> String {
        let renderer = match colour {
            true => Renderer::styled(),
            false => Renderer::plain(),
        };
        let mut text = String::new();
        for mistake in &self.mistakes {
            let rendered = renderer.render(&mistake.groups());
            let mut lines: Vec<_> = rendered.lines().collect();
            // The place ends with a bar, and the excerpt begins with one.
            lines.dedup();
            text.push_str(&lines.join("\n"));
            text.push_str("\n\n");
        }
        let count = match self.mistakes.len() {
            1 => "1 mistake in the configuration".to_owned(),
            more => format!("{more} mistakes in the configuration"),
        };
        let summary = Group::with_title(Level::ERROR.primary_title(count));
        text.push_str(&renderer.render(&[summary]));
        text
    }
}

impl<'a> IntoIterator for &'a Report {
    type Item = &'a Mistake;
    type IntoIter = std::slice::Iter<'a, Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.mistakes.iter()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}
