# SPDX-License-Identifier: Apache-2.0
"""install.py: refusals in one sentence, and what it decides before it changes anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import install

ROOT = Path(install.__file__).parent


@pytest.fixture(autouse=True)
def note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The note for Blender's extension, not in the user's own configuration."""
    path = tmp_path / "config" / "digidouble" / "installation.json"
    monkeypatch.setattr(install, "note_file", lambda: path)
    return path


def test_the_extension_is_told_where_the_backend_is(note: Path) -> None:
    install.note_installation()
    assert install.json.loads(note.read_text()) == {"home": str(ROOT)}


def test_a_note_that_cannot_be_written_is_no_failure(note: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note.parent.parent.write_text("a file where its folder should be")
    install.note_installation()
    assert "Blender will not find the backend by itself" in capsys.readouterr().out


def test_wrong_python_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1, "final", 0))
    assert install.main(["demo"]) == 2
    error = capsys.readouterr().err
    assert "This is Python 3.9, but Blender's module needs Python 3.11" in error and error.count("\n") == 1


def test_missing_libraries_name_the_apt_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "missing_system_libraries", lambda: ["libsm6", "libgl1"])
    with pytest.raises(install.SetupError, match="apt install --no-install-recommends libsm6 libgl1$"):
        install.check_system()


def test_missing_venv_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(install.SetupError, match="apt install python3.11-venv"):
        install.check_venv()


def test_a_full_disk_is_noticed_before_it_is_filled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(install, "HOME", tmp_path / "nothing")
    monkeypatch.setattr(install.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1e9}))
    with pytest.raises(install.SetupError, match="1.0 GB are free"):
        install.check_disk()


def test_a_complete_environment_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(install, "HOME", tmp_path)
    python = install.python_of("backend")
    python.parent.mkdir(parents=True)
    python.touch()
    mark = install.fingerprint(install.requirement_files("backend", ["base"]))
    install.write_stamp("backend", {"base": mark})
    monkeypatch.setattr(install, "run_quietly", lambda *_: pytest.fail("installed again"))
    assert install.install_environment("backend", ["base"]) == []


def test_a_failed_pip_names_the_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(install, "HOME", tmp_path)
    monkeypatch.setattr(install, "run_quietly", lambda command, log: 1 if "pip" in command else 0)
    with pytest.raises(install.SetupError, match="blender.log"):
        install.install_environment("blender", ["base"])
    assert install.read_stamp("blender") == {}


def test_every_requirement_is_pinned() -> None:
    for file in (ROOT / "requirements").glob("*.txt"):
        lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
        assert lines and all("==" in line for line in lines), file


def test_help_and_unknown_command() -> None:
    run = subprocess.run([sys.executable, ROOT / "install.py", "--help"], capture_output=True, text=True)
    assert run.returncode == 0 and "doctor" in run.stdout
    run = subprocess.run([sys.executable, ROOT / "install.py", "dance"], capture_output=True, text=True)
    assert run.returncode == 2


def test_the_gpu_gets_our_engine_and_gsplat_only_on_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed: list[tuple[str, ...]] = []
    monkeypatch.setattr(install, "HOME", tmp_path)
    monkeypatch.setattr(install, "has_nvidia_gpu", lambda: True)
    for check in ("check_python", "check_venv", "check_system", "check_disk"):
        monkeypatch.setattr(install, check, lambda *_: None)
    monkeypatch.setattr(install.platform, "system", lambda: "Linux")

    def complete(environment: str, groups: list[str]) -> list[str]:
        installed.append((environment, *groups))
        return []

    monkeypatch.setattr(install, "install_environment", complete)
    assert install.main(["install"]) == 0
    assert ("backend", "base", "gpu") in installed and ("blender", "base", "gpu") in installed
    installed.clear()
    assert install.main(["gsplat"]) == 0
    assert ("backend", "base", "gsplat", "gpu") in installed
    (tmp_path / "backend").mkdir()
    install.write_stamp("backend", {"gsplat": "of an earlier pin"})
    installed.clear()
    assert install.main(["install"]) == 0  # what was asked for once is kept up to date
    assert ("backend", "base", "gpu", "gsplat") in installed


def test_gsplat_without_a_gpu_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install.shutil, "which", lambda name: None)
    monkeypatch.setattr(install, "install", lambda *_: pytest.fail("installed"))
    assert install.main(["gsplat"]) == 2
    assert "needs Linux and an NVIDIA GPU" in capsys.readouterr().err
    assert install.main(["gsplat", "now"]) == 2


def test_our_gpu_engine_needs_no_torch_and_ci_compiles_with_the_same_compiler() -> None:
    ours = (ROOT / "requirements/gpu.txt").read_text().splitlines()[-3:]
    assert [line.split("==")[0] for line in ours] == ["cuda-bindings", "cuda-pathfinder", "nvidia-cuda-nvrtc-cu12"]
    in_tests = (ROOT / "requirements/tests.txt").read_text().splitlines()
    assert all(any(other.split(";")[0] == line for other in in_tests) for line in ours)


def test_onnxruntime_is_installed_on_request_and_then_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed: list[tuple[str, ...]] = []
    monkeypatch.setattr(install, "HOME", tmp_path)
    monkeypatch.setattr(install, "has_nvidia_gpu", lambda: False)
    for check in ("check_python", "check_venv", "check_system", "check_disk"):
        monkeypatch.setattr(install, check, lambda *_: None)

    def complete(environment: str, groups: list[str]) -> list[str]:
        installed.append((environment, *groups))
        return []

    monkeypatch.setattr(install, "install_environment", complete)
    assert install.main(["install"]) == 0 and ("backend", "base") in installed
    assert install.main(["onnx"]) == 0 and ("backend", "base", "onnx") in installed
    assert install.main(["onnx", "now"]) == 2
    (tmp_path / "backend").mkdir()
    install.write_stamp("backend", {"onnx": "of an earlier pin"})
    installed.clear()
    assert install.main(["install"]) == 0 and ("backend", "base", "onnx") in installed


def test_the_tests_run_the_same_onnxruntime_as_users() -> None:
    ours = (ROOT / "requirements/onnx.txt").read_text().splitlines()[1:]
    pinned = [(ROOT / f"requirements/{name}.txt").read_text().splitlines() for name in ("tests", "backend")]
    assert any(line.startswith("onnxruntime==") for line in ours)
    assert all(any(line in lines for lines in pinned) for line in ours)


def test_the_launcher_of_windows_holds_no_folder_s_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Python writes it in one code page and cmd.exe reads it in another: C:\\Users\\Jürgen would not be found."""
    monkeypatch.setattr(install, "HOME", tmp_path / "Jürgen")
    monkeypatch.setattr(install.platform, "system", lambda: "Windows")
    (tmp_path / "Jürgen").mkdir()
    text = install.write_launcher().read_bytes()
    assert text == b'@"%~dp0..\\backend\\Scripts\\python.exe" -m backend.cli %*\r\n'


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_the_launcher_runs_whatever_the_folder_is_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / 'a "b" $HOME ü'
    (home / "backend/bin").mkdir(parents=True)
    (home / "backend/bin/python").write_text('#!/bin/sh\necho "$@"\n')
    (home / "backend/bin/python").chmod(0o755)
    monkeypatch.setattr(install, "HOME", home)
    done = subprocess.run([install.write_launcher(), "verify", "a b"], capture_output=True, text=True, check=True)
    assert done.stdout == "-m backend.cli verify a b\n"
