//! `cupel man`: manual pages, of the one list of commands that there is.

use std::path::PathBuf;

use clap_mangen::Man;

use super::Failure;
use super::lines::Lines;

/// Print the manual page, or write one for every command
///
/// Example: cupel man --out /usr/local/share/man/man1
#[derive(Debug, clap::Args)]
pub(super) struct ManPages {
    /// Directory that gets a page for every command; made if missing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl ManPages {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Some(out) = self.out else {
            let mut text = Vec::new();
            let rendered = Man::new(super::command()).render(&mut text);
            rendered.map_err(|error| Failure::new(Failure::SOFTWARE, error))?;
            let mut lines = Lines::new();
            lines.put(&text);
            return lines.finish();
        };
        let written = std::fs::create_dir_all(&out)
            .and_then(|()| clap_mangen::generate_to(super::command(), &out));
        written.map_err(|error| {
            let line = format!("cannot write {}: {error}", out.display());
            Failure::new(Failure::CANNOT_CREATE, line)
        })
    }
}
