# SPDX-License-Identifier: Apache-2.0
"""Which splats are worth keeping in the end: finite, opaque enough, and, if asked for, seen by a training view."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend.kernels.parameters import AdamState
from backend.kernels.rasterizer import LossWeights, Rasterizer, Step, Target
from interchange.splats import SplatCloud

from .dataset import FitView
from .settings import FitSettings
from .state import FitState


def worth_keeping(
    cloud: SplatCloud, engine: Rasterizer, state: FitState, views: list[FitView], settings: FitSettings
) -> npt.NDArray[np.bool_]:
    """(N,) True for splats of the state's cloud that go into the file."""
    keep = visible_splats(cloud, settings.prune_opacity)
    if settings.prune_unseen:
        keep &= seen_splats(engine, state, views)
    return keep


def visible_splats(cloud: SplatCloud, prune_opacity: float) -> npt.NDArray[np.bool_]:
    """(N,) True for splats that are finite and not more transparent than that."""
    return np.asarray(cloud.finite() & (cloud.opacities >= prune_opacity))


def seen_splats(engine: Rasterizer, state: FitState, views: list[FitView]) -> npt.NDArray[np.bool_]:
    """(N,) True for splats that reach a pixel of a training view: an epoch of steps whose rates are all zero tells."""
    parameters = state.parameters.copy()
    targets = [Target(view.camera, view.rgb, view.alpha) for view in views]
    session = engine.begin(parameters, AdamState.like(parameters), targets, LossWeights(), statistics=True)
    try:
        still = parameters.learning_rates(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        session.run([Step(number, number + 1, still) for number in range(len(views))])
        seen = session.statistics().seen > 0
    finally:
        session.close()
    result = np.zeros(parameters.count, bool)
    result[parameters.order] = seen
    return result
