"""Certificates in files that are replaced, whole or piece by piece, while they are in use."""

import datetime as dt
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509

from serving.certificates import CertificateFiles, RenewedFiles
from support.certificates import Authority


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
def files(tmp_path, authority):
    authority.identity("peer").write(tmp_path)
    return CertificateFiles(
        certificate=tmp_path / "tls.crt", key=tmp_path / "tls.key", ca=tmp_path / "ca.crt"
    )


def test_files_that_stay_are_read_once(files):
    renewed = RenewedFiles(files)
    assert renewed.latest() is renewed.latest()


def test_a_link_that_is_turned_to_another_folder_is_a_change(tmp_path, authority, files):
    renewed, identity = RenewedFiles(files), authority.identity("peer")
    before = renewed.latest()
    identity.write(tmp_path)
    assert renewed.latest().certificate == identity.certificate != before.certificate


def test_what_was_not_whole_is_read_again_even_if_its_files_look_unchanged(tmp_path, authority, files):
    """As when the second half of a file comes within the same tick of the file system's clock as the first."""
    renewed, identity = RenewedFiles(files), authority.identity("peer")
    before, key = renewed.latest(), files.key.resolve()
    files.certificate.write_bytes(identity.certificate)
    key.write_bytes(b"-" * len(identity.key))
    assert renewed.latest() is before

    half = key.stat()
    key.write_bytes(identity.key)
    os.utime(key, ns=(half.st_atime_ns, half.st_mtime_ns))
    assert renewed.latest().key == identity.key


def test_threads_that_ask_at_once_get_the_same(authority, tmp_path, files):
    renewed = RenewedFiles(files)
    authority.identity("peer").write(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        asked = list(threads.map(lambda _: renewed.latest(), range(64)))
    assert len({id(credentials) for credentials in asked}) == 1


def test_a_chain_expires_with_the_first_of_its_certificates(authority, files):
    leaf = files.certificate.read_bytes()
    short = authority.identity("issuer", ends_in=dt.timedelta(minutes=5)).certificate
    files.certificate.write_bytes(leaf + short)
    assert files.read().expires == x509.load_pem_x509_certificate(short).not_valid_after_utc


def test_authorities_alone_do_not_expire(files):
    alone = CertificateFiles(ca=files.ca).read()
    assert (alone.certificate, alone.key, alone.expires) == (b"", b"", None)
