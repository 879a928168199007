//! What is kept of an authority: the account's key, and the certificate with its key, below a line
//! that names the authority.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use instant_acme::{Account, AccountCredentials, NewAccount};
use serde::{Deserialize, Serialize};

use crate::config::{Acme, Certificate};
use crate::whole_file;

use super::super::certificates::Certificates;
use super::AcmeError;

/// The line of `certificate.pem` before the certificate; PEM is read from its first dashes on.
const FROM: &str = "authority: ";

/// A directory, for its owner alone; made when something is kept.
#[derive(Debug)]
pub(super) struct Kept {
    directory: PathBuf,
}

/// An account, and the authority that it is known to.
#[derive(Serialize, Deserialize)]
struct KeptAccount {
    authority: String,
    credentials: AccountCredentials,
}

impl Kept {
    pub(super) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Puts the certificate that is kept into force, and says which authority it is from; `None` if
    /// there is none.
    pub(super) fn take_kept(&self, into: &Certificates) -> Result<Option<String>, AcmeError> {
        let Some(kept) = self.read("certificate.pem")? else {
            return Ok(None);
        };
        self.take(&kept, into)?;
        let text = String::from_utf8_lossy(&kept);
        let first = text.lines().next().unwrap_or_default();
        Ok(Some(
            first.strip_prefix(FROM).unwrap_or_default().to_owned(),
        ))
    }

    /// Keeps an authority's certificate and its key, PEM.
    pub(super) fn keep_certificate(&self, authority: &str, pem: &[u8]) -> Result<(), AcmeError> {
        let from = format!("{FROM}{authority}\n");
        self.write("certificate.pem", &[from.as_bytes(), pem].concat())
    }

    /// Puts a certificate into force.
    pub(super) fn take(&self, pem: &[u8], certificates: &Certificates) -> Result<(), AcmeError> {
        let path = self.directory.join("certificate.pem");
        let files = Certificate {
            chain: path.clone(),
            key: path,
        };
        Ok(certificates.take(&files, pem, pem)?)
    }

    /// The account at this authority; made where there is none.
    pub(super) async fn account(&self, acme: &Acme) -> Result<Account, AcmeError> {
        let builder = match &acme.ca_certificate {
            Some(root) => Account::builder_with_root(root)?,
            None => Account::builder()?,
        };
        let kept = self.read("account.json")?;
        // One that cannot be read is made anew: nothing is lost with it.
        let kept = kept.and_then(|bytes| serde_json::from_slice::<KeptAccount>(&bytes).ok());
        if let Some(kept) = kept.filter(|kept| kept.authority == acme.directory) {
            return Ok(builder.from_credentials(kept.credentials).await?);
        }
        let contact = acme
            .contact
            .as_ref()
            .map(|contact| format!("mailto:{contact}"));
        let contact: Vec<_> = contact.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let authority = acme.directory.clone();
        let (account, credentials) = builder.create(&new, authority.clone(), None).await?;
        let kept = KeptAccount {
            authority,
            credentials,
        };
        let json = serde_json::to_vec(&kept).map_err(instant_acme::Error::from)?;
        self.write("account.json", &json)?;
        Ok(account)
    }

    /// Lets the account go: the authority no longer knows it.
    pub(super) fn forget_account(&self) -> Result<(), AcmeError> {
        let path = self.directory.join("account.json");
        fs::remove_file(&path).map_err(|source| AcmeError::Disk { path, source })
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, AcmeError> {
        let path = self.directory.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(AcmeError::Disk { path, source }),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), AcmeError> {
        let path = self.directory.join(name);
        let mut directory = DirBuilder::new();
        let made = directory
            .recursive(true)
            .mode(0o700)
            .create(&self.directory);
        let written = made.and_then(|()| whole_file::write(&path, bytes));
        written.map_err(|source| AcmeError::Disk { path, source })
    }
}
