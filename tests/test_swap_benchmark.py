# SPDX-License-Identifier: Apache-2.0
"""The swap's benchmark on scenes that need no Blender: its true skin, its table and bars, its contact sheet."""

from __future__ import annotations

import argparse
from pathlib import Path

import attrs
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from backend.evaluation.tables import RIGID, TRUE_SWAP, UNTOUCHED, Row
from backend.faceswap.atlas import build_atlas
from backend.faceswap.source import load_source
from benchmarks import swap as benchmark
from benchmarks import swap_shape
from benchmarks.contact_sheet import BAND, TILE, contact_sheet, spread_views
from benchmarks.swap_floor import floor_lines, taken_apart
from benchmarks.swap_measures import Agreement, MethodRow, Views, agreement_of, changed_outside, gloss_of
from benchmarks.swap_noise import with_noise
from benchmarks.swap_scene import Scene, SceneSettings, _claim, true_skin
from benchmarks.swap_wobble import FUSED as WOBBLING_FUSED
from benchmarks.swap_wobble import PIXELS
from benchmarks.swap_wobble import RAW as WOBBLING
from interchange.capture import Capture, Pose, write_view
from interchange.colour import srgb_from_linear
from interchange.errors import InputError

from .faceswap import synthetic

VIEWS = (-60, -30, 0, 30, 60, 180, 15)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    root = tmp_path_factory.mktemp("scene")
    made = Scene(root / "capture", root / "source", root / "truth", root / "source_views")
    synthetic.write_capture(made.capture, views=VIEWS)
    synthetic.write_source(made.source)
    synthetic.write_capture(made.truth, views=VIEWS, skin=synthetic.paint("B in A's tone"))
    synthetic.write_capture(made.source_views, "B", views=VIEWS)
    return made


def test_the_true_skin_is_the_sources_face_in_the_targets_tone(scene: Scene) -> None:
    target, source = Capture.load(scene.capture), Capture.load(scene.source_views)
    skin = true_skin(target, source).astype(np.float32) / 255
    mesh = target.load_mesh()
    atlas = build_atlas(mesh, 0, *skin.shape[:2])
    face = atlas.of_vertices(mesh, mesh.region_face)
    found, old, new = (atlas.of_image(i) for i in (
        skin, srgb_from_linear(target.load_texture(target.objects[0])),
        srgb_from_linear(source.load_texture(source.objects[0]))))  # fmt: skip
    assert np.abs(found - old)[face == 0].max() < 0.5 / 255
    inside = face > 0.99
    assert np.abs(np.median(found[inside], axis=0) - np.median(old[inside], axis=0)).max() < 0.02
    assert np.corrcoef(found[inside].mean(1), new[inside].mean(1))[0, 1] > 0.98


@pytest.mark.slow
def test_the_table_has_all_methods_and_honest_bars(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="the package onnx, which builds the stand-ins, is not installed")
    monkeypatch.setattr(benchmark, "render_scene", lambda settings, root: scene)
    options = benchmark_options(tmp_path)
    outcome = benchmark.run(options)
    rows = outcome.tables["swap"]
    assert set(rows) == {UNTOUCHED, RIGID, TRUE_SWAP, *benchmark.METHODS}
    truth = {name: row["truth"]["psnr_face"] for name, row in rows.items()}
    assert truth[TRUE_SWAP] == 100 and truth[RIGID] < truth[benchmark.CLASSICAL] < truth[benchmark.FUSED]
    error = {name: row["agreement"]["rmse"] for name, row in rows.items()}
    assert error[RIGID] > error[benchmark.CLASSICAL] > error[benchmark.FUSED]
    assert rows[UNTOUCHED]["agreement"]["change"] == 0
    wobble = outcome.tables["wobble"]
    assert set(wobble) == {title.format(px) for title in (WOBBLING, WOBBLING_FUSED) for px in PIXELS}
    change = {name: row["change"]["mean"] for name, row in wobble.items()}
    for px in PIXELS:
        assert change[WOBBLING.format(px)] > 3 * change[WOBBLING_FUSED.format(px)]
    flicker = outcome.tables["flicker"]
    before, after = (row["agreement"]["change"] for row in flicker.values())
    assert before > 3 * after
    bars = {bar.name: bar for bar in outcome.bars}
    assert all(b.holds for name, b in bars.items() if "pixels changed outside" in name)
    assert bars["classical + consistency above classical"].value == pytest.approx(
        truth[benchmark.FUSED] - truth[benchmark.CLASSICAL]
    )
    assert (tmp_path / "sheet.png").stat().st_size > 10_000
    assert bars["onnx stand-in, changes nothing: pixels changed outside the mask"].holds
    assert abs(truth[benchmark.STAND_IN] - truth[UNTOUCHED]) < 1
    trips = outcome.tables["round_trips"]
    assert all(row["unchanged"] > 30 and row["darker"] > 30 and row["views"] >= 5 for row in trips.values())
    sharper, whole = (trips[f"inswapper_128, pixel boost {n}"] for n in (1, 4))
    assert whole["crop"] == 512 and whole["scale"] == pytest.approx(4 * sharper["scale"], rel=0.01)
    again = benchmark.run(options)  # nothing is swapped twice
    assert again.tables["swap"] == rows


def benchmark_options(folder: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    return parser.parse_args(["--quick", "--seeds", "1", "--folder", str(folder)])


def test_without_onnx_its_rows_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not benchmark._has_onnx()
    assert "onnx and onnxruntime not installed" in capsys.readouterr().out


def test_shape_against_the_performers_own_mesh(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).uniform(0, 1, swap_shape._LEARNT + swap_shape._JUDGED)
    poses = []
    for name, value in enumerate(values):
        path = tmp_path / "expressions/meshes" / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        synthetic.head("A", mouth_open=value).save(path)
        poses.append(Pose(str(name), f"meshes/{name}.npz", shape_keys={"jaw_open": float(value)}))
    still = Capture.load(scene.capture)
    attrs.evolve(still, folder=tmp_path / "expressions", views=[], poses=poses).save_manifest()
    rows = swap_shape.shape_rows(scene, tmp_path, {"one portrait": scene.source})
    untouched, moved = rows.values()
    assert moved.iou > 0.97 and moved.iou > untouched.iou and moved.error_mm < untouched.error_mm
    errors = swap_shape.expression_errors(scene, tmp_path, tmp_path / "swapped/shape_one_portrait")
    assert errors[0] < 1e-4 and errors[1] < 0.05
    bars = {b.name: b for b in swap_shape.shape_bars(rows, errors)}
    assert bars["uv, shape 1, one portrait: silhouette IoU"].holds and bars["uv, shape 1: shape-key error"].holds


def test_what_a_swap_adds_is_counted_in_quadrature() -> None:
    def row(rmse: float | None, floor: float | None) -> MethodRow:
        empty = Row(psnr=0, ssim=0)
        return MethodRow(empty, empty, empty, Agreement(rmse, None, None), Agreement(floor, None, None))

    assert row(5.0, 3.0).added == pytest.approx(4) and row(6.0, 3.0).ratio == 2
    assert row(2.9, 3.0).added == 0
    assert row(None, None).ratio is None and row(None, None).added is None


def test_agreement_is_told_with_and_without_gloss_and_of_the_change_alone(scene: Scene) -> None:
    views = Views.of(Capture.load(scene.capture), scene)
    untouched = [i.rgb for i in views.images]
    plain = agreement_of(views, untouched)
    assert plain.change == 0 and plain.diffuse is not None and plain.rmse is not None
    rng = np.random.default_rng(0)
    darker = agreement_of(views, [rgb * np.float32(rng.uniform(0.6, 1)) for rgb in untouched])  # each view its own tone
    assert darker.change is not None and darker.diffuse is not None and darker.rmse is not None
    assert darker.change > 5 and darker.rmse > 2 * plain.rmse and darker.diffuse > 2 * plain.diffuse
    glossy = [i.rgb + 0.05 * i.alpha[..., None] * np.float32(rng.random()) for i in views.images]
    shiny = attrs.evolve(views, images=[attrs.evolve(i, rgb=g) for i, g in zip(views.images, glossy, strict=True)])
    shiny = attrs.evolve(shiny, gloss=[gloss_of(i) for i in shiny.images])
    mirrored = agreement_of(shiny, glossy)
    assert mirrored.rmse is not None and mirrored.rmse > 1.5 * plain.rmse  # another gloss in every view ..
    assert mirrored.diffuse == pytest.approx(plain.diffuse, rel=0.15)  # .. is not the skin's disagreement
    assert mirrored.change == 0


def test_the_floor_is_taken_apart(scene: Scene) -> None:
    capture = Capture.load(scene.capture)
    views = Views.of(capture, scene)
    rows = taken_apart(views, capture, views.images)
    values = list(rows.values())
    assert all(v is not None for v in values) and values[0] == values[1]  # here they are the same views
    assert values[0] == pytest.approx(agreement_of(views, [i.rgb for i in views.images]).rmse, rel=0.05)
    rng = np.random.default_rng(0)
    glossy = [attrs.evolve(i, rgb=i.rgb + 0.05 * i.alpha[..., None] * np.float32(rng.random())) for i in views.images]
    shiny = list(taken_apart(views, capture, glossy).values())
    assert shiny[0] == values[0] and shiny[1] is not None and values[1] is not None and shiny[1] > 1.5 * values[1]
    assert shiny[2:] == pytest.approx(values[2:], rel=0.1)  # once without gloss, nothing of it is left
    assert len(floor_lines(rows)) == len(rows) + 1


def test_a_change_outside_the_face_is_counted(scene: Scene, tmp_path: Path) -> None:
    views = Views.of(Capture.load(scene.capture), scene)
    assert changed_outside(views, views.capture) == 0
    spoilt = attrs.evolve(views.capture, folder=tmp_path)
    for view, images in zip(views.capture.views, views.images, strict=True):
        rgb = images.rgb.copy()
        rgb[:2, :3] += 0.1
        rgb[images.masks["eye"] > 0.99] += 0.1
        (tmp_path / view.exr).parent.mkdir(exist_ok=True)
        write_view(tmp_path / view.exr, attrs.evolve(images, rgb=rgb))
    assert changed_outside(views, spoilt, inner=True) == 6 * len(views.images)
    assert changed_outside(views, spoilt) >= 6 * len(views.images)


def test_painted_goals_are_where_a_swap_changes_a_view(scene: Scene) -> None:
    views = Views.of(Capture.load(scene.capture), scene)
    goals = views.painted_goals(Capture.load(scene.truth))
    assert [g.face is None for g in goals] == [g.face is None for g in views.truth]
    assert all(g is None for g in (goal.face for goal in views.painted_goals(views.capture)))
    for goal, whole in zip(goals, views.truth, strict=True):
        assert goal.face is None or (whole.face is not None and (goal.face <= whole.face).all())


def test_a_folder_keeps_to_its_scene(tmp_path: Path) -> None:
    quick = SceneSettings.of(None, None, None, True)
    _claim(tmp_path, quick)
    _claim(tmp_path, quick)
    with pytest.raises(InputError, match="another scene"):
        _claim(tmp_path, attrs.evolve(quick, target="chidi"))
    full = SceneSettings.of(None, None, None, False)
    assert (full.train, full.held_out, full.size) == (40, 8, 384) and full.name != quick.name


def test_the_contact_sheet_shows_each_method_in_each_view() -> None:
    faces = [np.zeros((60, 80), np.float32) for _ in range(3)]
    for i, face in enumerate(faces):
        face[20:40, 20 + 10 * i : 40 + 10 * i] = 1
    red = [np.stack([f, 0 * f, 0 * f], -1) for f in faces]
    sheet = contact_sheet({"red": red, "dark": [0 * r for r in red]}, faces, ["a", "b", "c"])
    assert sheet.shape == (3 * BAND + 2 * TILE, 3 * TILE, 3)
    middle = sheet[2 * BAND + TILE // 2, TILE // 2 :: TILE]
    assert_array_equal(middle, [[255, 0, 0]] * 3)  # every face is in the middle of its tile
    assert sheet[2 * BAND + 3, 3].max() == 0


def test_views_are_chosen_from_side_to_side() -> None:
    faces = [np.full((10, 10), 0.5)] * 9 + [np.zeros((10, 10))]
    yaws = [40.0, -80, 0, 80, -40, 20, -20, 60, -60, 180]
    chosen = spread_views(faces, yaws, 3)
    assert [yaws[i] for i in chosen] == [-80, 0, 80]
    assert len(spread_views(faces, yaws, 20)) == 9  # what shows no face is left out


def test_noise_moves_landmarks_and_nothing_else(scene: Scene, tmp_path: Path) -> None:
    noisy = with_noise(scene.source, tmp_path / "noisy", 2.0, 1)
    before, after = (load_source(folder).photos[0] for folder in (scene.source, noisy))
    moved = np.array([np.subtract(after.landmarks[i], before.landmarks[i]) for i in before.landmarks])
    assert 1.5 < moved.std() < 2.5 and abs(moved.mean()) < 0.6
    assert_array_equal(before.image, after.image)
    again = with_noise(scene.source, tmp_path / "again", 2.0, 1)
    assert load_source(again).photos[0].landmarks == after.landmarks
    assert load_source(with_noise(scene.source, tmp_path / "c", 2.0, 2)).photos[0].landmarks != after.landmarks
