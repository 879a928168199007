//! Who calls the control API: a key, or whoever may open the control socket.
//!
//! A handler takes [`MayMint`], [`MayRead`] or [`IsAdmin`] as an argument: having the value is
//! the proof.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use crate::store::Scope;

use super::Parts;
use super::error::WebError;

const PREFIX: &str = "cpl_";

/// Marks a connection through the control socket, whose file mode lets only its owner in.
#[derive(Clone, Copy, Debug)]
pub struct LocalSocket;

/// A key that was just made: shown once, stored as its hash.
#[derive(Debug)]
pub struct NewKey {
    text: String,
}

impl NewKey {
    /// 256 random bits.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Self {
            text: format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes)),
        })
    }

    /// The key as callers send it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the store keeps: 256 random bits need no slow hash.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash(&self.text)
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

async fn authorise(request: HttpRequest, needed: Scope) -> Result<(), WebError> {
    if request.conn_data::<LocalSocket>().is_some() {
        return Ok(());
    }
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let key = header.and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    let key = key.filter(|key| key.starts_with(PREFIX));
    let key = key.ok_or(WebError::Unauthorised("send Authorization: Bearer cpl_…"))?;
    let parts = request.app_data::<web::Data<Parts>>();
    let parts = parts.ok_or_else(|| WebError::Internal("no parts".to_owned()))?;
    let found = parts.store()?.api_key(&hash(key)).await?;
    let found = found.filter(|found| found.revoked_at.is_none());
    let found = found.ok_or(WebError::Unauthorised("this API key is not known"))?;
    if found.scope.allows(needed) {
        Ok(())
    } else {
        Err(WebError::Scope(needed))
    }
}

macro_rules! permission {
    ($(#[$meta:meta])* $name:ident, $scope:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(super) struct $name(());

        impl FromRequest for $name {
            type Error = WebError;
            type Future = Pin<Box<dyn Future<Output = Result<Self, WebError>>>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                let request = request.clone();
                Box::pin(async move { authorise(request, $scope).await.map(|()| Self(())) })
            }
        }
    };
}

permission! {
    /// May use campaigns, links, rewriting, minting and short links.
    MayMint, Scope::Mint
}
permission! {
    /// May read statistics and events.
    MayRead, Scope::Read
}
permission! {
    /// May do everything.
    IsAdmin, Scope::Admin
}
