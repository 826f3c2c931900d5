//! Packages: zip files whose members are parts of a document. Members are unpacked one at a time, each up to a limit.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::{Error, Limits};

/// More members are no document.
const MOST_MEMBERS: usize = 20_000;

/// An open package.
pub(super) struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    format: &'static str,
    /// What may still be unpacked, over all members.
    left: usize,
    limits: Limits,
}

// === impl Package ===

impl<'a> Package<'a> {
    pub(super) fn open(format: &'static str, bytes: &'a [u8], limits: Limits) -> Result<Self, Error> {
        let broken = |reason: String| Error::Broken { format, reason };
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken(error.to_string()))?;
        if archive.len() > MOST_MEMBERS {
            return Err(broken(format!(
                "it has {} parts, of at most {MOST_MEMBERS}",
                archive.len()
            )));
        }
        Ok(Self {
            archive,
            format,
            left: limits.text_bytes.saturating_mul(4),
            limits,
        })
    }

    /// A member, whole. None: there is none of this name.
    pub(super) fn member(&mut self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let format = self.format;
        let broken = |reason: String| Error::Broken { format, reason };
        let file = match self.archive.by_name(name) {
            Ok(file) => file,
            Err(zip::result::ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(broken(format!("{name}: {error}"))),
        };
        // The size that it declares may be a lie, so what comes out is counted.
        let most = self.limits.text_bytes.saturating_mul(2).min(self.left);
        let mut bytes = Vec::new();
        let read = file.take(most as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| broken(format!("{name}: {error}")))?;
        if bytes.len() > most {
            let what = format!("its part {name} unpacks to more than {most} bytes");
            return Err(Error::TooLarge { what });
        }
        self.left -= bytes.len();
        Ok(Some(bytes))
    }

    /// A member that the format cannot be without, as text.
    pub(super) fn required(&mut self, name: &str) -> Result<String, Error> {
        let format = self.format;
        let missing = || Error::Broken {
            format,
            reason: format!("its part {name} is missing"),
        };
        super::decode::text(&self.member(name)?.ok_or_else(missing)?)
    }
}

/// Parses XML whole, without entities of its own and with at most so many nodes as there can be blocks and their parts.
pub(super) fn xml<'t>(
    format: &'static str,
    name: &str,
    text: &'t str,
    limits: Limits,
) -> Result<roxmltree::Document<'t>, Error> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: false,
        nodes_limit: u32::try_from(limits.blocks.saturating_mul(32)).unwrap_or(u32::MAX),
        ..roxmltree::ParsingOptions::default()
    };
    roxmltree::Document::parse_with_options(text, options).map_err(|error| Error::Broken {
        format,
        reason: format!("{name}: {error}"),
    })
}
