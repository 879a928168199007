//! The catalogue's local copy: a log of changes, one JSON line each behind its CRC32C.
//!
//! A change is appended and fsynced before it is in force; the whole is written anew, to another
//! file that then takes its name, whenever the store's catalogue is loaded. A line that does not
//! match its sum (a torn tail, a flipped bit) is left out and said; its neighbours stay.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::campaign::{
    ActionKind, CampaignId, LinkKind, LinkNumber, PrivacyLevel, ShortLinkId, TenantId,
};
use crate::domain::destination::Destination;
use crate::domain::time::Micros;

use super::{Campaign, Link, ShortLink};

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

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Campaign(CampaignId),
    Link(CampaignId, LinkNumber),
    Short(String),
}

impl Change {
    pub(super) fn key(&self) -> Key {
        match self {
            Self::Campaign(campaign) => Key::Campaign(campaign.id),
            Self::Link(campaign, link) => Key::Link(*campaign, link.number),
            Self::Short(code, _) => Key::Short(code.clone()),
        }
    }
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
}

impl LocalCopy {
    /// Opens the file, made if missing, and reads its changes.
    pub(super) fn open(path: &Path) -> std::io::Result<(Self, Vec<Change>)> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .mode(0o600)
            .open(path)?;
        let text = std::fs::read(path)?;
        let mut changes = Vec::new();
        let mut damaged = 0_u64;
        for line in text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            match read(line) {
                Some(change) => changes.push(change),
                None => damaged += 1,
            }
        }
        if damaged > 0 {
            let path = path.display();
            tracing::error!(%path, lines = damaged, "catalogue: left out damaged lines");
        }
        Ok((
            Self {
                path: path.to_owned(),
                file,
            },
            changes,
        ))
    }

    /// Adds changes; afterwards they survive a power cut.
    pub(super) fn append(&mut self, changes: &[Change]) -> std::io::Result<()> {
        // A line that an earlier write left unfinished must not swallow this one.
        let mut text = vec![b'\n'];
        for change in changes {
            write(&mut text, change)?;
        }
        self.file.write_all(&text)?;
        self.file.sync_data()
    }

    /// Replaces everything by `changes`.
    pub(super) fn rewrite(&mut self, changes: &[Change]) -> std::io::Result<()> {
        let beside = self.path.with_extension("new");
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&beside)?;
        let mut out = BufWriter::new(file);
        let mut text = Vec::new();
        for change in changes {
            text.clear();
            write(&mut text, change)?;
            out.write_all(&text)?;
        }
        out.into_inner()
            .map_err(std::io::IntoInnerError::into_error)?
            .sync_all()?;
        let next = OpenOptions::new().append(true).open(&beside)?;
        std::fs::rename(&beside, &self.path)?;
        // Before anything that can fail: appends to the old file would be lost.
        self.file = next;
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
    serde_json::from_slice::<Line>(json).ok().map(Change::from)
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

    #[test]
    fn what_was_appended_is_read_back_past_damage() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalogue");
        let (mut copy, nothing) = LocalCopy::open(&path).unwrap();
        assert!(nothing.is_empty());
        copy.append(&[link(1), link(2), link(3)]).unwrap();
        assert_eq!(
            LocalCopy::open(&path).unwrap().1,
            [link(1), link(2), link(3)]
        );

        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes.truncate(bytes.len() - 3);
        std::fs::write(&path, &bytes).unwrap();
        let (mut copy, rest) = LocalCopy::open(&path).unwrap();
        assert_eq!(rest, [link(1)]);
        copy.append(&[link(4)]).unwrap();
        assert_eq!(LocalCopy::open(&path).unwrap().1, [link(1), link(4)]);

        copy.rewrite(&[link(5)]).unwrap();
        copy.append(&[link(6)]).unwrap();
        assert_eq!(LocalCopy::open(&path).unwrap().1, [link(5), link(6)]);
    }
}
