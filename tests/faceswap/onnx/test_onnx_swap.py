# SPDX-License-Identifier: Apache-2.0
"""The whole stage with a stand-in network: folders, report, resuming, the command line, and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from backend import cli, pipeline
from backend.faceswap.onnx.models import MODELS_VARIABLE, ModelFolder
from backend.faceswap.onnx.settings import OnnxSettings
from backend.faceswap.registry import OnnxSwapper, swapper_named
from backend.faceswap.settings import SwapSettings
from backend.faceswap.source import load_source
from backend.faceswap.swap import SwapResult, swap
from interchange.capture import Capture
from interchange.errors import Cancelled, InputError
from interchange.exr import read_exr
from interchange.png import read_png

from .. import synthetic
from ..synthetic import write_consent, write_landmarks, write_source
from ..test_swap import face_psnr
from . import networks

DIGEST = "ab" * 32


def run(
    capture: Path, source: Path, out: Path, models: Path, *, consistency: bool = False, **more: Any
) -> SwapResult:
    settings = {"model": "inswapper_128.onnx", "recogniser": networks.RECOGNISER, "licence": "made by code"} | more
    return swap(
        capture, source, out, SwapSettings(swapper="onnx", consistency=consistency, onnx=OnnxSettings(**settings)),
        swapper=OnnxSwapper(lambda: ModelFolder(models)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def round_capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    """Front, profile, back."""
    return synthetic.write_capture(tmp_path_factory.mktemp("round"), views=(0, 90, 180))


@pytest.fixture(scope="module")
def result(round_capture: Capture, source: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> SwapResult:
    return run(round_capture.folder, source, tmp_path_factory.mktemp("swapped"), models)


def test_the_result_is_a_capture_with_only_the_face_changed(round_capture: Capture, result: SwapResult) -> None:
    after = Capture.load(result.folder)
    for view in round_capture.views:
        old, new = (read_exr(c.folder / view.exr) for c in (round_capture, after))
        for name in new.keys() - set("RGB"):
            assert_array_equal(old[name], new[name])
        region = (old["mask.face"] + old["mask.eye"]) > 0
        changed = np.any([old[c] != new[c] for c in "RGB"], axis=0)
        assert not changed[~region].any()
        assert (changed.sum() > 300) == (view.name != "view_002")
    textures = [read_png(c.folder / "textures/head.png") for c in (round_capture, after)]
    assert_array_equal(*textures)
    assert read_png(after.folder / "strip.png").shape == (384, 3 * 384, 3)


def test_the_report_says_which_network_computed_what_and_where(result: SwapResult, models: Path) -> None:
    report = json.loads((result.folder / "swap.json").read_text())
    assert report["swapper"] == "onnx" and report["engine_reason"].startswith("CPUExecutionProvider computes inswapper")
    swapper, recogniser = report["models"]
    for entry, name in ((swapper, "inswapper_128.onnx"), (recogniser, networks.RECOGNISER)):
        assert entry["file"] == name and entry["sha256"] == synthetic.sha256_of_file(models / name)
        assert entry["provider"] == "CPUExecutionProvider" and sum(entry["nodes"].values()) > 1
    assert swapper["kind"] == "inswapper_128" and "signature" in swapper["recognised"]
    assert report["licence"] == "as stated by the user: made by code"
    assert report["makers_licence"] == "non-commercial (InsightFace)"
    views = report["views"]
    assert [v["swapped"] for v in views.values()] == [True, True, False]
    assert "facial landmarks" in views["view_002"]["left_alone"] and views["view_000"]["left_alone"] is None
    assert report["photos"][0]["used"] and report["photos"][0]["landmarks"] == 68
    assert report["warnings"] == [] and report["settings"]["onnx"]["model"] == "inswapper_128.onnx"


def test_its_views_become_one_skin(source: Path, models: Path, tmp_path: Path) -> None:
    capture = synthetic.write_capture(tmp_path / "capture", views=(-30, 0, 30, 180, 15), size=128)
    found = run(capture.folder, source, tmp_path / "out", models, consistency=True)
    views = found.report["views"]
    assert [views[f"view_00{i}"]["used"] for i in range(4)] == [True, True, True, False]
    assert views["view_003"]["left_alone"] and found.report["consistency"]["views_used"] == 3
    assert found.report["engine_reason"].startswith("CPUExecutionProvider computes inswapper")
    assert (tmp_path / "out" / "texture.png").is_file() and found.report["models"]


def test_finished_views_are_kept_until_the_network_changes(
    round_capture: Capture, source: Path, models: Path, result: SwapResult, tmp_path: Path
) -> None:
    out, own = (Path(shutil.copytree(p, tmp_path / n)) for p, n in ((result.folder, "out"), (models, "models")))
    assert run(round_capture.folder, source, out, own).rendered == ()
    assert out.joinpath("swap.json").read_bytes() == (result.folder / "swap.json").read_bytes()
    networks.write_swapper(own / "inswapper_128.onnx", "inswapper_128", free_batch=True)
    assert len(run(round_capture.folder, source, out, own).rendered) == 3


def test_threads_do_not_change_the_result(
    round_capture: Capture, source: Path, models: Path, result: SwapResult, tmp_path: Path
) -> None:
    settings = SwapSettings(
        swapper="onnx", threads=1, consistency=False,
        onnx=OnnxSettings(model="inswapper_128.onnx", recogniser=networks.RECOGNISER, licence="made by code"),
    )  # fmt: skip
    swapper = OnnxSwapper(lambda: ModelFolder(models))
    swap(round_capture.folder, source, tmp_path, settings, swapper=swapper)
    for view in round_capture.views:
        assert (tmp_path / view.exr).read_bytes() == (result.folder / view.exr).read_bytes()


def test_tone_brings_the_crop_to_the_avatars_skin(
    round_capture: Capture, source: Path, models: Path, tmp_path: Path
) -> None:
    view = round_capture.views[0]
    images, mesh = round_capture.load_view(view), round_capture.load_mesh()
    onnx = OnnxSettings(model="inswapper_128.onnx", recogniser=networks.RECOGNISER)
    core = images.masks["face"] > 0.99
    away = []
    for tone in (1.0, 0.5, 0.0):
        swapper = OnnxSwapper(lambda: ModelFolder(models))
        settings = SwapSettings(swapper="onnx", tone=tone, onnx=onnx)
        made = swapper.prepare(round_capture, load_source(source), settings, None, lambda: False)
        away.append(np.abs((made.change(images, mesh, view.camera) - images.rgb)[core].mean(0)).max())
    assert away[0] > away[1] + 0.08 > away[2] + 0.16 and away[2] < 0.02


def test_the_photos_face_comes_to_lie_on_the_views_face(
    capture: Capture, truth: Capture, source: Path, tmp_path: Path
) -> None:
    """Eyes on eyes, mouth on mouth, in the photo's colours: a rigid paste is near the true swap from the front."""
    networks.write_paster(tmp_path / "paster.onnx")
    found = run(capture.folder, source, tmp_path / "out", tmp_path, model="paster.onnx", recogniser="")
    result = Capture.load(found.folder)
    pasted, before = (face_psnr(c, truth, "view_001") for c in (result, capture))
    assert pasted > before + 5 and pasted > 17


def test_the_registry_takes_the_folder_from_the_environment(
    round_capture: Capture, source: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = swapper_named("onnx").info
    assert "stated by the user" in info.licence and info.needs and info.guarantees
    job = pipeline.JobContext(
        pipeline.JobFolders(tmp_path / "inputs", tmp_path / "work"),
        {"swap": {"swapper": "onnx", "onnx": {"model": "dfm.dfm"}}}, lambda *_: None, lambda: False,
    )  # fmt: skip
    shutil.copytree(round_capture.folder, job.folders.capture)
    shutil.copytree(source, job.folders.source)
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    with pytest.raises(InputError, match="No models folder is known"):
        pipeline.swap_stage(job)
    monkeypatch.setenv(MODELS_VARIABLE, str(models))
    pipeline.swap_stage(job)
    assert json.loads((job.folders.swapped / "swap.json").read_text())["models"][0]["kind"] == "dfm"


def test_a_few_landmarks_are_enough_the_mesh_gives_the_others(
    round_capture: Capture, source: Path, models: Path, tmp_path: Path
) -> None:
    photo = load_source(source).photos[0]
    few = Path(shutil.copytree(source, tmp_path / "few"))
    points = np.array([photo.landmarks[i] for i in range(68)])
    write_landmarks(few, points, [8, 19, 24, 30, 36, 39, 42, 45, 48, 54])
    found = [run(round_capture.folder, s, tmp_path / n, models).report["photos"][0]["five_points_px"]
             for s, n in ((source, "a"), (few, "b"))]  # fmt: skip
    assert np.abs(np.array(found[0]) - found[1]).max() < 4  # of a face 150 pixels wide
    assert found[0][2:] == found[1][2:]


def test_several_photos_make_one_identity_and_one_picture(
    round_capture: Capture, source: Path, models: Path, tmp_path: Path
) -> None:
    side = write_source(tmp_path / "side", azimuth=-40)
    both = Path(shutil.copytree(source, tmp_path / "both"))
    shutil.copy(side / "portrait.png", both / "a_side.png")
    listed = json.loads((side / "landmarks.json").read_text()) | {"image": "a_side.png", "found_by": synthetic.FOUND_BY}
    (both / "landmarks.json").rename(both / "landmarks_front.json")
    (both / "landmarks_a_side.json").write_text(json.dumps(listed))
    names = ("portrait.png", "a_side.png")
    write_consent(both, source_sha256={n: synthetic.sha256_of_file(both / n) for n in names})
    for model, used in (("inswapper_128.onnx", [True, True]), ("uniface_256.onnx", [False, True])):
        photos = run(round_capture.folder, both, tmp_path / model, models, model=model).report["photos"]
        assert [p["photo"] for p in photos] == ["a_side.png", "portrait.png"]
        assert [p["used"] for p in photos] == used
        assert [p.get("found_by") for p in photos] == [synthetic.FOUND_BY, None]


def test_what_is_missing_or_wrong_is_one_sentence_and_nothing_is_written(
    round_capture: Capture, source: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(shutil.copytree(models, tmp_path / "models"))
    (own / "folder.onnx").mkdir()
    (own / "cut.onnx").write_bytes((own / "inswapper_128.onnx").read_bytes()[:4000])
    networks.write_swapper(own / "no_emap.onnx", "inswapper_128")
    square, oblong = b"\x08\x80\x04\x08\x80\x04\x10\x01", b"\x08\x80\x08\x08\x80\x02\x10\x01"  # 512 x 512, 1024 x 256
    (own / "no_emap.onnx").write_bytes((own / "no_emap.onnx").read_bytes().replace(square, oblong))
    for words, changes in {
        "needs a model": {"model": ""},
        "no model gone.onnx": {"model": "gone.onnx"},
        "folder.onnx is a folder": {"model": "folder.onnx"},
        "cut.onnx is damaged": {"model": "cut.onnx"},
        "no dfm: it has": {"kind": "dfm"},
        "signature that is not known": {"model": networks.RECOGNISER},
        f"not the expected {DIGEST}": {"sha256": {"inswapper_128.onnx": DIGEST}},
        "crossface.onnx, which is not used": {"sha256": {networks.CONVERTER: DIGEST}},
        "so it needs a recogniser": {"recogniser": ""},
        "is no face recogniser: it has": {"recogniser": "dfm.dfm"},
        "needs a converter": {"model": "ghost_256.onnx"},
        "is no converter of embeddings": {"model": "ghost_256.onnx", "converter": "dfm.dfm"},
        "cannot run as asked: CUDAExecutionProvider": {"providers": ["CUDAExecutionProvider"]},
        "holds no 512 x 512 matrix": {"model": "no_emap.onnx"},
    }.items():
        with pytest.raises(InputError, match=words):
            run(round_capture.folder, source, tmp_path / "out", own, **changes)
    with pytest.raises(InputError, match="Name CUDAExecutionProvider as"):
        settings = SwapSettings(swapper="onnx", engine="cuda", onnx=OnnxSettings(model="dfm.dfm"))
        swap(round_capture.folder, source, tmp_path / "out", settings, swapper=OnnxSwapper(lambda: ModelFolder(own)))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match="needs the package onnxruntime"):
        run(round_capture.folder, source, tmp_path / "out", own)
    assert not (tmp_path / "out").exists()


def test_landmarks_that_lie_on_no_face_are_refused(
    round_capture: Capture, source: Path, models: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    points = np.array(list(json.loads((folder / "landmarks.json").read_text())["points"].values()))
    for words, moved in (
        ("outside the photo", points + [200, 0]),
        ("mirrored", points * [-1, 1] + [360, 0]),
        ("span only", points * 0.05 + 100),
    ):
        write_landmarks(folder, moved)
        with pytest.raises(InputError, match=words):
            run(round_capture.folder, folder, tmp_path / "out", models)
    assert not (tmp_path / "out").exists()


def test_an_own_recogniser_needs_no_converter_and_a_passed_over_provider_is_a_warning(
    round_capture: Capture, source: Path, models: Path, tmp_path: Path
) -> None:
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    found = run(
        round_capture.folder, source, tmp_path / "out", models, model="ghost_256.onnx", converter="none", licence="",
        providers=providers,
    )  # fmt: skip
    assert [m["role"] for m in found.report["models"]] == ["swapper", "recogniser"]
    assert "CUDAExecutionProvider is not in this onnxruntime" in found.warnings[0]
    assert "CPUExecutionProvider is used." in found.warnings[0]
    assert found.warnings[1] == "The licence of ghost_256.onnx was not stated."
    assert found.report["licence"] == "not stated by the user"


def test_only_back_views_is_a_warning(source: Path, models: Path, tmp_path: Path) -> None:
    capture = synthetic.write_capture(tmp_path / "capture", views=(180,))
    found = run(capture.folder, source, tmp_path / "out", models)
    assert found.warnings == ("No view shows the face: all are left as they were.",)


def test_cancelling_stops_before_anything_is_written(round_capture: Capture, source: Path, models: Path) -> None:
    swapper = OnnxSwapper(lambda: ModelFolder(models))
    settings = SwapSettings(onnx=OnnxSettings(model="dfm.dfm"))
    with pytest.raises(Cancelled):
        swapper.prepare(round_capture, load_source(source), settings, None, lambda: True)


def test_the_command_line(
    round_capture: Capture, source: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["swap", "--capture", round_capture.folder, "--source", source, "--out", tmp_path / "out"]
    words += ["--swapper", "onnx", "--models", models, "--model", "simswap_unofficial_512.onnx"]
    words += ["--recogniser", networks.RECOGNISER, "--converter", networks.CONVERTER, "--licence", "made by code"]
    words += ["--providers", "CUDAExecutionProvider,CPUExecutionProvider"]
    assert cli.main(list(map(str, words))) == 0
    said = capsys.readouterr().out
    digest = synthetic.sha256_of_file(models / "simswap_unofficial_512.onnx")
    assert f"swapper simswap_unofficial_512.onnx, SHA-256 {digest}" in said
    assert "CPUExecutionProvider computes" in said and "licence: as stated by the user: made by code" in said
    assert "1 of 3 views left alone" in said and "Note: CUDAExecutionProvider is not in this onnxruntime" in said
    assert cli.main([*map(str, words), "--expect", f"simswap_unofficial_512.onnx={DIGEST}"]) == 2
    assert f"not the expected {DIGEST}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main([*map(str, words), "--expect", "nothing"])


def test_a_whole_job_is_refused_before_anything_is_rendered(
    source: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["run", "--blend", tmp_path / "none.blend", "--source", source, "--out", tmp_path / "out"]
    for model, recogniser, message in (
        ("gone.onnx", "", "no model gone.onnx"),
        ("ghost_256.onnx", "", "so it needs a recogniser"),
        ("ghost_256.onnx", networks.RECOGNISER, "needs a converter"),
        ("inswapper_128.onnx", networks.CONVERTER, "is no face recogniser"),
        ("inswapper_128.onnx", networks.RECOGNISER, "none.blend"),  # the networks are fine
    ):
        monkeypatch.setenv(MODELS_VARIABLE, str(models))
        more = ["--swapper", "onnx", "--model", model, "--recogniser", recogniser]
        assert cli.main([str(w) for w in [*words, *more]]) == 2
        assert message in capsys.readouterr().err
    assert cli.main([str(w) for w in [*words, "--swapper", "magic"]]) == 2
    assert 'no swapper called "magic"' in capsys.readouterr().err


def test_the_list_of_models(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = Path(shutil.copytree(models, tmp_path / "models"))
    (own / "text.onnx").write_text("no network")
    assert cli.main(["models", "--models", str(own)]) == 0
    said = capsys.readouterr().out
    assert "inswapper_128.onnx: swapper, inswapper_128 (its makers' licence: non-commercial (InsightFace))" in said
    assert f"{networks.RECOGNISER}: recogniser" in said and f"{networks.CONVERTER}: converter" in said
    assert "dfm.dfm: swapper, dfm" in said and "text.onnx: cannot be used." in said
    for name in networks.KINDS:
        assert synthetic.sha256_of_file(own / networks.file_name(name)) in said
    (tmp_path / "empty").mkdir()
    assert cli.main(["models", "--models", str(tmp_path / "empty")]) == 0
    assert "No networks in" in capsys.readouterr().out
    assert cli.main(["models", "--models", str(tmp_path / "nowhere")]) == 2
