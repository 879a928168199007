//! The listeners' certificates: where each comes from.

use std::sync::Arc;

use crate::config::{Certificate, Config};
use crate::listen::{Authority, CertificateFiles, Certificates};
use crate::web::AcmeAnswers;

/// Certificates of the listeners, and the files that they come from.
#[derive(Debug, Default)]
pub(super) struct Certified {
    pub(super) public: Option<Arc<Certificates>>,
    pub(super) control: Option<Arc<Certificates>>,
    pub(super) files: Vec<(CertificateFiles, Arc<Certificates>)>,
    pub(super) authority: Option<Authority>,
}

impl Certified {
    /// Reads what the configuration names, for the public listener if there is one; what an
    /// authority is to give may come later.
    pub(super) fn read(
        config: &Config,
        answers: &Arc<AcmeAnswers>,
        public: bool,
    ) -> anyhow::Result<Self> {
        let mut certified = Self::default();
        let mut open = |files: Option<&Certificate>| -> anyhow::Result<_> {
            let Some(files) = files else { return Ok(None) };
            let (files, certificates) = CertificateFiles::open(files)?;
            certified.files.push((files, Arc::clone(&certificates)));
            Ok(Some(certificates))
        };
        let readers = open(config.tls.as_ref().filter(|_| public))?;
        let control = open(config.control_tls.as_ref())?;
        (certified.public, certified.control) = (readers, control);
        if let Some(acme) = config.acme.clone().filter(|_| public) {
            let (directory, empty) = (config.data.join("acme"), Arc::<Certificates>::default());
            certified.public = Some(Arc::clone(&empty));
            let authority = Authority::open(acme, directory, empty, Arc::clone(answers));
            certified.authority = Some(authority);
        }
        Ok(certified)
    }
}
