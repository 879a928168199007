//! How an authority looks at a host: by HTTP, and by a handshake.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::harness::PATIENCE;

/// Sends a request to a port of this machine, and returns what comes until the end.
pub(super) fn get(port: u16, host: &str, path: &str) -> std::io::Result<String> {
    let mut connection = connect(port)?;
    write!(
        connection,
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    )?;
    let mut said = String::new();
    connection.read_to_string(&mut said)?;
    Ok(said)
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    Ok(connection)
}

/// The digest in the certificate that a host shows to an authority (RFC 8737).
pub(super) fn handshake(port: u16, host: &str) -> std::io::Result<Vec<u8>> {
    let mut config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut connection = connect(port)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut connection)?;
    }
    let certificates = tls.peer_certificates().unwrap();
    let (_, certificate) = X509Certificate::from_der(&certificates[0]).unwrap();
    let named = certificate.subject_alternative_name().unwrap().unwrap();
    assert_eq!(named.value.general_names.len(), 1);
    let digest = certificate
        .extensions()
        .iter()
        .find(|it| it.oid.to_id_string() == "1.3.6.1.5.5.7.1.31" && it.critical);
    // An octet string in the octet string of the extension.
    Ok(digest.unwrap().value[2..].to_vec())
}

/// Takes any certificate: the authority looks at what stands in it.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
