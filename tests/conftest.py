"""What tests of several files share and takes half a minute to make."""

import pytest

from mobile_export import __main__ as export_cli
from mobile_export.bundle.reader import Bundle, load


@pytest.fixture(scope="session")
def default_bundle(tmp_path_factory) -> Bundle:
    """The default int8 stream bundle for XNNPACK; the exporter's own gate is tested elsewhere."""
    out = tmp_path_factory.mktemp("bundle")
    argv = ["--target", "xnnpack", "--out", str(out), "--clips", "27", "--max-drop", "100"]
    assert export_cli.main(argv) == 0
    (folder,) = out.iterdir()
    return load(folder)
