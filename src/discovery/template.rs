//! Texts with variables in them, such as `{meta.owner|parent|'team'}-{last}`.
//!
//! A text without braces is itself. Between braces stand one or more alternatives, of which the first that is there is
//! taken: `path`, `last` and `parent` are the secret's path, the last part of it and the part before; `meta.NAME` and
//! `tag.NAME` are its custom metadata or tags; `'…'` is a text, which is always there.

use std::collections::BTreeMap;

/// A text with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// A text that stands outside of braces.
    Text(String),
    /// The alternatives between two braces.
    FirstOf(Vec<Variable>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Variable {
    Path,
    Last,
    Parent,
    /// The custom metadata, or tag, of this name, with the way in which it was written.
    Metadata(&'static str, String),
    Text(String),
}

/// The words before the name of an entry of the metadata. They mean the same: a source has either.
const METADATA: [&str; 2] = ["meta", "tag"];

/// The mistakes in a template, as a clause after the setting's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace is not closed.
    #[error("has a `{{` without a `}}`")]
    Unclosed,
    /// A closing brace has no opening one.
    #[error("has a `}}` without a `{{`")]
    Unopened,
    /// A quotation mark is not closed.
    #[error("has a `'` without another one")]
    Unquoted,
    /// A variable is none of those that there are.
    #[error("has an unknown variable in it")]
    Unknown,
}

/// The variables, for help.
pub const VARIABLES: &str = "the variables are `{path}`, `{last}`, `{parent}`, `{meta.NAME}` and `{tag.NAME}`; `{a|b|'text'}` is the first that is there";

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Returns [`TemplateError`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            if from.starts_with('}') {
                return Err(TemplateError::Unopened);
            }
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let (variables, after) = alternatives(&from[1..])?;
            pieces.push(Piece::FirstOf(variables));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// Returns the template that is always this text.
    pub fn plain(text: String) -> Self {
        Self(vec![Piece::Text(text)])
    }

    /// Returns the text if there is no variable in it.
    pub fn constant(&self) -> Option<&str> {
        match &self.0[..] {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns the text for a secret.
    ///
    /// # Errors
    /// Returns the alternatives, as they were written, of which none is there.
    pub fn render(
        &self,
        path: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(piece) => text += piece,
                Piece::FirstOf(all) => {
                    let mut values = all.iter().filter_map(|one| one.value(path, metadata));
                    text += values.next().ok_or_else(|| written(all))?;
                }
            }
        }
        Ok(text)
    }
}

impl Variable {
    fn parse(text: &str) -> Result<Self, TemplateError> {
        match text {
            "path" => return Ok(Self::Path),
            "last" => return Ok(Self::Last),
            "parent" => return Ok(Self::Parent),
            _ => {}
        }
        let (word, name) = text.split_once('.').ok_or(TemplateError::Unknown)?;
        let word = METADATA.into_iter().find(|known| *known == word);
        match word.filter(|_| !name.is_empty()) {
            Some(word) => Ok(Self::Metadata(word, name.to_owned())),
            None => Err(TemplateError::Unknown),
        }
    }

    fn value<'a>(
        &'a self,
        path: &'a str,
        metadata: &'a BTreeMap<String, String>,
    ) -> Option<&'a str> {
        let mut parts = path.rsplit('/');
        match self {
            Self::Path => Some(path),
            Self::Last => parts.next(),
            Self::Parent => parts.nth(1),
            Self::Metadata(_, name) => metadata.get(name).map(String::as_str),
            Self::Text(text) => Some(text),
        }
    }
}

/// Reads alternatives up to the closing brace. Returns what stands behind it, too.
fn alternatives(text: &str) -> Result<(Vec<Variable>, &str), TemplateError> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let (text, after) = quoted.split_once('\'').ok_or(TemplateError::Unquoted)?;
            all.push(Variable::Text(text.to_owned()));
            rest = after.trim_start();
        } else {
            let end = rest.find(['|', '}', '{']).ok_or(TemplateError::Unclosed)?;
            all.push(Variable::parse(rest[..end].trim())?);
            rest = &rest[end..];
        }
        let mut chars = rest.chars();
        match chars.next() {
            Some('}') => return Ok((all, chars.as_str())),
            Some('|') => rest = chars.as_str().trim_start(),
            Some('{') | None => return Err(TemplateError::Unclosed),
            Some(_) => return Err(TemplateError::Unknown),
        }
    }
}

/// Returns variables as they were written.
fn written(all: &[Variable]) -> String {
    let one = |variable: &Variable| match variable {
        Variable::Path => "path".to_owned(),
        Variable::Last => "last".to_owned(),
        Variable::Parent => "parent".to_owned(),
        Variable::Metadata(word, name) => format!("{word}.{name}"),
        Variable::Text(text) => format!("'{text}'"),
    };
    format!("{{{}}}", all.iter().map(one).collect::<Vec<_>>().join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, path: &str, metadata: &[(&str, &str)]) -> Result<String, String> {
        let metadata = metadata.iter().copied();
        let metadata = metadata.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let template = Template::parse(template).expect("a template");
        template.render(path, &metadata.collect())
    }

    #[test]
    fn takes_the_first_alternative_that_is_there() {
        for (template, text) in [
            ("plain", "plain"),
            ("{path}", "llm/team-a/openai"),
            ("{last}", "openai"),
            ("{parent}-{last}", "team-a-openai"),
            ("{meta.owner}", "ada"),
            ("{tag.owner}!", "ada!"),
            ("{meta.none|meta.owner|'x'}", "ada"),
            ("{ meta.none | 'a | b}' }", "a | b}"),
            ("{meta.none|''}", ""),
        ] {
            let rendered = render(template, "llm/team-a/openai", &[("owner", "ada")]);
            assert_eq!(rendered.as_deref(), Ok(text), "{template}");
        }
        assert_eq!(
            render("{parent|'top'}", "openai", &[]).as_deref(),
            Ok("top")
        );
        let none = render("x-{parent|meta.owner}", "openai", &[]);
        assert_eq!(none, Err("{parent|meta.owner}".to_owned()));
    }

    #[test]
    fn refuses_what_is_no_template() {
        for (text, error) in [
            ("{last", TemplateError::Unclosed),
            ("{last|", TemplateError::Unclosed),
            ("a}", TemplateError::Unopened),
            ("{'a}", TemplateError::Unquoted),
            ("{lats}", TemplateError::Unknown),
            ("{}", TemplateError::Unknown),
            ("{meta.}", TemplateError::Unknown),
            ("{owner.name}", TemplateError::Unknown),
            ("{'a'b}", TemplateError::Unknown),
            ("{a{last}}", TemplateError::Unknown),
        ] {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
    }
}
