# SPDX-License-Identifier: Apache-2.0
"""Splats fitted to every method's views: table 1 (fit against its own views) and the fit against the truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from backend.evaluation.evaluate import load_render
from backend.evaluation.held_out_tables import goals_of
from backend.evaluation.tables import Row, score
from backend.fitting.fit import fit
from backend.fitting.settings import FitSettings
from interchange.capture import Capture

FITTED = ("uv", "classical", "classical + consistency")
SETTINGS = FitSettings(splats=50_000, iterations=900, sh_degree=2)


def fit_rows(capture: Capture, swapped: Mapping[str, Capture], truth: Capture, root: Path) -> dict[str, Row]:
    """Two rows a method: its fit's held-out pictures against its own views, and against the true swap."""
    found = {}
    for name, result in swapped.items():
        print(f"  fitting: {name}", flush=True)
        double = root / "doubles" / result.folder.name
        fit(result.folder, double, SETTINGS, None, lambda: False)
        pictures = [np.asarray(load_render(double, view)) for view in capture.held_out_views]
        found[f"{name}: fit against its views"] = score(pictures, goals_of(capture, result))
        found[f"{name}: fit against the true swap"] = score(pictures, goals_of(capture, truth))
    return found
