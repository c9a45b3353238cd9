# SPDX-License-Identifier: Apache-2.0
"""The command line: help for artists, one sentence and exit code 2 for unusable input."""

from __future__ import annotations

import argparse
import errno
import json
import signal
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from PIL import Image

from backend import cli
from backend.commands import _arguments
from backend.faceswap.settings import SwapSettings
from interchange.errors import InputError

from .test_provenance import CONSENT


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    assert len(capsys.readouterr().out) > 100


@pytest.mark.parametrize(
    "arguments",
    [
        ["swap", "--capture", "nowhere", "--source", "nowhere", "--out", "x"],
        ["swap", "--capture", "nowhere", "--source", "nowhere", "--out", "x", "--swapper", "magic"],
        ["fit", "nowhere", "--out", "x"],
        ["fit", ".", "--out", "x"],
        ["render", "nowhere", "--out", "x"],
        ["fit", "nowhere", "--out", "x", "--splats", "-3"],
        ["fit", "nowhere", "--out", "x", "--robust", "0.9"],
        ["export", "nowhere", "--out", "x.ply"],
        ["export", "nowhere", "--out", "x.obj"],
        ["evaluate", "nowhere", "--capture", "nowhere"],
        ["report", "nowhere"],
        ["jobs", "--state", "nowhere"],
        ["watch", "job", "--state", "nowhere"],
        ["cancel", "job", "--state", "nowhere"],
        ["logs", "job", "--state", "nowhere"],
        ["prioritise", "job", "--state", "nowhere"],
        ["delete", "job", "--state", "nowhere"],
        ["stats", "--state", "nowhere"],
        ["gc", "--state", "nowhere"],
        ["run", "--blend", "nowhere.blend", "--source", "nowhere", "--out", "x"],
        ["avatar"],
        ["source", "--photo", "a.png", "--landmarks", "b.json", "--subject", "S", "--granted-by", "S", "--use", "u",
         "--out", "x"],
    ],
)  # fmt: skip
def test_unusable_input_is_one_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert f"digidouble {arguments[0]}: " in error and "Traceback" not in error
    assert not (tmp_path / "x").exists() or arguments[0] == "source"


def test_a_missing_manifest_fails_verification(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "missing" in said and "1 problem." in said


def test_a_missing_double_is_said_before_anything_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = str(tmp_path / "gone")
    for words in (["verify", gone], ["report", gone], ["evaluate", gone, "--capture", "nowhere"]):
        assert cli.main(words) == 2
        error = capsys.readouterr().err
        assert gone in error and "capture" not in error


def test_a_report_without_its_capture_says_which_option_to_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "splats.ply").write_text("looked at later")
    for command in ("report", "evaluate"):
        assert cli.main([command, str(tmp_path)]) == 2
        assert "--capture" in capsys.readouterr().err


def test_a_double_is_imported_by_its_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("backend.commands.import_splats.run_blender", lambda _, words, *__: seen.append(words))
    (tmp_path / "splats.ply").write_text("Blender reads it")
    for given in (tmp_path, tmp_path / "splats.ply"):
        assert cli.main(["import", "--splats", str(given), "--out", "x.blend"]) == 0
    assert all(words[words.index("--splats") + 1] == tmp_path / "splats.ply" for words in seen) and len(seen) == 2


def test_a_full_disk_in_words() -> None:
    assert "The disk is full (a/b). Make room" in cli.describe_os_error(OSError(errno.ENOSPC, "No space", "a/b"))
    assert "Choose another place" in cli.describe_os_error(OSError(errno.EACCES, "Permission denied"))
    assert "where a folder is needed (a/b)" in cli.describe_os_error(OSError(errno.ENOTDIR, "Not a directory", "a/b"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["capture", "--blend", "a.blend", "--out", "x", "--train", "many"],
        ["capture", "--blend", "a.blend", "--out", ""],
        ["capture", "--blend", "a.blend", "--out", "x", "--size", "1"],
        ["demo", "--out", "x", "--train", "0"],
        ["demo", "--out", "x", "--held-out", "0"],
        ["run", "--blend", "a.blend", "--source", "s", "--out", "x", "--samples", "0"],
        ["run", "--blend", "a.blend", "--source", "s", "--out", "x", "--part", "nose=1"],
        ["swap", "--capture", "c", "--source", "s", "--out", "x", "--part", "lips"],
        ["swap", "--capture", "c", "--source", "s", "--out", "x", "--harmonize", "magic"],
        ["fit", "x", "--out", "x", "--seed", "-1"],
        ["fit", "x", "--out", "x", "--densify", "more"],
        ["fit"],
    ],
)
def test_wrong_options_are_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and error.startswith("digidouble") and "--help" in error


def test_a_bug_is_one_sentence_and_its_traceback_is_kept(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError("one by zero\nand more")

    monkeypatch.setattr("backend.commands.verify.run", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cli.main(["verify", "x"]) == 1
    error = capsys.readouterr().err
    [log] = tmp_path.glob("digidouble-error-*.log")
    assert f"(ZeroDivisionError: one by zero), which is its own fault. Please report it with {log}." in error
    assert "Traceback" not in error and "in broken" in log.read_text()


def test_kill_ends_a_command_like_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("backend.commands.verify.run", lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        assert cli.main(["verify", "x"]) == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "Stopped" in capsys.readouterr().err


def test_a_bad_photo_or_record_leaves_an_earlier_source_in_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (200, 200, 3), dtype=np.uint8)).save(tmp_path / "me.png")
    marks = {"format": "digidouble-landmarks", "version": 1, "points": {str(i): [50 + i, 60] for i in range(68)}}
    (tmp_path / "marks.json").write_text(json.dumps(marks))
    (tmp_path / "text.png").write_text("no picture")
    out = tmp_path / "source"
    usual = {"photo": tmp_path / "me.png", "landmarks": tmp_path / "marks.json", "subject": "S", "granted-by": "S",
             "use": "tests", "out": out}  # fmt: skip

    def source(**changes: object) -> int:
        options = usual | {name.replace("_", "-"): value for name, value in changes.items()}
        return cli.main(["source", *(str(word) for name, value in options.items() for word in (f"--{name}", value))])

    assert source() == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(before) == {"portrait.png", "landmarks.json", "consent.json"}
    for change in ({"photo": tmp_path / "text.png"}, {"expires": "2001-01-01"}, {"subject": " "}):
        assert source(**change) == 2
        error = capsys.readouterr().err
        assert "photo" not in change or str(tmp_path / "text.png") in error
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert source(photo=out / "portrait.png", landmarks=out / "landmarks.json") == 0  # again from its own files


def test_no_command_shows_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    shown = capsys.readouterr().err
    assert all(name in shown for name in cli.COMMANDS)


def test_the_report_signs_a_double_made_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("capture", "source", "swapped", "double"):
        (tmp_path / name).mkdir()
    (tmp_path / "capture/capture.json").write_text("{}")
    (tmp_path / "source/consent.json").write_text(json.dumps(CONSENT))
    (tmp_path / "double/splats.ply").write_text("ply")
    monkeypatch.setattr("backend.commands.report.build_report", lambda double, *_: double / "report.html")
    assert cli.main(["report", str(tmp_path / "double")]) == 0
    assert cli.main(["verify", str(tmp_path / "double")]) == 0
    (tmp_path / "double/report.html").write_text("made again")
    assert cli.main(["verify", str(tmp_path / "double")]) == 1
    assert cli.main(["report", str(tmp_path / "double")]) == 0
    assert cli.main(["verify", str(tmp_path / "double")]) == 0
    (tmp_path / "double/splats.ply").write_text("other")
    assert cli.main(["report", str(tmp_path / "double")]) == 0
    assert cli.main(["verify", str(tmp_path / "double")]) == 1


def test_the_swaps_options_become_its_settings() -> None:
    parser = argparse.ArgumentParser()
    _arguments.add_swap(parser)
    usual = _arguments.swap_settings(parser.parse_args([]))
    assert usual == attrs.asdict(SwapSettings())
    chosen = parser.parse_args(["--swapper", "classical", "--no-consistency", "--rounds", "2", "--tone", "0.5"])
    settings = SwapSettings(swapper="classical", consistency=False, rounds=2, tone=0.5)
    assert _arguments.swap_settings(chosen) == attrs.asdict(settings)
    with pytest.raises(InputError, match="magic"):
        _arguments.swap_settings(parser.parse_args(["--swapper", "magic"]))
