# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from backend.faceswap.atlas import Atlas, build_atlas
from backend.faceswap.regions import Regions, face_regions
from backend.faceswap.settings import SwapSettings
from backend.faceswap.swap import SwapResult, swap
from interchange.capture import Capture
from interchange.mesh import Mesh

from . import synthetic

VIEWS = (-60, 0, 35)


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return synthetic.head("A")


@pytest.fixture(scope="module")
def atlas(mesh: Mesh) -> Atlas:
    return build_atlas(mesh, 0, synthetic.ATLAS_SIZE, synthetic.ATLAS_SIZE)


@pytest.fixture(scope="module")
def regions(mesh: Mesh, atlas: Atlas) -> Regions:
    return face_regions(mesh, atlas)


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
