"""torchvision's weights by their name: downloaded once, checked, and nothing left when they fail.

A server on this machine stands in for torchvision's; what it serves has torchvision's names and
shapes.
"""

import hashlib
import http.server
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import authors
import pytest
import torch
from test_checkpoint import Payload
from test_importers import assert_computes, imagenet, made, pictures, refusal, run
from torch import Tensor

from core import checkpoint
from core.importers import download


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files`` by name, ``cut`` bytes short of what it promised, and counts requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut = self.requests = 0

    def add(self, name: str, content: bytes, digest: str | None = None) -> str:
        """The address of a file whose name ends in its hash, as torchvision's do."""
        whole = (digest or hashlib.sha256(content).hexdigest()).ljust(64, "0")
        digest = whole[:8]
        download.SHA256[f"{name}-{digest}.pth"] = whole
        self.files[f"/{name}-{digest}.pth"] = content
        return f"http://127.0.0.1:{self.server_port}/{name}-{digest}.pth"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.requests += 1
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) - self.server.cut])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "URLS", dict(download.URLS))
    monkeypatch.setattr(download, "SHA256", dict(download.SHA256))
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def cached(tmp_path: Path) -> list[str]:
    """What is in torch.hub's folder, half-written files too."""
    return sorted(p.name for p in (tmp_path / "home").rglob("*") if p.is_file())


def weights_of(backbone: str) -> tuple[dict[str, Tensor], str]:
    if backbone == "resnet50":
        return made(backbone, "none", "fc", 1000, ""), "fc"
    shapes = authors.mobilenet_shapes("none", nested=True)
    shapes |= {"classifier.1.weight": (1000, 1280), "classifier.1.bias": (1000,)}
    return authors.random_weights(shapes), "classifier.1"


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize(
    "backbone", [pytest.param("resnet50", marks=pytest.mark.slow), "mobilenet_v2"]
)
@torch.no_grad()
def test_weights_are_downloaded_once_and_compute(
    backbone: str, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    weights, classifier = weights_of(backbone)
    download.URLS[backbone] = url = server.add(backbone, saved(weights))
    out = tmp_path / "model.safetensors"
    run("import", "--pretrained", backbone, "--out", out)
    assert url in capsys.readouterr().out
    assert cached(tmp_path) == [url.rpartition("/")[2]]
    first = out.read_bytes()
    x = imagenet(pictures())
    if backbone == "resnet50":
        features = authors.resnet(x, weights, lambda x, _: x, "")
    else:
        features = authors.mobilenet(x, weights, lambda x, _: x, nested=True)
    loaded = checkpoint.load(out)
    assert loaded.config.backbone == backbone
    assert loaded.info["imported"]["images"]
    assert_computes(loaded, pictures(), authors.answer(features, weights, classifier))

    run("import", "--pretrained", backbone, "--out", out)
    assert server.requests == 1
    assert out.read_bytes() == first


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("hash", "invalid hash value"),
        ("torn", "invalid hash value"),
        ("absent", "answers 404"),
        ("closed", "refused"),
        ("folder", "home"),
    ],
)
def test_a_failed_download_says_why_and_leaves_nothing(
    fault: str, reason: str, server: Server, tmp_path: Path
) -> None:
    url = server.add("resnet50", bytes(1000), "01234567" if fault == "hash" else None)
    server.cut = 10 if fault == "torn" else 0
    if fault == "absent":
        server.files.clear()
    if fault == "closed":
        url = url.replace(str(server.server_port), "9")  # nothing listens there
    if fault == "folder":
        (tmp_path / "home").write_text("a file in the way")
    download.URLS["resnet50"] = url
    out = tmp_path / "model.safetensors"
    told = refusal("import", "--pretrained", "resnet50", "--out", out)
    assert told.startswith("--pretrained resnet50 ")
    assert reason in told
    assert f"download {url} elsewhere" in told
    assert "import FILE" in told
    assert cached(tmp_path) == []
    assert not out.exists()


def test_a_silent_server_does_not_hold_for_ever(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "SILENCE", 0.2)
    monkeypatch.setattr(Handler, "do_GET", lambda self: threading.Event().wait(1.0))
    download.URLS["resnet50"] = server.add("resnet50", b"")
    told = refusal("import", "--pretrained", "resnet50", "--out", tmp_path / "m.safetensors")
    assert "timed out" in told


def test_a_file_in_the_cache_that_is_not_the_published_one(server: Server, tmp_path: Path) -> None:
    download.URLS["resnet50"] = url = server.add("resnet50", bytes(1000))
    place = tmp_path / "home" / "hub" / "checkpoints" / url.rpartition("/")[2]
    place.parent.mkdir(parents=True)
    place.write_bytes(bytes(500))
    told = refusal("import", "--pretrained", "resnet50", "--out", tmp_path / "m.safetensors")
    assert f"{place} is not the file of {url}: remove it" in told


def test_code_in_a_download_is_not_run(server: Server, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    download.URLS["resnet50"] = server.add("resnet50", saved({"fc.weight": Payload(marker)}))
    told = refusal("import", "--pretrained", "resnet50", "--out", tmp_path / "m.safetensors")
    assert "not run" in told
    assert not marker.exists()


def test_a_file_or_a_name(tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    assert "one of the two" in refusal("import", "--out", out)
    assert "one of the two" in refusal("import", "x.pth", "--pretrained", "resnet50", "--out", out)
    assert "vgg16" in refusal("import", "--pretrained", "vgg16", "--out", out)


def test_without_a_network_the_command_ends_with_2(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    home = {"TORCH_HOME": str(tmp_path / "home"), "https_proxy": nowhere, "HTTPS_PROXY": nowhere}
    env = {k: v for k, v in os.environ.items() if k.lower() != "no_proxy"} | home
    out = tmp_path / "m.safetensors"
    command = [sys.executable, "-m", "core.checkpoint", "import", "--pretrained", "mobilenet_v2"]
    done = subprocess.run([*command, "--out", str(out)], env=env, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: --pretrained mobilenet_v2 cannot be downloaded (")
    assert download.URLS["mobilenet_v2"] in line
    assert cached(tmp_path) == []
    assert not out.exists()


def test_the_hashes_are_whole_and_of_the_published_names() -> None:
    files = [url.rpartition("/")[2] for url in download.URLS.values()]
    assert sorted(download.SHA256) == sorted(files)
    for file, whole in download.SHA256.items():
        assert len(bytes.fromhex(whole)) == 32
        assert file.endswith(f"-{whole[:8]}.pth")


def test_a_file_of_the_right_eight_digits_alone_is_refused(server: Server, tmp_path: Path) -> None:
    content = saved({})
    download.URLS["resnet50"] = url = server.add("resnet50", content)
    file = url.rpartition("/")[2]
    download.SHA256[file] = download.SHA256[file][:8].ljust(64, "0")
    said = refusal("import", "--pretrained", "resnet50", "--out", tmp_path / "m.safetensors")
    assert "cannot be downloaded" in said
    assert cached(tmp_path) == []
