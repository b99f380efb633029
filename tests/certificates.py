"""Throwaway certificates, in folders as Docker wants them: ca.pem, cert.pem, key.pem."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = timedelta(days=1)


class Authority:
    """A certificate authority whose `ca.pem` is in `directory`; each certificate gets a folder below."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("a test's authority")
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        building = _certificate(self._name, self._name, self._key.public_key(), days=2)
        building = building.add_extension(usage, critical=True).add_extension(basic, critical=True)
        self._certificate = building.sign(self._key, hashes.SHA256())
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "ca.pem").write_bytes(_pem(self._certificate))

    def issue(self, folder: str, *, names: tuple[str, ...] = (), days: int = 2) -> Path:
        """A certificate for a server of these names and addresses, or for a client without any. Negative: expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        use = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        building = _certificate(_name(folder), self._name, key.public_key(), days=days)
        building = building.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if names:
            alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
            building = building.add_extension(alternatives, critical=False)
        place = self.directory / folder
        place.mkdir(exist_ok=True)
        (place / "ca.pem").write_bytes(_pem(self._certificate))
        (place / "cert.pem").write_bytes(_pem(building.sign(self._key, hashes.SHA256())))
        (place / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return place


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int
) -> x509.CertificateBuilder:
    end = datetime.now(UTC) + days * _DAY
    return x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), end - 30 * _DAY, end)


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
