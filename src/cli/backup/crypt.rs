//! Encryption of backups by age (age-encryption.org/v1): what the `age` command reads, too.

use std::fs::{self, OpenOptions};
use std::io::{BufReader, ErrorKind, Read, Write};
use std::iter;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use age::secrecy::{ExposeSecret as _, SecretString};
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor, IdentityFile, scrypt, x25519};

use crate::cli::Failure;

/// The most work that a passphrase may ask for, as a power of two: sixteen times a second's.
const WORK_MAX: u8 = 22;

/// For whom a backup is encrypted.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(super) struct For {
    /// Who may read it, by age: age1…; may be repeated
    #[arg(long, value_name = "AGE1…")]
    recipient: Vec<String>,
    /// File with a passphrase that opens it instead
    #[arg(long, value_name = "FILE", conflicts_with = "recipient")]
    passphrase_file: Option<PathBuf>,
}

/// How a backup is opened.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct By {
    /// File with the identity that it was encrypted for, as cupel backup key or age-keygen makes it
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// File with its passphrase
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl For {
    /// Encrypts what is written, once it is finished.
    pub(super) fn encrypt<W: Write>(&self, to: W) -> Result<StreamWriter<W>, Failure> {
        let encryptor = match &self.passphrase_file {
            Some(file) => Encryptor::with_user_passphrase(passphrase(file)?),
            None => {
                let recipients = self.recipient.iter().map(|text| {
                    let refused = |_| {
                        let line = format!("--recipient {text}: is no age1… of age's");
                        Failure::new(Failure::USAGE, line)
                    };
                    text.parse::<x25519::Recipient>().map_err(refused)
                });
                let recipients = recipients.collect::<Result<Vec<_>, _>>()?;
                let recipients = recipients.iter().map(|one| one as &dyn age::Recipient);
                let refused = |error| Failure::new(Failure::USAGE, format!("--recipient: {error}"));
                Encryptor::with_recipients(recipients).map_err(refused)?
            }
        };
        let failed = |error| Failure::new(Failure::IO, format!("the backup: {error}"));
        encryptor.wrap_output(to).map_err(failed)
    }
}

impl By {
    /// Decrypts what is read.
    pub(super) fn decrypt<R: Read>(
        &self,
        from: R,
        shown: &str,
    ) -> Result<StreamReader<R>, Failure> {
        let refused = |error: DecryptError| {
            let (code, why) = match error {
                DecryptError::Io(error) => (Failure::IO, error.to_string()),
                DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed => (
                    Failure::DATA,
                    "is for another identity or passphrase".to_owned(),
                ),
                DecryptError::KeyDecryptionFailed => (Failure::DATA, "wrong passphrase".to_owned()),
                other => (Failure::DATA, format!("is no backup: {other}")),
            };
            Failure::new(code, format!("{shown}: {why}"))
        };
        let decryptor = Decryptor::new(from).map_err(refused)?;
        if let Some(file) = &self.passphrase_file {
            let mut identity = scrypt::Identity::new(passphrase(file)?);
            identity.set_max_work_factor(WORK_MAX);
            return decryptor
                .decrypt(iter::once(&identity as _))
                .map_err(refused);
        }
        let identities = match &self.identity {
            Some(file) => identities(file)?,
            None => Vec::new(),
        };
        let identities = identities.iter().map(AsRef::as_ref);
        decryptor.decrypt(identities).map_err(refused)
    }
}

fn identities(file: &Path) -> Result<Vec<Box<dyn age::Identity>>, Failure> {
    let opened = fs::File::open(file).map_err(|error| Failure::no_input(file, &error))?;
    let read = IdentityFile::from_buffer(BufReader::new(opened));
    let read = read.map_err(|error| Failure::no_input(file, &error))?;
    read.into_identities().map_err(|error| {
        let line = format!("{}: {error}", file.display());
        Failure::new(Failure::DATA, line)
    })
}

/// The first line of a file.
fn passphrase(file: &Path) -> Result<SecretString, Failure> {
    let text = fs::read_to_string(file).map_err(|error| Failure::no_input(file, &error))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        let line = format!("{}: has no passphrase in its first line", file.display());
        return Err(Failure::new(Failure::DATA, line));
    }
    Ok(SecretString::from(line.to_owned()))
}

/// Makes an identity in a new file; who it is for others to encrypt for.
pub(super) fn make_identity(file: &Path) -> Result<String, Failure> {
    let identity = x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    let secret = identity.to_string();
    let text = format!("# recipient: {recipient}\n{}\n", secret.expose_secret());
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(file);
    let written = made.and_then(|mut made| made.write_all(text.as_bytes()));
    written.map_err(|error| {
        let why = match error.kind() {
            ErrorKind::AlreadyExists => "it exists already".to_owned(),
            _ => error.to_string(),
        };
        let line = format!("cannot write {}: {why}", file.display());
        Failure::new(Failure::CANNOT_CREATE, line)
    })?;
    Ok(recipient)
}
