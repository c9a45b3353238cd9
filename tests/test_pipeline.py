# SPDX-License-Identifier: Apache-2.0
"""The order of a job's stages, its progress, its refusals; the stages themselves have tests of their own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import attrs
import pytest

from backend import pipeline, provenance
from backend.faceswap.settings import SwapSettings
from backend.fitting.settings import FitSettings
from interchange.errors import Cancelled, InputError
from interchange.landmarks import write_landmarks
from tests.faceswap import synthetic
from tests.fitting.scene import make_capture


def toy_kind(monkeypatch: pytest.MonkeyPatch, log: list[str]) -> None:
    def stage(name: str) -> pipeline.Stage:
        def run(job: pipeline.JobContext) -> None:
            log.append(name)
            job.progress(name, 0.5, "half")
            job.folders.double.mkdir(parents=True, exist_ok=True)
            (job.folders.double / f"{name}.txt").write_text(name)
            (job.folders.double / "checkpoint_1.bin").write_text("big")
            (job.folders.double / "per_view").mkdir(exist_ok=True)
            (job.folders.double / "per_view" / "view.exr").write_text("big")

        return pipeline.Stage(name, 0.5, run)

    monkeypatch.setitem(pipeline.KINDS, "toy", (stage("first"), stage("second")))


def run_toy(tmp_path: Path, kind: str = "toy", cancelled: bool = False) -> list[tuple[str, float]]:
    seen: list[tuple[str, float]] = []
    folders = [tmp_path / name for name in ("inputs", "work", "outputs")]
    pipeline.run_job(kind, {}, *folders, lambda s, f, m: seen.append((s, round(f, 3))), lambda: cancelled)
    return seen


def test_stages_run_in_order_and_publish_without_scaffolding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    toy_kind(monkeypatch, log)
    seen = run_toy(tmp_path)
    assert log == ["first", "second"]
    assert [f for _, f in seen] == sorted(f for _, f in seen) and seen[-1] == ("done", 1.0)
    assert sorted(p.name for p in (tmp_path / "outputs/double").iterdir()) == ["first.txt", "second.txt"]
    assert (tmp_path / "outputs/timings.json").exists()
    run_toy(tmp_path)  # publishing over an earlier attempt's results is fine


def test_unknown_kind_and_cancel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    toy_kind(monkeypatch, log)
    with pytest.raises(InputError, match="no job of kind nonsense"):
        run_toy(tmp_path, kind="nonsense")
    with pytest.raises(Cancelled):
        run_toy(tmp_path, cancelled=True)
    assert log == []


def test_a_double_without_consent_is_refused_before_any_work(tmp_path: Path) -> None:
    source = tmp_path / "inputs/source"
    source.mkdir(parents=True)
    points = {str(i): [10 + i, 10 + i] for i in range(68)}
    landmarks = {"format": "digidouble-landmarks", "version": 1, "image": "portrait.png", "points": points}
    (source / "landmarks.json").write_text(json.dumps(landmarks))
    with pytest.raises(InputError, match="has no consent record") as caught:
        run_toy(tmp_path, kind="double")
    assert caught.value.code == "CONSENT"
    assert not (tmp_path / "work/swapped").exists()


@pytest.mark.parametrize(
    "values",
    [{"iterations": "many"}, {"no_such_thing": 1}, {"splats": -4}, {"early_stop": "false"}, {"iterations": 900.9},
     {"iterations": True}, {"robust": "0.1"}, {"engine": None}, {"seed": -1}, [], "all", None],
)  # fmt: skip
def test_unusable_settings_are_one_sentence(values: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        pipeline.settings_from(values, FitSettings)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("values", [{"robust": 0.9}, {"iterations": 0}, {"splats": 100, "max_splats": 10}])
def test_a_setting_out_of_range_is_told_in_its_own_words(values: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"^The fit's setting {list(values)[-1]} is {list(values.values())[-1]}, not"):
        pipeline.settings_from(values, FitSettings)


@pytest.mark.parametrize("kind", ["double", "fit"])
def test_misspelt_parameters_are_refused(tmp_path: Path, kind: str) -> None:
    folders = [tmp_path / name for name in ("inputs", "work", "outputs")]
    with pytest.raises(InputError, match="no parameters called fitt"):
        pipeline.run_job(kind, {"fitt": {"splats": 10}}, *folders, lambda *_: None, lambda: False)


def test_settings_round_trip() -> None:
    assert pipeline.settings_from({"rate_scale": 2, "time_budget_s": None}, FitSettings).rate_scale == 2.0
    assert pipeline.settings_from({"tone": 0.25}, SwapSettings).tone == 0.25
    assert pipeline.settings_from({"smoothing": None}, SwapSettings).smoothing is None
    assert pipeline.settings_from({"smoothing": 0.5, "brows": 0.0}, SwapSettings).parts()["brows"] == 0


@pytest.mark.slow
def test_a_job_without_a_swap_fits_the_capture_itself(tmp_path: Path) -> None:
    make_capture(tmp_path / "inputs" / "capture", train=4, held_out=1, size=32)
    folders = [tmp_path / name for name in ("inputs", "work", "outputs")]
    seen: list[str] = []
    parameters = {"fit": {"iterations": 10, "splats": 300, "engine": "cpu"}}
    result = pipeline.run_job("fit", parameters, *folders, lambda s, f, m: seen.append(s), lambda: False)
    outputs = tmp_path / "outputs"
    assert set(result["timing_s"]) == {"fit", "sign"} and "swap" not in seen
    assert (outputs / "double" / "splats.ply").exists() and not (outputs / "swapped").exists()
    manifest = json.loads((outputs / "double" / "manifest.json").read_text())
    assert manifest["consent"] is None, "nobody's face is in it"
    with pytest.raises(InputError, match="setting iterations is 0"):
        pipeline.run_job("fit", {"fit": {"iterations": 0}}, *folders, lambda *_: None, lambda: False)


CONSENT = {
    "format": "digidouble-consent", "version": 1, "kind": "employment", "subject": "Jane Example",
    "granted_by": "Jane Example", "authority": "self", "use": "a test", "operations": ["swap"], "expires": None,
    "source_sha256": {},
}  # fmt: skip


def write_swapped(folder: Path, consent: bytes) -> None:
    """A folder as a swap leaves it, as far as its origin goes."""
    capture = make_capture(folder, train=4, held_out=1, size=32)
    capture.provenance = {"swap": {"swapper": "uv", "report": "swap.json"}, "capture": {}}
    capture.save_manifest()
    digests = {"consent": hashlib.sha256(consent).hexdigest()}
    (folder / "swap.json").write_text(json.dumps({"format": "digidouble-swap", "version": 1, "digests": digests}))


def run_fit(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("inputs", "work", "outputs")]
    parameters = {"fit": {"iterations": 10, "splats": 300, "engine": "cpu"}}
    pipeline.run_job("fit", parameters, *folders, lambda *_: None, lambda: False)


@pytest.mark.parametrize("given", [None, {"use": "another"}, {"expires": "2020-01-01"}])
def test_swapped_pictures_are_not_fitted_without_their_own_consent(tmp_path: Path, given: dict | None) -> None:
    record = json.dumps(CONSENT | (given if given and "expires" in given else {})).encode()
    write_swapped(tmp_path / "inputs/capture", record)
    if given is not None:
        (tmp_path / "inputs/source").mkdir()
        (tmp_path / "inputs/source/consent.json").write_text(json.dumps(CONSENT | given))
    with pytest.raises(InputError, match=r"swapped|expired") as caught:
        run_fit(tmp_path)
    assert caught.value.code == "CONSENT" and not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_a_double_of_swapped_pictures_says_so(tmp_path: Path) -> None:
    record = json.dumps(CONSENT).encode()
    write_swapped(tmp_path / "inputs/capture", record)
    (tmp_path / "inputs/source").mkdir()
    (tmp_path / "inputs/source/consent.json").write_bytes(record)
    run_fit(tmp_path)
    manifest = json.loads((tmp_path / "outputs/double/manifest.json").read_text())
    assert manifest["consent"]["sha256"] == hashlib.sha256(record).hexdigest()
    assert manifest["digital_source_type"].endswith("/compositeSynthetic")


@pytest.mark.parametrize("named", ["capture", "swapped"])
def test_no_double_of_a_swapped_face_is_signed_as_a_plain_one(tmp_path: Path, named: str) -> None:
    """Whatever the folder of the swapped pictures is called: the fit has noted what it was given."""
    (tmp_path / "double").mkdir()
    (tmp_path / "double/splats.ply").write_text("ply")
    if named == "capture":
        write_swapped(tmp_path / "capture", b"{}")
    else:
        make_capture(tmp_path / "capture", train=1, held_out=1, size=16)
        (tmp_path / "double/fit.json").write_text(json.dumps({"consent": hashlib.sha256(b"{}").hexdigest()}))
    with pytest.raises(InputError, match="shows a swapped face") as caught:
        pipeline.sign(tmp_path / "double", tmp_path / "capture", None, {})
    assert caught.value.code == "CONSENT" and not (tmp_path / "double/manifest.json").exists()


@pytest.mark.parametrize("key", ["file_path", "mask_path", "ply_file_path", "link"])
def test_a_job_reads_no_pictures_but_its_own(tmp_path: Path, key: str) -> None:
    """A service computes for several people; a path in one's transforms.json is not to reach another's files."""
    other, own = tmp_path / "other/capture", tmp_path / "inputs/capture"
    make_capture(other, train=3, held_out=0, size=16)
    make_capture(own, train=3, held_out=0, size=16)
    (own / "capture.json").unlink()
    transforms = json.loads((own / "transforms.json").read_text())
    stolen = next((other / "previews").glob("*.png"))
    if key == "ply_file_path":
        axes = [f"property float {axis}" for axis in "xyz"]
        lines = ["ply", "format ascii 1.0", "element vertex 1", *axes, "end_header", "0 0 0", ""]
        (other / "points.ply").write_text("\n".join(lines))
        transforms[key] = "../../other/capture/points.ply"
    elif key == "link":
        (own / transforms["frames"][0]["file_path"]).unlink()
        (own / transforms["frames"][0]["file_path"]).symlink_to(stolen)
    else:
        name = f"../../other/capture/previews/{stolen.name}"
        transforms["frames"][0][key] = str(stolen) if key == "mask_path" else name
        transforms.pop("train_filenames")
    (own / "transforms.json").write_text(json.dumps(transforms))
    with pytest.raises(InputError, match="not in its folder") as caught:
        run_fit(tmp_path)
    assert caught.value.code == "INPUT_PATH" and str(tmp_path) not in str(caught.value)


def test_a_double_that_nothing_could_measure_is_refused_before_any_work(tmp_path: Path) -> None:
    capture = synthetic.write_capture(tmp_path / "inputs/capture", views=(0,))
    synthetic.write_source(tmp_path / "inputs/source")
    first = attrs.evolve(capture.views[0], split="train")
    other = attrs.evolve(first, name="h", split="held_out", pose="smile")  # held out, but of another pose
    capture.poses.append(attrs.evolve(capture.poses[0], name="smile"))
    capture.views = [first, other]
    capture.save_manifest()
    folders = [tmp_path / name for name in ("inputs", "work", "outputs")]
    with pytest.raises(InputError, match="no held-out views of its first pose"):
        pipeline.run_job("double", {}, *folders, lambda *_: None, lambda: False)
    assert not (tmp_path / "work/swapped").exists()


def test_a_manifest_names_no_file_that_the_swap_has_not_read(tmp_path: Path) -> None:
    make_capture(tmp_path / "capture", train=1, held_out=1, size=16)
    (tmp_path / "double").mkdir()
    source = tmp_path / "source"
    source.mkdir()
    for name in ("front.png", "Jane_Example_contract.pdf", "consent.json"):
        (source / name).write_text(json.dumps(CONSENT))
    write_landmarks(source / "landmarks.json", "front.png", {30: (1.0, 2.0)})
    pipeline.sign(tmp_path / "double", tmp_path / "capture", source, {})
    text = (tmp_path / "double/manifest.json").read_text()
    named = {name for name in json.loads(text)["inputs"] if name.startswith("source/")}
    assert named == {"source/front.png", "source/landmarks.json", "source/consent.json"} and "Jane" not in text
    assert provenance.verify(tmp_path / "double") == []
