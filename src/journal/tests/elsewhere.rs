//! Rings on another file system are found again whatever the configuration says by then, and are
//! nobody else's.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{hit, numbers};
use crate::domain::time::Micros;
use crate::journal::{Journal, JournalError, JournalOptions, Survey, rings};

fn options(rings: Option<&Path>) -> JournalOptions {
    JournalOptions {
        ring_directory: rings.map(Path::to_owned),
        ..JournalOptions::default()
    }
}

fn open(directory: &Path, rings: Option<&Path>) -> Arc<Journal> {
    Journal::open(directory, options(rings)).unwrap()
}

/// Keeps hits that nobody drains.
fn keep(journal: &Arc<Journal>, hits: std::ops::RangeInclusive<u32>) {
    let mut keeper = journal.keeper().unwrap();
    for n in hits {
        keeper.keep(&hit(n), &|_| Vec::new()).unwrap();
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn rings_move_between_file_systems_from_start_to_start() {
    let [data, one, other] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let [data, one, other] = [&data, &one, &other].map(tempfile::TempDir::path);
    keep(&open(data, None), 1..=3);
    keep(&open(data, Some(one)), 4..=6);
    let [made] = files(one).try_into().unwrap();
    assert_eq!(std::fs::read_link(data.join(rings::NAME)).unwrap(), made);
    keep(&open(data, Some(other)), 7..=9);
    assert!(files(one).is_empty(), "deleted when nothing named it");
    let journal = open(data, None);
    assert_eq!(numbers(&journal), (1..=9).collect::<Vec<_>>());
    assert!(files(other).is_empty());
    assert!(!data.join(rings::NAME).is_symlink());
}

#[test]
fn rings_of_a_living_process_are_read_by_a_survey_and_refused_to_a_copy() {
    let [data, ring, copy] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let [data, ring, copy] = [&data, &ring, &copy].map(tempfile::TempDir::path);
    let journal = open(data, Some(ring));
    keep(&journal, 1..=3);
    let survey = Survey::open(data).unwrap().unwrap();
    let report = survey.check(Micros::default(), &mut |_| ()).unwrap();
    assert_eq!(report.rings.unwrap().unlogged.hits, 3);

    for file in files(data) {
        let to = copy.join(file.file_name().unwrap());
        match std::fs::read_link(&file) {
            Ok(target) => std::os::unix::fs::symlink(target, to).unwrap(),
            Err(_) => _ = std::fs::copy(file, to).unwrap(),
        }
    }
    let refused = Journal::open(copy, options(None));
    assert!(matches!(refused, Err(JournalError::InUse { .. })));
    assert_eq!(files(ring).len(), 1, "not a byte of it was touched");
    drop(journal);
    assert_eq!(numbers(&open(data, None)), [1, 2, 3]);
}

#[test]
fn rings_that_are_gone_cost_what_was_in_them_and_no_start() {
    let [data, ring] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let [data, ring] = [&data, &ring].map(tempfile::TempDir::path);
    keep(&open(data, Some(ring)), 1..=3);
    // As a machine does to a tmpfs when it starts.
    std::fs::remove_dir_all(ring).unwrap();
    let journal = open(data, Some(ring));
    assert!(numbers(&journal).is_empty());
    keep(&journal, 4..=6);
    drop(journal);
    assert_eq!(numbers(&open(data, None)), [4, 5, 6]);
}

#[test]
fn a_directory_that_others_may_write_is_refused_and_what_starts_left_there_is_deleted() {
    let [data, ring] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let [data, ring] = [&data, &ring].map(tempfile::TempDir::path);
    let edge = open(data, None).edge();
    let allow = |mode| std::fs::set_permissions(ring, Permissions::from_mode(mode)).unwrap();
    allow(0o777);
    let refused = Journal::open(data, options(Some(ring))).unwrap_err();
    assert!(
        refused.to_string().contains("others may write there"),
        "{refused}"
    );
    assert!(files(ring).is_empty());
    allow(0o1777);
    let left = ring.join(format!("cupel-{edge}-00000001.rings"));
    let of_others = ring.join("cupel-00000000-00000001.rings");
    for path in [&left, &of_others] {
        std::fs::write(path, b"").unwrap();
    }
    keep(&open(data, Some(ring)), 1..=3);
    assert!(!left.exists() && of_others.exists());
    assert_eq!(files(ring).len(), 2);
    assert_eq!(numbers(&open(data, None)), [1, 2, 3]);
}
