# SPDX-License-Identifier: Apache-2.0
"""The manifest: complete, without personal data, and every kind of tampering is found."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend import provenance
from interchange.consent import load_consent
from interchange.errors import InputError

CONSENT = {
    "format": "digidouble-consent", "version": 1, "kind": "employment", "subject": "Jane Example",
    "granted_by": "Jane Example", "authority": "self", "use": "a test", "operations": ["swap"], "expires": None,
    "source_sha256": {},
}  # fmt: skip


@pytest.fixture
def job(tmp_path: Path) -> Path:
    for name, text in {
        "capture/capture.json": "{}", "capture/views/v0.exr": "pixels", "source/portrait.png": "face",
        "source/consent.json": json.dumps(CONSENT), "double/splats.ply": "ply", "double/renders/h0.png": "png",
        "double/metrics.json": "{}",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    write(tmp_path)
    return tmp_path


def write(job: Path, **changes: object) -> Path:
    options = {
        "inputs": {"capture": job / "capture", "source": job / "source"},
        "parameters": {"splats": 3, "swap": {"blend": "poisson"}},
        "consent": job / "source/consent.json",
        "commit": "0" * 40,
        "created": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    }
    return provenance.write_manifest(job / "double", **(options | changes))


def reseal(path: Path, change: object) -> None:
    """Change a manifest and give it a digest that fits again."""
    manifest = json.loads(path.read_text())
    change(manifest)
    content = {k: v for k, v in manifest.items() if k != "digest"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    path.write_text(json.dumps(content | {"digest": hashlib.sha256(canonical).hexdigest()}))


def kinds(job: Path) -> list[tuple[str, str]]:
    return [(p.path, p.kind) for p in provenance.verify(job / "double")]


def test_manifest_names_everything(job: Path) -> None:
    manifest = json.loads((job / "double/manifest.json").read_text())
    assert manifest["format"] == "digidouble-manifest" and manifest["version"] == 1
    assert manifest["created"] == "2026-01-02T03:04:05Z"
    assert manifest["inputs"] == {
        name: hashlib.sha256((job / name).read_bytes()).hexdigest()
        for name in ("capture/capture.json", "capture/views/v0.exr", "source/consent.json", "source/portrait.png")
    }
    assert manifest["outputs"]["splats.ply"] == {"sha256": hashlib.sha256(b"ply").hexdigest(), "bytes": 3}
    assert set(manifest["outputs"]) == {"splats.ply", "metrics.json", "renders/h0.png"}
    assert manifest["parameters"]["swap"] == {"blend": "poisson"}
    assert [a["action"] for a in manifest["actions"]] == [
        "c2pa.created", "c2pa.opened", "c2pa.edited", "c2pa.converted",
    ]  # fmt: skip
    assert manifest["digital_source_type"].endswith("/compositeSynthetic")
    assert manifest["software"]["python"].startswith("3.")


def test_untouched_double_verifies_also_when_written_again_or_moved(job: Path) -> None:
    assert provenance.verify(job / "double") == []
    write(job)
    assert kinds(job) == []
    (job / "double").rename(job / "elsewhere")
    (job / "source").rename(job / "archive")
    assert provenance.verify(job / "elsewhere") == []


def test_no_personal_data_and_no_machine_path(job: Path) -> None:
    text = (job / "double/manifest.json").read_text()
    assert "Jane" not in text and str(job) not in text
    summary = json.loads(text)["consent"]
    assert summary["sha256"] == hashlib.sha256((job / "source/consent.json").read_bytes()).hexdigest()
    assert summary["kind"] == "employment" and summary["operations"] == ["swap"]
    assert summary["subject"].startswith("subject-") and len(summary["subject"]) == 20


def test_no_name_can_be_tried_against_the_pseudonym(job: Path) -> None:
    summary = json.loads((job / "double/manifest.json").read_text())["consent"]
    for text in (f"{summary['sha256']}:Jane Example", f"Jane Example:{summary['sha256']}", "Jane Example"):
        assert hashlib.sha256(text.encode()).hexdigest()[:12] not in summary["subject"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_record_that_the_gate_lets_pass_can_be_signed(job: Path, encoding: str) -> None:
    record = job / "source/consent.json"
    record.write_bytes(json.dumps(CONSENT | {"subject": "Jörg"}, ensure_ascii=False).encode(encoding))
    assert load_consent(job / "source").subject == "Jörg"
    write(job)
    assert provenance.verify(job / "double") == []


def test_synthetic_subjects_keep_their_name(job: Path) -> None:
    record = job / "source/consent.json"
    record.write_text(json.dumps(CONSENT | {"kind": "synthetic", "subject": "head-b"}))
    assert provenance.consent_summary(record)["subject"] == "head-b"


def test_tampering_with_outputs_is_found(job: Path) -> None:
    double = job / "double"
    (double / "splats.ply").write_text("PLY")  # same length
    (double / "metrics.json").write_text("{} ")
    (double / "renders/h0.png").unlink()
    (double / "renders/h1.png").write_text("new")
    (double / "renders/h2.png.part").write_text("a download in progress is no output")
    assert sorted(kinds(job)) == [
        ("metrics.json", "changed"), ("renders/h0.png", "missing"), ("renders/h1.png", "extra"),
        ("splats.ply", "changed"),
    ]  # fmt: skip


def test_a_report_made_anew_stays_verified_and_hides_nothing(job: Path) -> None:
    before = json.loads(write(job).read_text())
    (job / "double/report.html").write_text("new")
    provenance.renew_manifest(job / "double", provenance.REPORT)
    assert kinds(job) == []
    after = provenance.read_manifest(job / "double")
    assert after["outputs"]["report.html"]["bytes"] == 3 and after["created"] == before["created"]
    (job / "double/splats.ply").write_bytes(b"other splats")
    (job / "double/metrics.json").write_text('{"better": true}')
    (job / "double/report.html").write_text("newer")
    provenance.renew_manifest(job / "double", provenance.REPORT)
    assert sorted(kinds(job)) == [("metrics.json", "changed"), ("splats.ply", "changed")]


def test_tampering_with_inputs_and_consent_is_found(job: Path) -> None:
    (job / "source/consent.json").write_text(json.dumps(CONSENT | {"use": "anything"}))
    assert kinds(job) == [("source/consent.json", "changed")]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"format": "digidouble-manifest"}', '{"format": "digidouble-manifest", "version": 9}'],
)
def test_damaged_manifest_is_one_problem(job: Path, text: str) -> None:
    (job / "double/manifest.json").write_text(text)
    assert kinds(job) == [("manifest.json", "damaged")]


def test_missing_manifest_and_edited_manifest(job: Path) -> None:
    path = job / "double/manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"parameters": {}}))
    assert kinds(job) == [("manifest.json", "damaged")]
    path.unlink()
    assert kinds(job) == [("manifest.json", "missing")]


def test_swap_without_or_with_another_consent_is_a_problem(job: Path) -> None:
    path = job / "double/manifest.json"
    reseal(path, lambda m: m.update(consent=None))
    assert kinds(job) == [("manifest.json", "consent")]
    write(job)
    reseal(path, lambda m: m["consent"].update(sha256="f" * 64, operations=["voice"]))
    assert kinds(job) == [("manifest.json", "consent"), ("manifest.json", "consent")]
    reseal(path, lambda m: m.pop("inputs"))
    assert kinds(job) == [("manifest.json", "damaged")]


def test_plain_fit_needs_no_consent_and_is_a_digital_creation(job: Path) -> None:
    path = write(job, consent=None, inputs={"capture": job / "capture"})
    manifest = json.loads(path.read_text())
    assert manifest["consent"] is None and manifest["digital_source_type"].endswith("/digitalCreation")
    assert kinds(job) == []


def test_unreadable_inputs_and_records_are_refused_and_leave_the_old_manifest(job: Path) -> None:
    before = (job / "double/manifest.json").read_bytes()
    with pytest.raises(InputError, match="nowhere"):
        write(job, inputs={"x": job / "nowhere"})
    (job / "source/consent.json").write_text('{"kind": "synthetic"}')
    with pytest.raises(InputError, match="consent"):
        write(job)
    assert (job / "double/manifest.json").read_bytes() == before


def test_commit_is_read_from_a_checkout(tmp_path: Path) -> None:
    assert provenance.current_commit(tmp_path) is None
    git = tmp_path / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "refs/heads/main").write_text("a" * 40 + "\n")
    assert provenance.current_commit(tmp_path) == "a" * 40
    (git / "refs/heads/main").unlink()
    (git / "packed-refs").write_text("# pack-refs\n" + "b" * 40 + " refs/heads/main\n")
    assert provenance.current_commit(tmp_path) == "b" * 40
    (git / "HEAD").write_text("c" * 40 + "\n")
    assert provenance.current_commit(tmp_path) == "c" * 40


def test_the_manifest_says_which_engine_fitted_and_why(job: Path) -> None:
    def of_the_fit() -> str:
        return provenance.read_manifest(job / "double")["actions"][-1]["description"]

    assert of_the_fit() == provenance.FITTED.description
    result = {"engine": "cuda", "engine_reason": "CUDA runs on an Imaginary 5090."}
    (job / "double/fit.json").write_text(json.dumps({"result": result}))
    write(job)
    assert of_the_fit() == "3D Gaussians fitted to the views. Engine cuda: CUDA runs on an Imaginary 5090."
    assert kinds(job) == []
    for damaged in ("", "[]", '{"result": {"engine": "cuda"}}'):
        (job / "double/fit.json").write_text(damaged)
        write(job)
        assert of_the_fit() == provenance.FITTED.description


def test_networks_of_a_swap_are_named(job: Path) -> None:
    swapped = job / "swapped"
    swapped.mkdir()
    assert provenance.networks_of(swapped) == provenance.networks_of(None) == []
    (swapped / "swap.json").write_text('{"swapper": "uv"}')
    assert provenance.networks_of(swapped) == []
    model = {"role": "swapper", "file": "a.onnx", "sha256": "ab" * 32, "kind": "ghost_256"}
    report = {"models": [model | {"provider": "CPUExecutionProvider", "nodes": {}}], "licence": "mine"}
    (swapped / "swap.json").write_text(json.dumps(report))
    networks = provenance.networks_of(swapped)
    assert networks == [model | {"licence": "mine"}]
    write(job, networks=networks)
    manifest = json.loads((job / "double/manifest.json").read_text())
    assert manifest["digital_source_type"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert manifest["networks"] == networks
    assert any("view by view by a network: a.onnx (ghost_256)" in a["description"] for a in manifest["actions"])
    assert provenance.verify(job / "double") == []


def test_what_is_not_known_to_be_rendered_is_not_called_so(tmp_path: Path) -> None:
    """Photos with known cameras, from COLMAP say, have no capture.json."""
    views = provenance.views_action(tmp_path)
    assert views.action == "c2pa.opened" and "rendered" not in views.description
    assert provenance.source_type(False, [], views).endswith("/composite")
    for name, words in (("EEVEE", "Blender EEVEE."), ("CYCLES", "Cycles."), ("", "Blender.")):
        (tmp_path / "capture.json").write_text(json.dumps({"renderer": {"engine": name}}))
        views = provenance.views_action(tmp_path)
        assert views.description.endswith(words) and provenance.source_type(False, [], views) == provenance.RENDER


@pytest.mark.parametrize(
    ("report", "words"),
    [({"swapper": "uv"}, "texture space"), ({"swapper": "classical"}, "warped photo."), (None, "texture space"),
     ({"swapper": "classical", "consistency": {}}, "warped photo, and the views joined")],
)  # fmt: skip
def test_the_swap_is_called_what_it_was(tmp_path: Path, report: dict | None, words: str) -> None:
    if report is not None:
        (tmp_path / "swap.json").write_text(json.dumps(report))
    assert words in provenance.swap_action(tmp_path).description


@pytest.mark.parametrize("consent", ["none", "another"])
def test_a_manifest_that_contradicts_the_fit_is_found(job: Path, consent: str) -> None:
    (job / "double/fit.json").write_text(json.dumps({"consent": "ab" * 32}))
    if consent == "none":  # as if it were a plain fit of an avatar
        write(job, consent=None)
    else:
        write(job)
    assert kinds(job) == [("manifest.json", "consent")]
    digest = hashlib.sha256((job / "source/consent.json").read_bytes()).hexdigest()
    (job / "double/fit.json").write_text(json.dumps({"consent": digest}))
    write(job)
    assert kinds(job) == []
