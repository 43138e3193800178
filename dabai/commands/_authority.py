"""The local authority: a small CA for a district whose phones reach the server by a name that no public CA knows.

Without HTTPS a phone gives a page neither camera nor service worker. ``tls/`` holds the authority (``ca.crt``,
``ca.key``) and the server's certificate (``server.crt``, ``server.key``); P-256 with ECDSA, which every phone in use
checks. The authority may sign no further authority. Server certificates live for 397 days: phones refuse much longer
ones.
"""

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 3650
SERVER_DAYS = 397
RENEW_DAYS = 30
CLOCK_SLACK = timedelta(days=1)


def host_names(certificate: Path) -> list[str]:
    """The names and addresses that a certificate is for."""
    try:
        found = read(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(address) for address in found.get_values_for_type(x509.IPAddress)]
    return [*found.get_values_for_type(x509.DNSName), *addresses]


def read(path: Path) -> x509.Certificate:
    """The (first) certificate of a PEM file."""
    return x509.load_pem_x509_certificate(path.read_bytes())


def days_left(certificate: Path, now: datetime | None = None) -> float:
    """Days until a certificate ends; negative when it has."""
    return (read(certificate).not_valid_after_utc - (now or datetime.now(UTC))) / timedelta(days=1)


def fingerprint(certificate: Path) -> str:
    """SHA-256 of a certificate as a phone shows it: ``AB:CD:…``."""
    return read(certificate).fingerprint(hashes.SHA256()).hex(":").upper()


@dataclass(frozen=True)
class Authority:
    """The authority kept in one folder."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def certificate(self) -> Path:
        return self.folder / "server.crt"

    @property
    def key(self) -> Path:
        return self.folder / "server.key"

    def exists(self) -> bool:
        return self.ca.is_file() and self.certificate.is_file() and self.key.is_file()

    def can_sign(self) -> bool:
        """Whether the authority's key is here; a careful district keeps it elsewhere between renewals."""
        return (self.folder / "ca.key").is_file()

    def create(self, name: str, hosts: list[str]) -> None:
        """A new authority and its first server certificate. Phones must trust the authority anew."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = _builder(subject, subject, key.public_key(), CA_DAYS)
        certificate = certificate.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        certificate = certificate.add_extension(_usage(ca=True), critical=True)
        write_private(self.folder / "ca.key", _pem(key))
        self.ca.write_bytes(certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        self.issue(hosts)

    def issue(self, hosts: list[str]) -> None:
        """A new server key and certificate for these names; phones that trust the authority need do nothing."""
        ca = read(self.ca)
        ca_key = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), password=None)
        assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
        builder = _builder(subject, ca.subject, key.public_key(), SERVER_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(ca=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(_names(hosts), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        signed = builder.add_extension(issuer, critical=False).sign(ca_key, hashes.SHA256())
        write_private(self.key, _pem(key))
        chain = signed.public_bytes(serialization.Encoding.PEM) + ca.public_bytes(serialization.Encoding.PEM)
        write_private(self.certificate, chain)

    def renew_when_due(self) -> bool:
        """Renew a certificate that ends within 30 days, if we can; whether we did."""
        if days_left(self.certificate) > RENEW_DAYS or not self.can_sign():
            return False
        self.issue(host_names(self.certificate))
        return True


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    """What both kinds of certificate share. Valid from yesterday: many a phone's clock is behind."""
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - CLOCK_SLACK).not_valid_after(now - CLOCK_SLACK + timedelta(days=days))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _names(hosts: list[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_name(host) for host in hosts])


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host.encode("idna").decode())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private(path: Path, content: bytes) -> None:
    """Replace a file at once and whole, readable by us only."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    new.rename(path)


def key_fits(certificate: Path, key: Path) -> bool:
    """Whether this private key belongs to this certificate."""
    private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    der, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(der, form) == read(certificate).public_key().public_bytes(der, form)
