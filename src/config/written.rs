//! Configuration as people write it in a file; unknown keys are refused.

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;

use crate::domain::campaign::PrivacyLevel;
use crate::journal::Durability;
use crate::telemetry::LogFormat;

use super::{ConfigError, Face, PrivacySignals};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    pub(super) data: Option<PathBuf>,
    pub(super) listen: Option<String>,
    pub(super) control: Option<String>,
    pub(super) base_url: Option<String>,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) act_hosts: Vec<String>,
    pub(super) workers: Option<u8>,
    pub(super) face: Face,
    pub(super) journal: WrittenJournal,
    pub(super) settle: WrittenSettle,
    pub(super) privacy: WrittenPrivacy,
    pub(super) network: WrittenNetwork,
    pub(super) log: WrittenLog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenJournal {
    pub(super) durability: Durability,
    pub(super) sync_wait_ms_max: Option<u64>,
    pub(super) sync_ms_max: Option<u64>,
    pub(super) ring_directory: Option<PathBuf>,
    pub(super) ring_slots: Option<u32>,
    pub(super) segment_bytes_max: Option<u64>,
    pub(super) keep_hours: Option<u64>,
    pub(super) spool_days: Option<u64>,
    pub(super) spool_bytes_max: Option<u64>,
    pub(super) bytes_max: Option<u64>,
    pub(super) side_texts_per_hour_max: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenSettle {
    pub(super) window_seconds: Option<u64>,
    pub(super) records_max: Option<u32>,
    pub(super) paused: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenPrivacy {
    pub(super) level: Option<PrivacyLevel>,
    pub(super) signals: PrivacySignals,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenNetwork {
    pub(super) table: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenLog {
    pub(super) format: LogFormat,
    pub(super) filter: Option<String>,
}

/// Reads a file.
pub(super) fn read(file: &Path) -> Result<Written, ConfigError> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|why| ConfigError(format!("configuration: cannot read {shown}: {why}")))?;
    toml::from_str(&text).map_err(|why| {
        let before = why
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let what = why.message().replace('\n', " ");
        ConfigError(format!("configuration: {shown}:{line}: {what}"))
    })
}
