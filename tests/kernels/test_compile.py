# SPDX-License-Identifier: Apache-2.0
"""What is compiled in advance is what is called afterwards."""

from __future__ import annotations

import numpy as np

from backend.evaluation.held_out import held_out_scores
from backend.evaluation.perceptual import Judges
from backend.fitting.dataset import load_dataset
from backend.fitting.initialisation import initialise
from backend.fitting.settings import FitSettings
from backend.kernels.compile import compile_helpers
from backend.kernels.observation import cpu as observation
from backend.kernels.observation import sums
from backend.kernels.similarity import cpu as similarity

from ..fitting.scene import make_capture

KERNELS = (
    observation._look_up, sums.add_colours, sums.add_equations, sums.sum_neighbours, similarity._similarity,
)  # fmt: skip


def test_placing_and_measuring_find_their_kernels_compiled(tmp_path):
    compile_helpers()
    before = [set(kernel.signatures) for kernel in KERNELS]
    assert all(before)
    dataset = load_dataset(make_capture(tmp_path, 6, 1, 32))
    initialise(dataset, FitSettings(splats=100, sh_degree=1))
    view = dataset.held_out[0]
    scores = held_out_scores(np.clip(view.rgb * 1.1, 0, 1), view.rgb, view.face, Judges(None, None, {}))
    assert 0.5 < scores["ssim"] < 1
    assert [set(kernel.signatures) for kernel in KERNELS] == before
