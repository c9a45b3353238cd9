# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from backend.faceswap.settings import SwapSettings
from backend.faceswap.swap import SwapResult, swap
from interchange.capture import Capture

from . import synthetic

VIEWS = (-60, 0, 35)


@pytest.fixture(scope="session")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return synthetic.write_capture(tmp_path_factory.mktemp("capture"), views=VIEWS)


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    """A's head with B's whole skin in A's light."""
    return synthetic.write_capture(tmp_path_factory.mktemp("truth"), views=VIEWS, skin=synthetic.paint("B"))


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """B, lit from another side than the capture."""
    return synthetic.write_source(tmp_path_factory.mktemp("source"), light=synthetic.Light(key=(-0.6, -1.0, 0.3)))


@pytest.fixture(scope="session")
def swapped(capture: Capture, source: Path, tmp_path_factory: pytest.TempPathFactory) -> SwapResult:
    return swap(capture.folder, source, tmp_path_factory.mktemp("swapped"), SwapSettings())
