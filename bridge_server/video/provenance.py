# SPDX-License-Identifier: Apache-2.0
"""What a film says about its making: content credentials (C2PA) where signing is set up, plain metadata in any case."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bridge_server.motion.generator import Report
from bridge_server.video.renderers import Description
from shared import __version__
from shared.errors import UnderstudyError
from shared.state import state_dir

if TYPE_CHECKING:
    from bridge_server.video.film import FilmRequest

__all__ = ["Signing", "describe", "metadata_of", "picture_text", "read_credentials", "sign", "signing_from"]

# IPTC's term for media that was made by an algorithm from an existing picture
SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
ALGORITHMS: Final = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
SETTINGS_FILE: Final = "signing.json"
_TYPES: Final = {".mp4": "video/mp4", ".mov": "video/quicktime", ".png": "image/png"}
_PHOTO_TYPES: Final = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp",
                       ".tif": "image/tiff", ".tiff": "image/tiff"}


@dataclass(frozen=True)
class Signing:
    """The user's certificate and key for content credentials.

    :ivar certificate: PEM, the chain from the signer's up to (without) the root. :ivar key: PEM, PKCS 8.
    :ivar algorithm: one of :data:`ALGORITHMS`; "" to tell from the key. :ivar time_authority: URL of an RFC 3161 server, or "".
    """

    certificate: Path
    key: Path
    algorithm: str = ""
    time_authority: str = ""

    def check(self) -> None:
        """:raises UnderstudyError: what is missing, before a film is drawn that could not be signed then."""
        from importlib.util import find_spec

        if find_spec("c2pa") is None:
            raise UnderstudyError("unsupported", "Content credentials need the package c2pa-python.",
                                  "Run: pip install 'understudy[credentials]', or take the signing out of the settings.")
        for what, path in (("certificate", self.certificate), ("key", self.key)):
            if not path.is_file():
                raise UnderstudyError("file_missing", f"There is no signing {what} {path}.", "Check the path.")
        if self.algorithm and self.algorithm not in ALGORITHMS:
            raise UnderstudyError("request_invalid", f"There is no signing algorithm {self.algorithm!r}.",
                                  f"Choose one of {', '.join(ALGORITHMS)}.")
        self._try()

    def _try(self) -> None:
        """Sign a tiny picture: a certificate that is expired, of another key or for another use shows only then."""
        import io

        import c2pa
        from PIL import Image

        picture = io.BytesIO()
        Image.new("RGB", (8, 8)).save(picture, "PNG")
        signer = self._signer()
        try:
            with c2pa.Builder(_manifest("test", {"statement": "A test of the signature."})) as builder:
                picture.seek(0)
                builder.sign(signer, "image/png", picture, io.BytesIO())
        except c2pa.C2paError as error:
            raise self._refused(error) from error
        finally:
            signer.close()

    def _refused(self, error: BaseException) -> UnderstudyError:
        return UnderstudyError("file_invalid", f"Films cannot be signed with {self.certificate.name} ({_first_line(error)}).",
                               "Use a certificate chain in PEM form for signing documents, and its key.")

    def _algorithm(self) -> str:
        if self.algorithm:
            return self.algorithm
        # comes with c2pa-python
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(self.key.read_bytes(), None)
        except (ValueError, TypeError) as error:
            raise UnderstudyError("file_invalid", f"{self.key.name} is not a private key in PEM form without a password.",
                                  "Choose the key that belongs to the certificate.") from error
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return {256: "es256", 384: "es384"}.get(key.curve.key_size, "es512")
        if isinstance(key, rsa.RSAPrivateKey):
            return "ps256"
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return "ed25519"
        raise UnderstudyError("file_invalid", f"{self.key.name} is a key of a kind that content credentials do not know.",
                              "Use an elliptic curve, RSA or Ed25519 key.")

    def _signer(self) -> Any:
        import c2pa

        try:
            return c2pa.Signer.from_info(c2pa.C2paSignerInfo(
                self._algorithm(), self.certificate.read_bytes(), self.key.read_bytes(), self.time_authority or None))
        except (c2pa.C2paError, OSError, ValueError) as error:
            raise self._refused(error) from error


def signing_from(certificate: str | Path | None = None, key: str | Path | None = None, algorithm: str = "") -> Signing | None:
    """What is given here, else in ``$UNDERSTUDY_SIGN_CERT`` and ``$UNDERSTUDY_SIGN_KEY``, else in ``signing.json`` of the state folder.

    The file holds ``{"certificate": path, "key": path, "algorithm": "es256", "time_authority": url}``, the last two optional.

    :raises UnderstudyError: ``request_invalid`` for half of it, ``file_invalid`` for a file that cannot be read.
    """
    certificate = certificate or os.environ.get("UNDERSTUDY_SIGN_CERT")
    key = key or os.environ.get("UNDERSTUDY_SIGN_KEY")
    if bool(certificate) != bool(key):
        raise UnderstudyError("request_invalid", "To sign films, a certificate and its key are needed.", "Give both, or neither.")
    if certificate and key:
        return Signing(Path(certificate), Path(key), algorithm)
    path = state_dir() / SETTINGS_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Signing(Path(content["certificate"]), Path(content["key"]), str(content.get("algorithm", "")),
                       str(content.get("time_authority", "")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnderstudyError("file_invalid", f"{path} does not name a certificate and a key ({error}).",
                              "Correct the file, or delete it.") from error


def describe(request: FilmRequest, renderer: Description, digest: str, span: tuple[int, int]) -> dict[str, Any]:
    """The facts of a film: what made it from what, and who allowed it.

    :param digest: SHA-256 of the photograph's file. :param span: numbers of the first drawn frame and of the one after the last.
    """
    metadata = request.motion.metadata
    made: dict[str, Any] = {
        "made_with": f"Understudy {__version__}", "renderer": renderer.name, "renderer_licence": renderer.licence,
        "digital_source_type": SOURCE_TYPE,
        "statement": "This film was generated from a photograph and a synthetic performance.",
        "photograph": {"name": request.names.get("photograph") or request.photo.name, "sha256": digest}, "permission": request.permission,
        "performance": {k: metadata[k] for k in ("generator", "seed", "directions", "audio") if k in metadata},
        "frames": span[1] - span[0], "first_frame": span[0], "fps": request.fps, "start": request.start, "seed": request.seed,
        "quality": request.quality, "visible_mark": request.mark,
    }
    if request.audio is not None:
        made["sound"] = {"name": request.names.get("sound") or request.audio.name,
                         "sha256": sha256(request.audio.read_bytes()).hexdigest()}
    return made


def metadata_of(title: str, provenance: dict[str, Any]) -> dict[str, str]:
    """Tags of a movie file."""
    return {"title": title, "comment": json.dumps(provenance), "encoder_settings": f"Understudy {__version__}"}


def picture_text(provenance: dict[str, Any]) -> dict[str, str]:
    """Text chunks of a PNG file, by PNG's own keywords."""
    return {"Software": f"Understudy {__version__}", "Source": SOURCE_TYPE, "Comment": json.dumps(provenance)}


def _manifest(title: str, provenance: dict[str, Any]) -> dict[str, Any]:
    return {
        "claim_generator_info": [{"name": "Understudy", "version": __version__}],
        "title": title,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [{
                "action": "c2pa.created", "digitalSourceType": SOURCE_TYPE,
                "softwareAgent": {"name": "Understudy", "version": __version__},
                "description": provenance["statement"]}]}},
            {"label": "org.understudy.film", "data": provenance},
        ],
    }


def _files(out: Path) -> Iterator[Path]:
    if out.is_dir():
        yield from sorted(out.glob("[0-9]*.png"))
    else:
        yield out


def sign(request: FilmRequest, provenance: dict[str, Any], report: Report) -> bool:
    """Put content credentials into the film, or into each picture; the photograph is named as the ingredient.

    :returns: True. :raises UnderstudyError: ``file_invalid``; the unsigned film is left then.
    """
    import c2pa

    assert request.signing is not None
    signer = request.signing._signer()
    photo_type = _PHOTO_TYPES.get(request.photo.suffix.lower())
    try:
        files = list(_files(request.out))
        for number, path in enumerate(files):
            report("signing", 0.99 + 0.01 * number / len(files))
            temporary = path.with_name("signed-" + path.name)
            kind = _TYPES[path.suffix.lower()]
            try:
                with c2pa.Builder(_manifest(path.name, provenance)) as builder:
                    if photo_type is not None:
                        with request.photo.open("rb") as photo:
                            facts = {"title": provenance["photograph"]["name"], "relationship": "inputTo"}
                            builder.add_ingredient(facts, photo_type, photo)
                    with path.open("rb") as source, temporary.open("w+b") as target:
                        builder.sign(signer, kind, source, target)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
    except (c2pa.C2paError, OSError) as error:
        raise UnderstudyError("file_invalid", f"The film was made but could not be signed ({_first_line(error)}).",
                              "Check the certificate and the key; the film without a signature is there.") from error
    finally:
        signer.close()
    return True


def read_credentials(path: Path) -> dict[str, Any] | None:
    """The manifest store of a signed file as the C2PA library reads it, or None where there is none.

    :raises UnderstudyError: ``unsupported`` without the library.
    """
    try:
        import c2pa
    except ImportError as error:
        raise UnderstudyError("unsupported", "Content credentials need the package c2pa-python.",
                              "Run: pip install 'understudy[credentials]'.") from error
    try:
        with path.open("rb") as file, c2pa.Reader(_TYPES[path.suffix.lower()], file) as reader:
            return dict(json.loads(reader.json()))
    except c2pa.C2paError.ManifestNotFound:
        return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
