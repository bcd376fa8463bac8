//! The TLS configuration: ring, the built-in roots and the caller's authorities.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{Authority, Environment, Error};

/// Builds the client configuration.
pub(super) fn config(environment: &Environment) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for authority in &environment.extra_ca {
        add(&mut roots, authority)?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::TlsSetup)?;
    if environment.insecure_hosts.is_empty() {
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    }
    let strict = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|e| Error::Authority { origin: "built-in roots".to_owned(), reason: e.to_string() })?;
    let verifier = Arc::new(Lenient { strict, names: insecure_names(environment) });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Takes what is usable of a bundle: those of systems hold certificates that this TLS library does not read.
fn add(roots: &mut RootCertStore, authority: &Authority) -> Result<(), Error> {
    let mut reason = "it holds no certificate".to_owned();
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(&authority.pem) {
        let added = certificate.map_err(|e| e.to_string()).and_then(|c| roots.add(c).map_err(|e| e.to_string()));
        if let Err(refusal) = added {
            reason = refusal;
        }
    }
    if roots.len() > before { Ok(()) } else { Err(Error::Authority { origin: authority.origin.clone(), reason }) }
}

fn insecure_names(environment: &Environment) -> Vec<String> {
    let bare = |host: &String| {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => name,
            _ => host,
        };
        name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
    };
    environment.insecure_hosts.iter().map(bare).collect()
}

/// Verifies every certificate but those of the hosts that the user excepted by name.
#[derive(Debug)]
struct Lenient {
    strict: Arc<WebPkiServerVerifier>,
    names: Vec<String>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.names.iter().any(|name| *name == server_name.to_str().to_ascii_lowercase()) {
            return Ok(ServerCertVerified::assertion());
        }
        self.strict.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.strict.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.strict.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}
