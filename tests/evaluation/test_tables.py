# SPDX-License-Identifier: Apache-2.0
"""Tables 1 and 2 and their controls."""

from __future__ import annotations

import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest

from backend.evaluation import metrics, results
from backend.evaluation.controls import pasted_rigidly, similarity
from backend.evaluation.evaluate import evaluate
from backend.evaluation.tables import RIGID, TABLE_1, TABLE_2, TRUE_SWAP, TRUTH, UNTOUCHED, Goal, score, table_lines
from backend.faceswap.source import load_source
from interchange.capture import Capture
from interchange.colour import srgb_from_linear
from interchange.errors import InputError
from interchange.splats import SplatCloud, write_ply
from tests.faceswap import synthetic

from . import scene


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("job")
    capture = Capture.load(scene.write_capture(root / "capture", scene.texture_a, "ball"))
    scene.write_capture(root / "swapped", scene.texture_b, "ball")
    scene.write_capture(root / "truth", scene.texture_b, "ball", held_out_only=True)
    scene.write_double(root / "double", capture, scene.texture_b)
    return root


def test_a_row_holds_means_and_their_spread() -> None:
    generator = np.random.default_rng(0)
    goal = generator.random((32, 32, 3)).astype(np.float32)
    face = np.zeros((32, 32), np.float32)
    face[8:24, 8:24] = 1
    near, far = np.clip(goal + 0.05, 0, 1), np.clip(goal + 0.2, 0, 1)
    row = score([near, far], [Goal(goal, face), Goal(goal, None)])
    first, second, wanted = (metrics.through_8_bit(p) for p in (near, far, goal))
    eight = [metrics.psnr(p, wanted) for p in (first, second)]
    assert row.psnr == pytest.approx(np.mean(eight), abs=1e-3)
    assert row.sd["psnr"] == pytest.approx(np.std(eight), abs=1e-3)
    assert row.psnr_face == pytest.approx(metrics.psnr(first, wanted, face), abs=1e-3)
    assert row.seam_jump is None  # no skin mask was given
    blurred = score([metrics._blurred(goal).astype(np.float32)], [Goal(goal, face)])
    assert blurred.sharpness < 0.5


def test_an_evaluation_has_table_1_and_its_controls(job: Path) -> None:
    found = evaluate(job / "capture", job / "swapped", job / "double", job / "truth")
    rows = found.tables[TABLE_1]
    assert set(rows) == {"fit", UNTOUCHED, TRUE_SWAP}
    assert rows["fit"].psnr == pytest.approx(found.metrics.held_out.psnr, abs=1e-3)
    assert rows["fit"].psnr_face == pytest.approx(found.metrics.held_out.psnr_face, abs=1e-3)
    assert rows[TRUE_SWAP].psnr > rows["fit"].psnr > rows[UNTOUCHED].psnr
    against_truth = found.tables[TRUTH]
    assert against_truth["fit"].psnr_face == pytest.approx(found.metrics.truth.psnr_face, abs=1e-3)
    assert against_truth["swapped views"].psnr_face == pytest.approx(found.ceiling.psnr_face, abs=1e-3)
    assert results.Evaluation.load(job / "double") == found
    lines = table_lines(TABLE_1, rows)
    assert len(lines) == 4 and lines[0].startswith("against the swapped views") and "fit" in lines[1]


def test_table_2_compares_with_the_sources_own_avatar(job: Path, tmp_path: Path) -> None:
    own = scene.write_capture(tmp_path / "own", scene.texture_b, "other", held_out_only=True)
    found = evaluate(job / "capture", job / "swapped", job / "double", source_views_folder=own)
    rows = found.tables[TABLE_2]
    assert set(rows) == {"swapped views", "fit", UNTOUCHED}
    assert rows["swapped views"].psnr > rows["fit"].psnr > rows[UNTOUCHED].psnr
    turned = Path(shutil.copytree(own, tmp_path / "turned"))
    manifest = Capture.load(turned)
    manifest.views = [attrs.evolve(v, camera=scene.camera(90)) for v in manifest.views]
    manifest.save_manifest()
    with pytest.raises(InputError, match="not taken by the capture's cameras"):
        evaluate(job / "capture", job / "swapped", job / "double", source_views_folder=turned)


def test_the_similarity_is_found_and_never_mirrors() -> None:
    points = np.random.default_rng(1).random((9, 2)) * 100
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    matrix = similarity(points, 1.7 * points @ turn.T + [5, -3])
    np.testing.assert_allclose(matrix, np.column_stack([1.7 * turn, [5, -3]]), atol=1e-9)
    assert np.linalg.det(similarity(points, points * [-1, 1])[:, :2]) > 0


def test_the_rigid_paste_puts_the_photo_where_the_face_is(tmp_path: Path) -> None:
    capture = synthetic.write_capture(tmp_path / "capture", views=(0, 180), size=128)
    photo = load_source(synthetic.write_source(tmp_path / "source", "A")).photos[0]
    mesh = capture.load_mesh()
    front, back = ((v, capture.load_view(v)) for v in capture.views)
    pasted = pasted_rigidly(photo, front[1], mesh, front[0].camera)
    changed = (pasted != front[1].rgb).any(-1)
    marks = front[0].camera.project(mesh.vertices[mesh.landmarks])[0]
    assert changed.sum() > 1500
    rows, columns = np.nonzero(changed)
    assert abs(columns.mean() - marks[:, 0].mean()) < 4 and abs(rows.max() - marks[:, 1].max()) < 6
    # A on A, from the front: features come to lie on themselves
    inside = changed & (front[1].masks["skin"] > 0.99)
    before, after = (srgb_from_linear(i)[inside].mean(-1) for i in (front[1].rgb, pasted))
    assert np.corrcoef(before, after)[0, 1] > 0.6
    np.testing.assert_array_equal(pasted_rigidly(photo, back[1], mesh, back[0].camera), back[1].rgb)


def test_the_photo_is_a_control_of_both_tables(tmp_path: Path) -> None:
    capture = synthetic.write_capture(tmp_path / "capture", views=(-20, 20, 0), size=200)
    source = synthetic.write_source(tmp_path / "source")
    (tmp_path / "double").mkdir()
    one = SplatCloud(np.zeros((1, 3)), np.zeros((1, 3)), np.ones((1, 4)), np.zeros(1), np.zeros((1, 1, 3)))
    write_ply(tmp_path / "double/splats.ply", one)
    view = capture.held_out_views[0]
    renders = {view.name: capture.load_view(view).display()}
    found = evaluate(capture.folder, None, tmp_path / "double", renders=renders, source_folder=source)
    rows = found.tables[TABLE_1]
    assert rows[RIGID].psnr_face < 25 < rows["fit"].psnr_face
    assert rows[RIGID].seam_difference > 5 and rows["fit"].seam_difference is None  # nothing was changed
