//! One order: its challenges answered, the certificate fetched.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeHandle, ChallengeType, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

use crate::config::{Acme, AcmeChallenge};
use crate::web::AcmeAnswers;

use super::super::certificates::{Certificates, provider};
use super::AcmeError;

/// How long an authority may take over a challenge or a certificate.
const PATIENCE: Duration = Duration::from_secs(90);

/// Orders a certificate: key and chain, PEM.
pub(super) async fn certificate(
    account: &Account,
    acme: &Acme,
    certificates: &Certificates,
    answers: &AcmeAnswers,
) -> Result<Vec<u8>, AcmeError> {
    let hosts: Vec<_> = acme.hosts.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&hosts)).await?;
    answer(&mut order, acme.challenge, certificates, answers).await?;
    let retries = RetryPolicy::new().timeout(PATIENCE);
    if order.poll_ready(&retries).await? != OrderStatus::Ready {
        return Err(AcmeError::NotHere(why(&mut order).await));
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&retries).await?;
    Ok([key, chain].concat().into_bytes())
}

/// Makes ready for the authority's looks, and asks for them.
async fn answer(
    order: &mut Order,
    challenge: AcmeChallenge,
    certificates: &Certificates,
    answers: &AcmeAnswers,
) -> Result<(), AcmeError> {
    let kind = match challenge {
        AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
        AcmeChallenge::Http01 => ChallengeType::Http01,
    };
    let mut handshakes = HashMap::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let asked = authorization.challenge(kind.clone());
        let mut asked = asked.ok_or_else(|| {
            AcmeError::NotHere("it offers no challenge of the kind that is configured".to_owned())
        })?;
        match challenge {
            AcmeChallenge::TlsAlpn01 => {
                let (host, certified) = handshake(&asked)?;
                handshakes.insert(host, Arc::new(certified));
                certificates.answer_challenges(handshakes.clone());
            }
            AcmeChallenge::Http01 => {
                answers.remember(&asked.token, asked.key_authorization().as_str());
            }
        }
        asked.set_ready().await?;
    }
    Ok(())
}

/// The certificate that answers the authority's handshake for a host.
fn handshake(asked: &ChallengeHandle<'_>) -> Result<(String, CertifiedKey), AcmeError> {
    let host = asked.identifier().to_string();
    let mut params = CertificateParams::new([host.clone()])?;
    let digest = asked.key_authorization();
    let digest = digest.digest();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let secret = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let secret = provider().key_provider.load_private_key(secret);
    let secret = secret.map_err(|error| instant_acme::Error::Other(Box::new(error)))?;
    // Whether they are of each other is not asked: rustls refuses to read that extension.
    Ok((
        host,
        CertifiedKey::new(vec![certificate.der().clone()], secret),
    ))
}

/// What the authority says of challenges that failed.
async fn why(order: &mut Order) -> String {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else {
            continue;
        };
        let host = state.identifier().to_string();
        for error in state.challenges.iter().filter_map(|it| it.error.as_ref()) {
            reasons.push(format!("{host}: {error}"));
        }
    }
    if reasons.is_empty() {
        reasons.push("it does not say why".to_owned());
    }
    reasons.join("; ")
}
