//! The catalogue's local copy: a log of changes, one JSON line each behind its CRC32C.
//!
//! A change is appended and fsynced before it is in force; the whole is written anew, to another
//! file that then takes its name, whenever the store's catalogue is loaded. A line that does not
//! match its sum (a torn tail, a flipped bit) is left out and said; its neighbours stay.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::campaign::{
    ActionKind, CampaignId, LinkKind, LinkNumber, PrivacyLevel, ShortLinkId, TenantId,
};
use crate::domain::destination::Destination;
use crate::domain::time::Micros;

use super::{Campaign, Link, ShortLink};

/// Far longer than any line that is written here.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// What the line of a short link has beside code and URL, its id being of seven digits.
const SHORT_LINE_BYTES: usize = 91;
const BUFFER_BYTES: usize = 64 << 10;

/// One change of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A campaign was made or edited; its links stay.
    Campaign(Campaign),
    /// A link was registered or edited.
    Link(CampaignId, Link),
    /// A short link was made or edited.
    Short(String, ShortLink),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
enum Line {
    Campaign {
        id: CampaignId,
        tenant: TenantId,
        home: String,
        level: PrivacyLevel,
    },
    Link {
        campaign: CampaignId,
        number: LinkNumber,
        kind: LinkKind,
        action: Option<ActionKind>,
        url: String,
        disabled: bool,
    },
    Short {
        id: ShortLinkId,
        code: String,
        url: String,
        expires_at: Option<i64>,
        disabled: bool,
    },
}

/// A line that can be a short link only.
#[derive(Deserialize)]
struct ShortLine {
    #[serde(rename = "is")]
    _is: Short,
    id: ShortLinkId,
    code: String,
    url: String,
    expires_at: Option<i64>,
    disabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Short {
    Short,
}

impl From<&Change> for Line {
    fn from(change: &Change) -> Self {
        match change {
            Change::Campaign(one) => Self::Campaign {
                id: one.id,
                tenant: one.tenant,
                home: one.home.as_str().to_owned(),
                level: one.level,
            },
            Change::Link(campaign, link) => Self::Link {
                campaign: *campaign,
                number: link.number,
                kind: link.kind,
                action: link.action,
                url: link.destination.as_str().to_owned(),
                disabled: link.disabled,
            },
            Change::Short(code, link) => Self::Short {
                id: link.id,
                code: code.clone(),
                url: link.destination.as_str().to_owned(),
                expires_at: link.expires_at.map(Micros::get),
                disabled: link.disabled,
            },
        }
    }
}

impl From<Line> for Change {
    fn from(line: Line) -> Self {
        match line {
            Line::Campaign {
                id,
                tenant,
                home,
                level,
            } => Self::Campaign(Campaign {
                id,
                tenant,
                home: Destination::stored(home),
                level,
                links: Vec::new(),
            }),
            Line::Link {
                campaign,
                number,
                kind,
                action,
                url,
                disabled,
            } => {
                let destination = Destination::stored(url);
                Self::Link(
                    campaign,
                    Link {
                        number,
                        kind,
                        action,
                        destination,
                        disabled,
                    },
                )
            }
            Line::Short {
                id,
                code,
                url,
                expires_at,
                disabled,
            } => {
                let destination = Destination::stored(url);
                let expires_at = expires_at.map(Micros::new);
                Self::Short(
                    code,
                    ShortLink {
                        id,
                        destination,
                        expires_at,
                        disabled,
                    },
                )
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct LocalCopy {
    path: PathBuf,
    file: File,
    /// Whole lines in the file; `None` if others are among them.
    lines: Option<usize>,
}

impl LocalCopy {
    /// How many short links may stand in the file, and how long their texts are in sum. Counts
    /// line ends, which takes a moment where reading takes a minute.
    pub(super) fn short_links_at_most(path: &Path) -> std::io::Result<(usize, usize)> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((0, 0)),
            file => file?,
        };
        let mut input = BufReader::with_capacity(BUFFER_BYTES, file);
        let (mut links, mut bytes) = (0, 0);
        loop {
            match input.skip_until(b'\n')? {
                0 => return Ok((links, bytes)),
                line => {
                    links += 1;
                    bytes += line.saturating_sub(SHORT_LINE_BYTES);
                }
            }
        }
    }

    /// Opens the file, made if missing, and gives each of its changes to `take`.
    pub(super) fn open(path: &Path, mut take: impl FnMut(Change)) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).read(true).mode(0o600);
        let file = match options.open(path) {
            // A disk that can only be read now holds links all the same; no change can be made.
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => File::open(path)?,
            file => file?,
        };
        let mut input = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
        let (mut line, mut lines, mut damaged) = (Vec::new(), 0, 0_u64);
        while input
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?
            > 0
        {
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            match read(text) {
                Some(change) => {
                    lines += 1;
                    take(change);
                }
                None if text.is_empty() => {}
                None => damaged += 1,
            }
            line.clear();
        }
        if damaged > 0 {
            let path = path.display();
            tracing::error!(%path, lines = damaged, "catalogue: left out damaged lines");
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            lines: (damaged == 0).then_some(lines),
        })
    }

    /// Whether the file has so many lines and not one to be left out.
    pub(super) fn has_only(&self, lines: usize) -> bool {
        self.lines == Some(lines)
    }

    /// Adds changes; afterwards they survive a power cut.
    pub(super) fn append(&mut self, changes: &[Change]) -> std::io::Result<()> {
        // A line that an earlier write left unfinished must not swallow this one.
        let mut text = vec![b'\n'];
        for change in changes {
            write(&mut text, change)?;
        }
        let lines = self.lines.take();
        self.file.write_all(&text)?;
        self.file.sync_data()?;
        self.lines = lines.map(|lines| lines + changes.len());
        Ok(())
    }

    /// Replaces everything by `changes`.
    pub(super) fn rewrite(&mut self, changes: impl Iterator<Item = Change>) -> std::io::Result<()> {
        let beside = self.path.with_extension("new");
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&beside)?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
        let (mut text, mut lines) = (Vec::new(), 0);
        for change in changes {
            text.clear();
            write(&mut text, &change)?;
            out.write_all(&text)?;
            lines += 1;
        }
        out.into_inner()
            .map_err(std::io::IntoInnerError::into_error)?
            .sync_all()?;
        let next = OpenOptions::new().append(true).open(&beside)?;
        std::fs::rename(&beside, &self.path)?;
        // Before anything that can fail: appends to the old file would be lost.
        self.file = next;
        self.lines = Some(lines);
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }
}

fn write(to: &mut Vec<u8>, change: &Change) -> std::io::Result<()> {
    let json = serde_json::to_vec(&Line::from(change))?;
    write!(to, "{:08x} ", crc32c::crc32c(&json))?;
    to.extend_from_slice(&json);
    to.push(b'\n');
    Ok(())
}

fn read(line: &[u8]) -> Option<Change> {
    let (sum, json) = line.split_at_checked(9)?;
    let sum = std::str::from_utf8(sum.get(..8)?).ok()?;
    if u32::from_str_radix(sum, 16).ok()? != crc32c::crc32c(json) {
        return None;
    }
    // Where any kind may come, serde sets every member aside until it knows which; nearly all
    // lines of a long file are short links.
    let short = serde_json::from_slice(json).map(|line: ShortLine| Line::Short {
        id: line.id,
        code: line.code,
        url: line.url,
        expires_at: line.expires_at,
        disabled: line.disabled,
    });
    let line = short.or_else(|_| serde_json::from_slice(json)).ok()?;
    Some(Change::from(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(number: u32) -> Change {
        Change::Link(
            CampaignId::new(1).unwrap(),
            Link {
                number: LinkNumber::new(number).unwrap(),
                kind: LinkKind::Content,
                action: None,
                destination: Destination::parse("https://example.com/ä?{v1}").unwrap(),
                disabled: number == 2,
            },
        )
    }

    fn open(path: &Path) -> (LocalCopy, Vec<Change>) {
        let mut changes = Vec::new();
        let copy = LocalCopy::open(path, |change| changes.push(change)).unwrap();
        (copy, changes)
    }

    #[test]
    fn what_was_appended_is_read_back_past_damage() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalogue");
        let (mut copy, nothing) = open(&path);
        assert!(nothing.is_empty());
        copy.append(&[link(1), link(2), link(3)]).unwrap();
        assert!(copy.has_only(3));
        let (copy, all) = open(&path);
        assert_eq!(all, [link(1), link(2), link(3)]);
        assert!(copy.has_only(3));

        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes.truncate(bytes.len() - 3);
        std::fs::write(&path, &bytes).unwrap();
        let (mut copy, rest) = open(&path);
        assert_eq!(rest, [link(1)]);
        copy.append(&[link(4)]).unwrap();
        assert!(!copy.has_only(2), "damage is in it");
        assert_eq!(open(&path).1, [link(1), link(4)]);

        copy.rewrite([link(5)].into_iter()).unwrap();
        copy.append(&[link(6)]).unwrap();
        assert!(copy.has_only(2));
        assert_eq!(open(&path).1, [link(5), link(6)]);
    }

    #[test]
    fn a_line_without_end_is_damage_and_its_neighbours_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalogue");
        let (mut copy, _) = open(&path);
        copy.append(&[link(1)]).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&vec![0; 1 << 20]).unwrap();
        copy.append(&[link(2)]).unwrap();
        assert_eq!(open(&path).1, [link(1), link(2)]);
    }
}
