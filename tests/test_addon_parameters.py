# SPDX-License-Identifier: Apache-2.0
"""What the extension asks for exists on this side: names, kinds and presets."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backend.blender_process import ROOT
from backend.faceswap.registry import swappers
from backend.faceswap.settings import SwapSettings
from backend.fitting.settings import DENSIFY, FitSettings
from backend.pipeline import KINDS, settings_from

_DUMP = """
import json
from blender_addon.jobs.parameters import DENSIFY, DOUBLE, GAUSSIANS, PHOTOS, PRESETS, SWAPPERS, Choices, parameters
made = [
    parameters(Choices(kind, quality, densify[0], 0.5, 1, swapper[0], 0.5, 0.5, False, "a.onnx", "b.onnx", 0.5))
    for kind in (DOUBLE, GAUSSIANS) for quality in PRESETS.values() for densify in DENSIFY for swapper in SWAPPERS
]
kinds, growth = [DOUBLE, GAUSSIANS], [item[0] for item in DENSIFY]
print(json.dumps({"made": made, "kinds": kinds, "densify": growth, "photos": PHOTOS}))
"""


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """All that the panel can send; asked of the other side in a process of its own, which nothing here imports."""
    python = Path(ROOT) / ".digidouble" / "blender" / "bin" / "python"
    if not python.exists():
        pytest.skip("Blender's environment is not installed")
    run = subprocess.run([python, "-c", _DUMP], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def test_every_choice_of_the_panel_is_understood(told: dict[str, Any]) -> None:
    assert len(told["made"]) == 2 * 3 * 3 * 3
    known = [info.name for info in swappers()]
    for parameters in told["made"]:
        settings_from(parameters["fit"], FitSettings)
        if "swap" in parameters and parameters["swap"]["swapper"] in known:
            settings_from(parameters["swap"], SwapSettings)
    assert set(told["kinds"]) <= set(KINDS)
    assert set(told["densify"]) == set(DENSIFY)
    assert told["photos"] == SwapSettings().photos
