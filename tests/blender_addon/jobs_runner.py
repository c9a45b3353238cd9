# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service started by the add-on's tests does: the service tests' toy, then a double out of the capture."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.service import toy


def run(
    kind: str, parameters: dict[str, Any], inputs: Path, work: Path, outputs: Path, progress: Any, cancelled: Any
) -> dict[str, Any]:
    """`parameters["toy"]` is what the toy is told, with "kind" for its misdeeds."""
    told = parameters.get("toy", {})
    result = toy.run(told.get("kind", kind), told, inputs, work, outputs, progress, cancelled)
    (outputs / "double").mkdir(parents=True, exist_ok=True)
    (outputs / "swapped" / "views").mkdir(parents=True, exist_ok=True)
    (outputs / "swapped" / "views" / "train_000.exr").write_bytes(b"large")
    shutil.copyfile(inputs / "capture" / "capture.json", outputs / "double" / "splats.ply")
    return result
