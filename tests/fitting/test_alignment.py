# SPDX-License-Identifier: Apache-2.0
"""The normal term: what it does to a fit. (How splats are turned: tests/kernels/regularization.)"""

import attrs
import numpy as np

from backend.fitting.alignment import Alignment
from backend.fitting.first_state import first_state
from backend.fitting.fit import fit
from backend.fitting.initialisation import initialise
from backend.fitting.inputs import load_input
from backend.fitting.settings import FitSettings
from backend.fitting.usual import interventions_for
from backend.kernels.regularization.reference import splat_normals
from interchange.splats import read_ply

from .scene import make_capture

SETTINGS = FitSettings(iterations=120, splats=500, sh_degree=0, early_stop=False, evaluations=0, threads=1)


def _flatness(capture, out, weight):
    result = fit(capture.folder, out, attrs.evolve(SETTINGS, normal_weight=weight))
    cloud = read_ply(out / "splats.ply")
    outward = cloud.means - cloud.means.mean(axis=0)  # a ball
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    normals = splat_normals(cloud.quats_wxyz, cloud.log_scales.argmin(axis=1))
    return float(np.abs((normals * outward).sum(axis=1)).mean()), result.psnr


def test_splats_of_a_fit_lie_flatter_with_it(tmp_path):
    capture = make_capture(tmp_path / "capture")
    loose, psnr = _flatness(capture, tmp_path / "loose", 0.0)
    flat, psnr_flat = _flatness(capture, tmp_path / "flat", 0.05)
    assert 1 - flat < 0.8 * (1 - loose)  # the ball's triangles are no ball: some angle is left
    assert psnr_flat > psnr - 1.5


def _turns(dataset, settings):
    state = first_state(initialise(dataset, settings), settings)
    return any(isinstance(one, Alignment) for one in interventions_for(settings, state, len(dataset.train)))


def test_only_splats_of_a_mesh_are_turned_unless_told_otherwise(tmp_path):
    dataset = load_input(make_capture(tmp_path / "capture").folder)
    assert _turns(dataset, SETTINGS)
    assert not _turns(dataset, attrs.evolve(SETTINGS, normal_weight=0.0))
    assert not _turns(dataset, attrs.evolve(SETTINGS, start="depth"))  # no stops between a GPU's steps for nothing
    assert not _turns(dataset, attrs.evolve(SETTINGS, start="random"))


def test_a_start_knows_the_normal_of_each_splats_face(tmp_path):
    dataset = load_input(make_capture(tmp_path / "capture").folder)
    start = initialise(dataset, SETTINGS)
    outward = start.cloud.means - start.cloud.means.mean(axis=0)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    normals = start.face_normals[start.face]
    assert normals.dtype == np.float32
    assert (np.abs((normals * outward).sum(axis=1)) > 0.9).all()
    assert np.isclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5).all()
