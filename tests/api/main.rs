//! What users of the API and readers of mails rely on, over real sockets against the real binary.

#[path = "../harness/mod.rs"]
mod harness;

mod bad_input;
mod campaigns;
mod commands;
mod events;
mod pages;
mod redirects;
mod rewriting;
mod short_links;
mod tokens;
