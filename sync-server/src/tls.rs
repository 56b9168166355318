//! TLS: the certificate that the server shows, read again when it changes, and
//! the self-signed one of a station that has no name on the internet.
//!
//! 1. [`make_station_certificate`] makes key and certificate; what phones pin
//!    is the key, so a certificate can be made anew without any phone noticing.
//! 2. [`Tls::open`] reads both; [`Tls::acceptor`] shows them to callers.
//! 3. [`Tls::reload`] reads them again: new connections get the new one.
//!
//! What can go wrong: (2) the files do not read or do not belong together: the
//! server does not start; (3) the same: it goes on with what it has, and says so.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use shaodao_core::sync::pin::Pin;

/// File name of a station's certificate in the data folder.
pub const STATION_CERTIFICATE: &str = "station-certificate.pem";
/// File name of a station's private key in the data folder.
pub const STATION_KEY: &str = "station-key.pem";

/// The certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file does not read.
    #[error("{path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// Certificate and key do not belong together, or TLS refuses them.
    #[error("the certificate cannot be used: {0}")]
    Rustls(#[from] rustls::Error),
    /// A station certificate could not be made.
    #[error("the certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// The certificate in use.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    shown: RwLock<Arc<CertifiedKey>>,
}

impl Tls {
    /// Reads certificate chain and key, both PEM.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn open(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let shown = read(certificate, key, &provider)?;
        Ok(Arc::new(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            provider,
            shown: RwLock::new(Arc::new(shown)),
        }))
    }

    /// Reads both files again; new connections get what they hold.
    ///
    /// # Errors
    /// See [`TlsError`]; the old certificate stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(read(&self.certificate, &self.key, &self.provider)?);
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Takes callers in, over TLS 1.2 or 1.3.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, TlsError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// What phones pin.
    ///
    /// # Errors
    /// The certificate has no readable key.
    pub fn pin(&self) -> Result<Pin, TlsError> {
        pin_of(&self.shown().cert)
    }

    fn shown(&self) -> Arc<CertifiedKey> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        shown.clone()
    }
}

impl ResolvesServerCert for Tls {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// A station's certificate, and what to tell phones about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationCertificate {
    /// Where the certificate is.
    pub certificate: PathBuf,
    /// Where its key is; readable by its owner only.
    pub key: PathBuf,
    /// What phones pin.
    pub pin: Pin,
    /// Whether an earlier key was kept, so that phones that pinned it need not
    /// be told.
    pub kept_key: bool,
}

/// Makes a self-signed certificate for these names and addresses in `folder`.
/// An earlier key there is kept, and with it the pin, unless `new_key`.
///
/// # Errors
/// See [`TlsError`].
pub fn make_station_certificate(
    folder: &Path,
    names: &[String],
    new_key: bool,
) -> Result<StationCertificate, TlsError> {
    let file = |name: &str| folder.join(name);
    let (certificate, key) = (file(STATION_CERTIFICATE), file(STATION_KEY));
    let kept_key = !new_key && key.is_file();
    let pair = match kept_key {
        true => {
            let pem = std::fs::read_to_string(&key).map_err(|error| unreadable(&key, &error))?;
            KeyPair::from_pem(&pem)?
        }
        false => KeyPair::generate()?,
    };
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Shaodao station");
    let made = params.self_signed(&pair)?;
    if !kept_key {
        write(&key, &pair.serialize_pem(), 0o600)?;
    }
    write(&certificate, &made.pem(), 0o644)?;
    Ok(StationCertificate {
        pin: pin_of(&[made.der().clone()])?,
        certificate,
        key,
        kept_key,
    })
}

fn read(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
    Ok(CertifiedKey::from_der(chain, secret, provider)?)
}

fn pin_of(chain: &[CertificateDer<'_>]) -> Result<Pin, TlsError> {
    let first = chain
        .first()
        .ok_or(rustls::Error::NoCertificatesPresented)?;
    let parsed = ParsedCertificate::try_from(first)?;
    Ok(Pin::of_key_info(&parsed.subject_public_key_info()))
}

/// Writes beside the target and renames, so that a reader never sees half.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let beside = path.with_extension("new");
    let written = (|| {
        let _ = std::fs::remove_file(&beside);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        #[cfg(not(unix))]
        let _ = mode;
        let mut file = options.open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    })();
    written.map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &dyn fmt::Display) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        error: error.to_string(),
    }
}
