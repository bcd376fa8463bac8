//! The TLS configuration: ring, the built-in roots and the caller's authorities.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WantsClientCert, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{Authority, Environment, Error, HostTls, Identity};
use crate::limits;

/// Builds the client configuration of every host without one of its own, or of `host`.
pub(super) fn config(environment: &Environment, host: Option<&HostTls>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for authority in &environment.extra_ca {
        add(&mut roots, authority)?;
    }
    for path in host.into_iter().flat_map(|host| &host.authorities) {
        let pem = read(path)?;
        add(&mut roots, &Authority { origin: path.display().to_string(), pem })?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::TlsSetup)?;
    let insecure = host.is_some_and(|host| host.insecure);
    let builder = if environment.insecure_hosts.is_empty() && !insecure {
        builder.with_root_certificates(roots)
    } else {
        let strict = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|e| Error::Authority { origin: "built-in roots".to_owned(), reason: e.to_string() })?;
        let names = insecure_names(environment);
        let verifier = Arc::new(Lenient { strict, names, all: insecure });
        builder.dangerous().with_custom_certificate_verifier(verifier)
    };
    match host.and_then(|host| host.identities.first()) {
        Some(identity) => with_identity(builder, identity),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn with_identity(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    identity: &Identity,
) -> Result<ClientConfig, Error> {
    let refuse = |path: &Path, reason: String| Error::Identity { path: path.to_owned(), reason };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read(&identity.certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|e| refuse(&identity.certificate, e.to_string()))?;
    if certificates.is_empty() {
        return Err(refuse(&identity.certificate, "it holds no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&identity.key)?).map_err(|e| refuse(&identity.key, e.to_string()))?;
    builder.with_client_auth_cert(certificates, key).map_err(|e| refuse(&identity.key, e.to_string()))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::TlsFile { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(limits::MAX_CERTIFICATE_FILE_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
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
    /// Of a configuration for one host: that host is excepted.
    all: bool,
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
        if self.all || self.names.iter().any(|name| *name == server_name.to_str().to_ascii_lowercase()) {
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
