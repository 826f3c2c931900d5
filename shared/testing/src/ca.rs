//! A certificate authority that lives as long as a test.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

/// A root that issues leaves. Nothing outside of the test trusts it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What a leaf certificate says; begin with [`Leaf::server`] or [`Leaf::client`].
#[derive(Debug, Clone)]
pub struct Leaf {
    usage: ExtendedKeyUsagePurpose,
    names: Vec<SanType>,
    /// The years in which it begins and ends to be valid.
    years: (i32, i32),
}

/// A leaf and its key, as PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate, without the root.
    pub cert_pem: String,
    /// The private key (PKCS#8).
    pub key_pem: String,
}

/// Where a leaf was written.
#[derive(Debug, Clone)]
pub struct PemFiles {
    /// The certificate.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

// === impl Authority ===

impl Authority {
    /// A root with this common name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key pair");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a self-signed root");
        Self { issuer }
    }

    /// The root certificate, for those who shall trust it.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Writes the root to `dir/ca.pem`.
    pub fn write_to(&self, dir: &Path) -> PathBuf {
        let path = dir.join("ca.pem");
        std::fs::write(&path, self.pem()).expect("ca.pem is written");
        path
    }

    /// Signs a leaf with a new key.
    pub fn issue(&self, leaf: Leaf) -> Issued {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "polyphony test leaf");
        params.subject_alt_names = leaf.names;
        params.extended_key_usages = vec![leaf.usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date_time_ymd(leaf.years.0, 1, 1);
        params.not_after = date_time_ymd(leaf.years.1, 1, 1);
        let key = KeyPair::generate().expect("a key pair");
        let cert = params.signed_by(&key, &self.issuer).expect("a signed leaf");
        Issued {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
        }
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

// === impl Leaf ===

impl Leaf {
    /// For a server, by the name `localhost` and the address 127.0.0.1.
    pub fn server() -> Self {
        Self::of(ExtendedKeyUsagePurpose::ServerAuth)
            .dns("localhost")
            .ip(IpAddr::from([127, 0, 0, 1]))
    }

    /// For a client, without a name.
    pub fn client() -> Self {
        Self::of(ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn of(usage: ExtendedKeyUsagePurpose) -> Self {
        Self {
            usage,
            names: Vec::new(),
            years: (2020, 4096),
        }
    }

    /// Without the names that it has so far.
    #[must_use]
    pub fn nameless(mut self) -> Self {
        self.names.clear();
        self
    }

    /// With this DNS name.
    #[must_use]
    pub fn dns(mut self, name: &str) -> Self {
        self.names
            .push(SanType::DnsName(name.try_into().expect("an ASCII name")));
        self
    }

    /// With this IP address.
    #[must_use]
    pub fn ip(mut self, ip: IpAddr) -> Self {
        self.names.push(SanType::IpAddress(ip));
        self
    }

    /// With this URI, as `spiffe://mesh/ns/default/sa/asr`.
    #[must_use]
    pub fn uri(mut self, uri: &str) -> Self {
        self.names
            .push(SanType::URI(uri.try_into().expect("an ASCII URI")));
        self
    }

    /// Valid only in the past.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.years = (2020, 2021);
        self
    }
}

// === impl Issued ===

impl Issued {
    /// Writes `dir/{name}.pem` and `dir/{name}.key`, each by rename, so that a watcher never sees half a file.
    pub fn write_to(&self, dir: &Path, name: &str) -> PemFiles {
        let put = |file: String, text: &str| {
            let (path, new) = (dir.join(&file), dir.join(format!(".{file}.new")));
            std::fs::write(&new, text).expect("the file is written");
            std::fs::rename(&new, &path).expect("the file is put in place");
            path
        };
        PemFiles {
            cert: put(format!("{name}.pem"), &self.cert_pem),
            key: put(format!("{name}.key"), &self.key_pem),
        }
    }
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issued")
    }
}
