# SPDX-License-Identifier: Apache-2.0
"""The command line: help for artists, one sentence and exit code 2 for unusable input."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from backend import cli


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
        ["fit", "nowhere", "--out", "x"],
        ["fit", "nowhere", "--out", "x", "--splats", "-3"],
        ["export", "nowhere", "--out", "x.ply"],
        ["export", "nowhere", "--out", "x.obj"],
        ["evaluate", "nowhere", "--capture", "nowhere"],
        ["report", "nowhere"],
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
    assert "missing" in capsys.readouterr().out


def test_a_full_disk_in_words() -> None:
    assert "The disk is full (a/b). Make room" in cli.describe_os_error(OSError(errno.ENOSPC, "No space", "a/b"))
    assert "Choose another with --out" in cli.describe_os_error(OSError(errno.EACCES, "Permission denied"))
