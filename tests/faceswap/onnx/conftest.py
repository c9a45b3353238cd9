# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with a stand-in of every kind, a recogniser and a converter."""
    from . import networks  # here: without the package onnx the test modules skip themselves

    folder = tmp_path_factory.mktemp("models")
    for kind in networks.KINDS:
        networks.write_swapper(folder / networks.file_name(kind), kind)
    networks.write_recogniser(folder / networks.RECOGNISER)
    networks.write_converter(folder / networks.CONVERTER)
    return folder
