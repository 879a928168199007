//! `cupel completions`: what a shell completes.

use clap_complete::Shell;

use super::Failure;
use super::lines::Lines;

/// Print a shell's completions
///
/// Example: cupel completions bash > /etc/bash_completion.d/cupel
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "cupel", &mut text);
        let mut lines = Lines::new();
        lines.put(&text);
        lines.finish()
    }
}
