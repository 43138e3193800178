"""The local authority over real TLS: the names it was made for pass the check a phone makes, and no other."""

import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from dabai.commands import Trouble, main
from dabai.commands._authority import Authority, days_left, fingerprint, host_names, key_fits, read

HOSTS = ["dabai.duji.example", "second.duji.example", "127.0.0.1"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    found = Authority(tmp_path)
    found.create("Duji local authority", HOSTS)
    return found


@contextmanager
def listening(authority: Authority) -> Iterator[int]:
    """A TLS server on a free port of the loopback, that greets whoever gets through."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.certificate, authority.key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    plain, _ = server.accept()
                except OSError:
                    return
                with plain, suppress(OSError), context.wrap_socket(plain, server_side=True) as secure:
                    secure.sendall(b"hello")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def greet(port: int, host: str, ca: Path) -> bytes:
    """What a phone does that trusts ``ca`` and was told to open ``host``."""
    context = ssl.create_default_context(cafile=str(ca))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        return secure.recv(5)


def test_every_name_passes_and_another_fails(authority: Authority) -> None:
    with listening(authority) as port:
        for host in HOSTS:
            assert greet(port, host, authority.ca) == b"hello"
        with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
            greet(port, "third.duji.example", authority.ca)


def test_a_phone_that_does_not_trust_it_refuses(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    other.create("Another authority", HOSTS)
    with listening(authority) as port, pytest.raises(ssl.SSLCertVerificationError):
        greet(port, HOSTS[0], other.ca)


def test_a_renewal_needs_nothing_from_the_phones(authority: Authority) -> None:
    trusted, before = authority.ca.read_bytes(), read(authority.certificate).serial_number
    authority.issue([*HOSTS, "third.duji.example"])
    assert read(authority.certificate).serial_number != before
    assert authority.ca.read_bytes() == trusted
    with listening(authority) as port:
        assert greet(port, "third.duji.example", authority.ca) == b"hello"


def test_what_phones_ask_of_a_certificate(authority: Authority) -> None:
    server, ca = read(authority.certificate), read(authority.ca)
    assert (server.not_valid_after_utc - server.not_valid_before_utc).days <= 398
    usage = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    limits = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert limits.critical
    assert limits.value.ca
    assert limits.value.path_length == 0
    assert not server.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert host_names(authority.certificate) == HOSTS
    assert key_fits(authority.certificate, authority.key)
    assert not key_fits(authority.ca, authority.key)


def test_a_chinese_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.create("杜集区", ["大白.example"])
    assert host_names(authority.certificate) == ["xn--pssq69d.example"]


def test_keys_are_closed_and_files_replaced_whole(authority: Authority) -> None:
    authority.issue(HOSTS)
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((authority.folder / name).stat().st_mode) == 0o600
    assert {path.name for path in authority.folder.iterdir()} == {"ca.crt", "ca.key", "server.crt", "server.key"}


def test_renewal_when_due(authority: Authority) -> None:
    assert not authority.renew_when_due()
    assert days_left(authority.certificate, datetime.now(UTC) + timedelta(days=400)) < 0


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DABAI_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DABAI_LANG", "en")
    assert main(["tls", "show"]) == 1
    assert main(["tls", "init"]) == 1
    assert main(["tls", "init", "--host", "a.example", "--host", "10.1.2.3"]) == 0
    authority = Authority(tmp_path / "data" / "tls")
    said = capsys.readouterr()
    assert "tls init --host NAME" in said.err
    assert fingerprint(authority.ca) in said.out
    assert main(["tls", "init", "--host", "b.example"]) == 1
    assert main(["tls", "renew"]) == 0
    assert host_names(authority.certificate) == ["a.example", "10.1.2.3"]
    assert main(["tls", "renew", "--host", "b.example"]) == 0
    assert host_names(authority.certificate) == ["b.example"]
    (authority.folder / "ca.key").rename(tmp_path / "ca.key")
    assert main(["tls", "renew"]) == 1
    assert "ca.key" in capsys.readouterr().err


def test_trouble_names_what_to_do() -> None:
    assert "dabai tls init" in str(Trouble("tls_none"))
