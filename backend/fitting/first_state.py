# SPDX-License-Identifier: Apache-2.0
"""From placed splats to the state in which a run begins."""

from __future__ import annotations

from backend.kernels.parameters import AdamState, SplatParameters

from .alignment import MEMORY
from .initialisation import Start
from .schedule import sh_degree_at
from .settings import FitSettings
from .state import FitState, RunState


def first_state(start: Start, settings: FitSettings, digest: str = "") -> FitState:
    """`start` before its first step; `digest`: see `FitState`. Changes whether the cloud counts as antialiased."""
    start.cloud.antialiased = settings.antialiased
    parameters = SplatParameters.from_cloud(start.cloud, sh_degree_at(0, settings))
    run = RunState(planned=settings.iterations)
    state = FitState(
        digest, parameters, AdamState.like(parameters), run, start.reach, start.kind, start.face, start.barycentric
    )
    if settings.normal_weight and start.face_normals is not None:
        state.memory[MEMORY] = start.face_normals
    return state
