# SPDX-License-Identifier: Apache-2.0
"""What a film says about its making, with and without a certificate."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import av
import pytest
from PIL import Image

from bridge_server.video import provenance
from bridge_server.video.film import FilmRequest, make_film
from bridge_server.video.provenance import Signing, signing_from
from shared.errors import UnderstudyError
from shared.motion import Motion
from tests.film.test_film import Counting, quiet, request


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Signing:
    """A test authority and a signer's certificate from it, as PEM files."""
    pytest.importorskip("c2pa")
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("signing")
    now = datetime.datetime.now(datetime.timezone.utc)

    def name(common: str) -> object:
        return x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Understudy tests"),
                          x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def certificate(subject: str, public: object, authority: bool) -> object:
        usage = {n: False for n in ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
                                    "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")}
        usage |= {"key_cert_sign": True, "crl_sign": True} if authority else {"digital_signature": True}
        builder = (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("Test root")).public_key(public)
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=30))
                   .add_extension(x509.BasicConstraints(authority, None), True).add_extension(x509.KeyUsage(**usage), True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False))
        if not authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        return builder.sign(root_key, hashes.SHA256())

    chain = [certificate("Test signer", key.public_key(), False), certificate("Test root", root_key.public_key(), True)]
    pem = serialization.Encoding.PEM
    (folder / "chain.pem").write_bytes(b"".join(c.public_bytes(pem) for c in chain))  # type: ignore[attr-defined]
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return Signing(folder / "chain.pem", folder / "key.pem")


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_signed_film(suffix: str, signing: Signing, tmp_path: Path, performance: Motion, photo_path: Path) -> None:
    out = tmp_path / f"film{suffix}"
    result = make_film(request(performance, photo_path, out, signing=signing, permission="my own picture", seconds=0.2), Counting(), quiet)
    assert result.signed
    store = provenance.read_credentials(out)
    assert store is not None
    manifest = store["manifests"][store["active_manifest"]]
    actions = next(a for a in manifest["assertions"] if a["label"].startswith("c2pa.actions"))["data"]["actions"]
    assert actions[0]["action"] == "c2pa.created" and actions[0]["digitalSourceType"] == provenance.SOURCE_TYPE
    facts = next(a for a in manifest["assertions"] if a["label"] == "org.understudy.film")["data"]
    assert facts["permission"] == "my own picture" and facts["renderer"] == "counting"
    assert manifest["ingredients"][0]["title"] == photo_path.name and manifest["signature_info"]["issuer"] == "Understudy tests"
    # only trust is missing, the hashes fit
    assert {s["code"] for s in store.get("validation_status", [])} <= {"signingCredential.untrusted"}
    with av.open(str(out)) as container:
        assert len(list(container.decode(video=0))) == 4
    # a changed byte is found
    content = bytearray(out.read_bytes())
    place = content.find(b"mdat") + 40
    content[place] ^= 1
    out.write_bytes(bytes(content))
    store = provenance.read_credentials(out)
    assert store is not None and any("mismatch" in s["code"].lower() for s in store["validation_status"])


def test_signed_pictures(signing: Signing, tmp_path: Path, performance: Motion, photo_path: Path) -> None:
    out = tmp_path / "pictures"
    assert make_film(request(performance, photo_path, out, signing=signing, seconds=0.1), Counting(), quiet).signed
    assert provenance.read_credentials(out / "000002.png") is not None
    assert json.loads((out / "film.json").read_text())["content_credentials"] is True


def test_plain_metadata_without_a_certificate(tmp_path: Path, performance: Motion, photo_path: Path) -> None:
    out = tmp_path / "pictures"
    assert not make_film(request(performance, photo_path, out, seconds=0.1), Counting(), quiet).signed
    with Image.open(out / "000001.png") as picture:
        text = picture.text  # type: ignore[attr-defined]
    assert text["Source"] == provenance.SOURCE_TYPE and json.loads(text["Comment"])["photograph"]["name"] == photo_path.name
    pytest.importorskip("c2pa")
    make_film(request(performance, photo_path, tmp_path / "film.mp4", seconds=0.1), Counting(), quiet)
    assert provenance.read_credentials(tmp_path / "film.mp4") is None


def test_bad_signing_is_refused_before_drawing(signing: Signing, tmp_path: Path, performance: Motion, photo_path: Path) -> None:
    (tmp_path / "not.pem").write_text("no key")
    for bad, code in ((Signing(tmp_path / "none.pem", signing.key), "file_missing"),
                      (Signing(signing.certificate, tmp_path / "not.pem"), "file_invalid"),
                      (Signing(tmp_path / "not.pem", signing.key), "file_invalid"),
                      (Signing(signing.certificate, signing.key, "md5"), "request_invalid")):
        renderer = Counting()
        wanted: FilmRequest = request(performance, photo_path, tmp_path / "film.mp4", signing=bad)
        with pytest.raises(UnderstudyError) as caught:
            make_film(wanted, renderer, quiet)
        assert caught.value.code == code and not renderer.drawn and not wanted.out.exists()


def test_where_signing_is_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_STATE_DIR", str(tmp_path))
    for name in ("UNDERSTUDY_SIGN_CERT", "UNDERSTUDY_SIGN_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert signing_from() is None
    (tmp_path / "signing.json").write_text(json.dumps({"certificate": "a.pem", "key": "b.pem", "algorithm": "ps256"}))
    assert signing_from() == Signing(Path("a.pem"), Path("b.pem"), "ps256")
    monkeypatch.setenv("UNDERSTUDY_SIGN_CERT", "c.pem")
    with pytest.raises(UnderstudyError, match="certificate and its key"):
        signing_from()
    monkeypatch.setenv("UNDERSTUDY_SIGN_KEY", "d.pem")
    assert signing_from() == Signing(Path("c.pem"), Path("d.pem"))
    (tmp_path / "signing.json").write_text("[]")
    monkeypatch.delenv("UNDERSTUDY_SIGN_CERT")
    monkeypatch.delenv("UNDERSTUDY_SIGN_KEY")
    with pytest.raises(UnderstudyError, match="does not name"):
        signing_from()
