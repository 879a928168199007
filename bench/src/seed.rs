//! Seeds: where they come from, what they give, and the file of those that once failed.

use std::fmt;
use std::fs::OpenOptions;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write as _};
use std::path::Path;
use std::str::FromStr;

/// What a run is repeated with. Written and read as hexadecimal (`0x…`); decimal is read too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        // The standard library seeds its hash maps from the system; that is all we need.
        Self(RandomState::new().build_hasher().finish())
    }

    /// The one that an environment variable names, or a new one. The caller prints it.
    ///
    /// # Errors
    /// The variable is set to something that is no seed: running another would mislead.
    pub fn from_env_or_random(variable: &str) -> Result<Self, NotASeed> {
        match std::env::var(variable) {
            Ok(text) => text.parse(),
            Err(_) => Ok(Self::random()),
        }
    }

    /// A seed for part `number` of a run.
    #[must_use]
    pub fn part(self, number: u64) -> Self {
        let mut random = Random::new(self);
        Self(random.next_u64() ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A text is no seed.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no seed: a number is wanted, decimal or 0x…")]
pub struct NotASeed(String);

impl FromStr for Seed {
    type Err = NotASeed;

    fn from_str(text: &str) -> Result<Self, NotASeed> {
        let text = text.trim();
        let number = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        number.map(Self).map_err(|_| NotASeed(text.to_owned()))
    }
}

/// SplitMix64: small, fast, and the same everywhere. Not for secrets.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The sequence of a seed.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self { state: seed.0 }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is not 0. The bias is below `bound` in 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// From 0 to 1, without 1.
    pub fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds")]
        let bits = (self.next_u64() >> 11) as f64;
        bits / (1_u64 << 53) as f64
    }
}

/// A seed that once made a test fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSeed {
    /// The test that failed.
    pub test: String,
    /// What it ran with.
    pub seed: Seed,
    /// What was seen.
    pub note: String,
}

impl fmt::Display for KeptSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} # {}", self.test, self.seed, self.note)
    }
}

/// Adds a line `test seed # note` to the file, once for each test and seed.
///
/// # Errors
/// The file cannot be read or written.
pub fn keep_seed(file: &Path, kept: &KeptSeed) -> io::Result<()> {
    if seeds_kept(file, &kept.test)?.contains(&kept.seed) {
        return Ok(());
    }
    let one_line = KeptSeed {
        note: kept.note.lines().collect::<Vec<_>>().join("; "),
        ..kept.clone()
    };
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(format!("{one_line}\n").as_bytes())
}

/// The seeds that are kept for a test, oldest first: to be run before a new one. A file that is
/// not there keeps none; empty lines and those that begin with `#` are for people.
///
/// # Errors
/// The file cannot be read, or a line is not `test seed # note`.
pub fn seeds_kept(file: &Path, test: &str) -> io::Result<Vec<Seed>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut seeds = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let mut words = line.split_whitespace();
        let seed = match (words.next(), words.next(), words.next()) {
            (Some(name), Some(seed), None) => seed.parse().ok().map(|seed| (name, seed)),
            _ => None,
        };
        match seed {
            Some((name, seed)) if name == test => seeds.push(seed),
            Some(_) => {}
            None => {
                let wrong = format!("{}:{}: not `test seed # note`", file.display(), at + 1);
                return Err(io::Error::new(io::ErrorKind::InvalidData, wrong));
            }
        }
    }
    Ok(seeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_read_as_it_is_written() {
        let seed = Seed::random();
        assert_eq!(seed.to_string().parse::<Seed>().unwrap(), seed);
        assert_eq!("17".parse::<Seed>().unwrap(), Seed(17));
        assert!("seventeen".parse::<Seed>().is_err());
        assert_ne!(Seed::random(), seed);
        assert_ne!(seed.part(0), seed.part(1));
    }

    #[test]
    fn a_seed_gives_the_same_again() {
        let draw = || {
            let mut random = Random::new(Seed(42));
            (0..1000).map(|_| random.below(10)).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
        for wanted in 0..10 {
            let seen = draw().iter().filter(|drawn| **drawn == wanted).count();
            assert!((60..150).contains(&seen), "{wanted} came {seen} times");
        }
        let mut random = Random::new(Seed(1));
        let mean = (0..10_000).map(|_| random.unit()).sum::<f64>() / 10_000.0;
        assert!((0.48..0.52).contains(&mean), "{mean}");
    }

    #[test]
    fn seeds_are_kept_once_and_replayed_by_test() {
        let file = std::env::temp_dir().join(format!("cupel-bench-{}", Seed::random()));
        assert!(seeds_kept(&file, "kill").unwrap().is_empty());
        let kept = |test: &str, seed| KeptSeed {
            test: test.to_owned(),
            seed: Seed(seed),
            note: "3 missing\nof 9".to_owned(),
        };
        for one in [
            kept("kill", 1),
            kept("full", 2),
            kept("kill", 3),
            kept("kill", 1),
        ] {
            keep_seed(&file, &one).unwrap();
        }
        assert_eq!(seeds_kept(&file, "kill").unwrap(), [Seed(1), Seed(3)]);
        assert_eq!(seeds_kept(&file, "full").unwrap(), [Seed(2)]);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().next(), Some("kill 0x1 # 3 missing; of 9"));
        std::fs::write(&file, "kill\n").unwrap();
        assert!(seeds_kept(&file, "kill").is_err());
        std::fs::remove_file(&file).unwrap();
    }
}
