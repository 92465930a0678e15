"""torchvision's ImageNet weights, downloaded once and kept where torch.hub keeps its files.

torchvision itself is not needed: a file of its weights is a state dict, read as any other (see
``read``). The first published weights of each network, those that TSM and ACTION-Net started from.

Source: torchvision, ``ResNet50_Weights.IMAGENET1K_V1``, ``MobileNet_V2_Weights.IMAGENET1K_V1``.
"""

import contextlib
import http.client
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError

import torch

from core.errors import BadInput
from core.files import file_sha256

URLS = {
    "resnet50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "mobilenet_v2": "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
}
# Of the whole files: eight digits in a name are found again by trying.
SHA256 = {
    "resnet50-0676ba61.pth": "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    "mobilenet_v2-b0353104.pth": "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
}
SILENCE = 30.0  # seconds without a byte after which there is no network


def pretrained(name: str) -> Path:
    """The file of ``name``'s weights, from torch.hub's folder (``$TORCH_HOME``) or downloaded.

    Raises ``BadInput`` when it cannot be had or is not the published file. A download is written
    under another name until it is whole and its hash is right.
    """
    url = URLS[name]
    file = url.rpartition("/")[2]
    wanted = SHA256[file]
    path = Path(torch.hub.get_dir(), "checkpoints", file)
    if path.exists():
        if _sha256(path) != wanted:
            raise BadInput(f"--pretrained {name}: {path} is not the file of {url}: remove it")
        return path
    print(f"downloading {url} to {path}", flush=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _impatient():
            torch.hub.download_url_to_file(url, str(path), wanted, progress=sys.stderr.isatty())
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        # RuntimeError is torch's for a wrong hash.
        raise BadInput(
            f"--pretrained {name} cannot be downloaded ({_reason(error)}): download {url} "
            "elsewhere and give it, python -m core.checkpoint import FILE"
        ) from None
    return path


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """A connection that stays silent ends; torch's download would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"the server answers {error.code}"
    if isinstance(error, URLError):
        error = error.reason if isinstance(error.reason, Exception) else error
    text = getattr(error, "strerror", None) or " ".join(str(error).split())
    place = f" {name}" if isinstance(name := getattr(error, "filename", None), str) else ""
    return f"{text or type(error).__name__}{place}"


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): remove it") from None
