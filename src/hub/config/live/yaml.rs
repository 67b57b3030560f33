//! A broker's config in YAML: one mapping of texts, and a list of origins. A parser of events is enough for that.

use std::io::Read as _;
use std::path::Path;

use saphyr_parser::{Event, Parser};

use crate::hub::config::ConfigError;
use crate::limit;
use crate::obs::secret_file;
use crate::secret::Secret;
use crate::unit::Scalar;

use super::{LiveFile, UrlText, listed};

/// The keys there are.
const KEYS: &str = "ws_port, internal_port, worker_secret, ws_bind, internal_bind, redis_url, redis_channel, topic_ttl, origins";

/// A file that is not such a mapping. Values are never shown: one of them is a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    /// No YAML.
    #[error("line {line}: {what}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Not what is read here.
    #[error("line {line}: only lines like `ws_port: 9000` are read here, and a list of origins")]
    Shape {
        /// Counted from 1.
        line: usize,
    },
    /// A key that nobody knows.
    #[error("line {line}: unknown key `{key}`; there are {KEYS}")]
    Unknown {
        /// Counted from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// A key for the second time.
    #[error("line {line}: `{key}` is set twice")]
    Twice {
        /// Counted from 1.
        line: usize,
        /// The key.
        key: String,
    },
}

/// Reads the file.
pub(super) fn read(file: &Path) -> Result<LiveFile, ConfigError> {
    let failed = |error| ConfigError::Read { path: file.to_owned(), error };
    let mut bytes = Secret::new(Vec::new());
    let most = limit::LIVE_CONFIG_BYTES_MAX;
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(most.saturating_add(1)).read_to_end(bytes.expose_mut()).map_err(failed)?;
    let invalid = |text: String| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, text));
    if bytes.expose().len() as u64 > most {
        return Err(invalid(format!("it has more than {most} bytes")));
    }
    let text = bytes.into_text().ok_or_else(|| invalid("it is not a text".to_owned()))?;
    let mut settings =
        parse(text.expose()).map_err(|error| ConfigError::Yaml { path: file.to_owned(), error })?;
    if settings.worker_secret.is_some() {
        settings.notices.extend(secret_file::exposure(file));
    }
    for (key, value) in [("ws_bind", &settings.ws_bind), ("internal_bind", &settings.internal_bind)] {
        if value.as_deref().is_none_or(str::is_empty) {
            let file = file.display();
            settings.notices.push(format!(
                "{file}: {key} is empty, so other machines do not reach this: it listens on 127.0.0.1"
            ));
        }
    }
    Ok(settings)
}

pub(super) fn parse(text: &str) -> Result<LiveFile, YamlError> {
    let mut events = Events(Parser::new_from_str(text));
    let mut settings = LiveFile::default();
    let mut seen: Vec<String> = Vec::new();
    loop {
        match events.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            // An empty file, or one of comments.
            (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(settings),
            (Event::MappingStart(..), _) => break,
            // A lone value that is nothing.
            (Event::Scalar(text, ..), _) if matches!(&*text, "" | "~" | "null") => {}
            (_, line) => return Err(YamlError::Shape { line }),
        }
    }
    loop {
        let (key, line) = match events.next()? {
            (Event::MappingEnd, _) => break,
            (Event::Scalar(key, ..), line) => (key.into_owned(), line),
            (_, line) => return Err(YamlError::Shape { line }),
        };
        if seen.contains(&key) {
            return Err(YamlError::Twice { line, key });
        }
        set(&mut settings, &key, line, &mut events)?;
        seen.push(key);
    }
    // A second document would be read by nobody.
    loop {
        match events.next()? {
            (Event::StreamEnd, _) => return Ok(settings),
            (Event::DocumentEnd | Event::Nothing, _) => {}
            (_, line) => return Err(YamlError::Shape { line }),
        }
    }
}

fn set(settings: &mut LiveFile, key: &str, line: usize, events: &mut Events<'_>) -> Result<(), YamlError> {
    match key {
        "ws_bind" => settings.ws_bind = Some(events.text()?),
        "internal_bind" => settings.internal_bind = Some(events.text()?),
        "ws_port" => settings.ws_port = events.scalar()?,
        "internal_port" => settings.internal_port = events.scalar()?,
        "topic_ttl" => settings.topic_ttl = events.scalar()?,
        "worker_secret" => settings.worker_secret = Some(Secret::new(events.text()?)),
        "redis_url" => settings.redis_url = Some(UrlText(Secret::new(events.text()?))),
        "redis_channel" => settings.redis_channel = Some(events.text()?),
        "origins" => settings.origins = Some(events.list()?),
        other => {
            let key = other
                .chars()
                .take(limit::LIVE_LABEL_CHARS_MAX)
                .collect::<String>()
                .escape_debug()
                .to_string();
            return Err(YamlError::Unknown { line, key });
        }
    }
    Ok(())
}

struct Events<'a>(Parser<'a, saphyr_parser::StrInput<'a>>);

impl<'a> Events<'a> {
    /// The next event, and the line it begins on.
    fn next(&mut self) -> Result<(Event<'a>, usize), YamlError> {
        match self.0.next() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => {
                Err(YamlError::Syntax { line: error.marker().line(), what: error.info().to_owned() })
            }
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    /// A value, as it is written; one that is nothing is empty.
    fn text(&mut self) -> Result<String, YamlError> {
        match self.next()? {
            (Event::Scalar(text, style, ..), _) => {
                let nothing = style == saphyr_parser::ScalarStyle::Plain && matches!(&*text, "~" | "null");
                Ok(if nothing { String::new() } else { text.into_owned() })
            }
            (_, line) => Err(YamlError::Shape { line }),
        }
    }

    /// The same where an empty one stands for the default.
    fn scalar(&mut self) -> Result<Option<Scalar>, YamlError> {
        Ok(Some(self.text()?).filter(|text| !text.is_empty()).map(Scalar::Text))
    }

    /// A list of texts, or one text with commas.
    fn list(&mut self) -> Result<Vec<String>, YamlError> {
        match self.next()? {
            (Event::Scalar(text, ..), _) => Ok(listed(&text)),
            (Event::SequenceStart(..), _) => {
                let mut texts = Vec::new();
                loop {
                    match self.next()? {
                        (Event::Scalar(text, ..), _) => texts.push(text.into_owned()),
                        (Event::SequenceEnd, _) => return Ok(texts),
                        (_, line) => return Err(YamlError::Shape { line }),
                    }
                }
            }
            (_, line) => Err(YamlError::Shape { line }),
        }
    }
}

#[cfg(test)]
mod tests;
