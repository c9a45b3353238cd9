# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of jobs that need no service: records, ledger, claims, backends, where this computer's backend is."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from blender_addon.jobs import local_backend, words
from blender_addon.jobs.backends import Backend, BackendList, is_loopback
from blender_addon.jobs.claim import Claim
from blender_addon.jobs.inputs import files_to_send
from blender_addon.jobs.ledger import Ledger
from blender_addon.jobs.parameters import PRESETS, Choices, parameters
from blender_addon.jobs.records import JobRecord, duration
from blender_addon.jobs.rescue import ATTEMPTS, WITHIN_S, Rescue
from blender_addon.jobs.status import describe
from interchange.errors import InputError
from interchange.landmarks import write_landmarks
from interchange.messages import Stats
from interchange.service_errors import ConnectionLost, ServiceError


def _record(job_id: str = "one", **values: Any) -> JobRecord:
    return JobRecord(job_id, "Ünï 双", "double", "local", {"fit": {"seed": 3}}, "/c", "/s", "/r", **values)


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "jobs")
    assert ledger.read() == []
    later, earlier = _record("b", created_at=2.0, eta_s=1.5, position=3), _record("a", created_at=1.0, problem="No.")
    for record in (later, earlier):
        ledger.save(record)
    ledger.close()
    assert ledger.read() == [earlier, later]
    ledger.remove(earlier)
    ledger.close()
    assert ledger.read() == [later]
    assert not list((tmp_path / "jobs").glob("*.part"))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": "digidouble-job"}', '{"format": "digidouble-job", "version": 2}', "\x00\x01"],
)
def test_damaged_and_foreign_records_are_left_alone(tmp_path: Path, text: str) -> None:
    ledger = Ledger(tmp_path)
    ledger.save(_record())
    ledger.close()
    (tmp_path / "other.json").write_text(text)
    assert [record.job_id for record in ledger.read()] == ["one"]
    assert (tmp_path / "other.json").read_text() == text


def test_a_newer_addons_fields_are_ignored(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.save(_record())
    ledger.close()
    values = json.loads((tmp_path / "one.json").read_text())
    (tmp_path / "one.json").write_text(json.dumps(values | {"mood": "good"}))
    assert ledger.read() == [_record()]


def test_a_ledger_that_cannot_be_written_says_so_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("a file where the folder should be")
    ledger = Ledger(tmp_path / "jobs")
    ledger.save(_record())
    ledger.close()
    assert isinstance(ledger.problem, OSError)


def test_a_claim_is_exclusive_between_processes_and_ends_with_them(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    code = (
        "import sys; from blender_addon.jobs.claim import Claim; from pathlib import Path\n"
        f"claim = Claim(Path({str(path)!r})); print(claim.take(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "True\n"
        mine = Claim(path)
        assert not mine.take()
        other.kill()
        other.wait()
    assert mine.take() and mine.take()
    assert not Claim(path).take()
    mine.release()
    another = Claim(path)
    assert another.take()
    another.release()


def test_the_list_of_backends_survives(tmp_path: Path) -> None:
    backends = BackendList(tmp_path)
    box = Backend("box", "Render Box", "tcp://10.0.0.7:4711", "acorn actor agate album alley almond")
    backends.add(box)
    (backends.connection_folder("box")).mkdir(parents=True)
    again = BackendList(tmp_path)
    assert again.items[1] == box and again.active == "box" and again.find("local").is_local
    again.remove(box)
    assert not again.connection_folder("box").exists()
    assert [item.backend_id for item in BackendList(tmp_path).items] == ["local"]
    (tmp_path / "backends.json").write_text("{")
    assert [item.backend_id for item in BackendList(tmp_path).items] == ["local"]
    with pytest.raises(InputError, match="has been removed"):
        again.find("box")


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("tcp://127.0.0.1:5555", True), ("tcp://127.9.9.9:1", True), ("tcp://localhost:1", True),
        ("tcp://[::1]:1", True), ("ipc:///tmp/x", True), ("tcp://10.0.0.1:5555", False), ("tcp://box.local:1", False),
        ("tcp://[fe80::1]:1", False), ("tcp://127.0.0.1.evil.example:1", False),
    ],
)  # fmt: skip
def test_what_is_on_this_computer(endpoint: str, expected: bool) -> None:
    assert is_loopback(endpoint) is expected


def test_only_what_is_computed_from_travels(tmp_path: Path) -> None:
    for name in ("capture.json", "views/a.exr", "views/b.exr.part", "previews/a.png", "resume.json", "sparse/0/x.txt"):
        (tmp_path / "my capture" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "my capture" / name).write_text(name)
    files = files_to_send(str(tmp_path / "my capture"), "")
    assert set(files) == {"capture/capture.json", "capture/views/a.exr", "capture/sparse/0/x.txt"}
    assert files["capture/views/a.exr"] == tmp_path / "my capture" / "views" / "a.exr"
    with pytest.raises(InputError, match="source folder .* is gone or empty"):
        files_to_send(str(tmp_path / "my capture"), str(tmp_path / "nothing"))


def test_the_models_folder_is_found_or_missed_in_words(tmp_path: Path) -> None:
    full, empty = tmp_path / "full", tmp_path / "empty"
    full.mkdir()
    empty.mkdir()
    (full / "net.ONNX").touch()
    environ = {"DIGIDOUBLE_MODELS": str(full)}
    assert local_backend.find_models("", environ) == full == local_backend.find_models(str(full), {})
    for preference, variables, sentence in (
        ("", {}, "No models folder is chosen"),
        (str(empty), environ, "holds no networks"),
        (str(tmp_path / "gone"), environ, "cannot be read"),
    ):
        with pytest.raises(InputError, match=sentence):
            local_backend.find_models(preference, variables)


def test_the_local_backend_gets_the_models_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[tuple] = []
    service = SimpleNamespace(start_local_server=lambda *arguments: told.append(arguments))
    monkeypatch.setattr(local_backend, "network", lambda _: service)
    here = local_backend.Installation(tmp_path)
    local_backend.start(here, tmp_path / "state", {})
    local_backend.start(here, tmp_path / "state", {local_backend.RUNNER_VARIABLE: "a:b"}, models="/networks")
    assert [list(arguments[3]) for arguments in told] == [[], ["--runner", "a:b", "--models", "/networks"]]


def test_the_backend_is_found_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def install(name: str) -> Path:
        home = tmp_path / name
        installation = local_backend.Installation(home)
        installation.python.parent.mkdir(parents=True)
        installation.python.touch()
        (home / "backend" / "service").mkdir(parents=True)
        return home

    preferred, named, noted = install("preferred"), install("named"), install("noted")
    monkeypatch.setattr(local_backend, "_beside_the_package", lambda: None)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "APPDATA": str(tmp_path / "config")}
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    with pytest.raises(InputError, match="No backend is installed on this computer. Run: python3 install.py install"):
        local_backend.find_installation("", environ)
    note = local_backend.note_file(environ)
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"home": str(noted)}))
    assert local_backend.find_installation("", environ).home == noted
    environ["DIGIDOUBLE_HOME"] = str(named)
    assert local_backend.find_installation("", environ).home == named
    assert local_backend.find_installation(str(preferred), environ).home == preferred
    with pytest.raises(InputError, match="in the preferences.* holds no complete installation"):
        local_backend.find_installation(str(tmp_path), environ)


def test_the_note_is_where_install_py_writes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import install

    for system, platform in (("Linux", "linux"), ("Darwin", "darwin"), ("Windows", "win32")):
        monkeypatch.setattr(install.platform, "system", lambda system=system: system)
        for environ in ({}, {"XDG_CONFIG_HOME": str(tmp_path), "APPDATA": str(tmp_path)}):
            for name in ("XDG_CONFIG_HOME", "APPDATA"):
                monkeypatch.delenv(name, raising=False)
            for name, value in environ.items():
                monkeypatch.setenv(name, value)
            assert install.note_file() == local_backend.note_file(dict(os.environ), platform)


def test_parameters() -> None:
    choices = Choices("double", PRESETS["PREVIEW"], "mcmc", 0.5, 7, "uv", 0.800000011920929, 1.0, True)
    told = parameters(choices)
    uv_only = {"shape": 0.0, "eye_colour": 1.0}
    assert told["swap"] == {"swapper": "uv", "tone": 0.8, "strength": 1.0, "delight": True, "photos": 7, **uv_only}
    assert told["fit"]["time_budget_s"] == 20.0 and told["fit"]["densify"] == "mcmc" and told["fit"]["seed"] == 7
    plain = parameters(Choices("fit", PRESETS["STANDARD"], "none", 0.0, 0, "uv", 1.0, 1.0, True))
    assert set(plain) == {"fit"} and "time_budget_s" not in plain["fit"]


def test_what_went_wrong_in_words() -> None:
    def unavailable(reason: str) -> ServiceError:
        error = ServiceError("UNAVAILABLE", "The service cannot be reached.", "Start it: digidouble serve.", "later")
        error.__cause__ = ConnectionLost(reason)
        return error

    def said(error: Exception, *, is_local: bool = False) -> str:
        return words.unreached(error, "Box", is_local=is_local)

    assert said(unavailable("nobody listens there")) == (
        "Box does not answer (nobody listens there). Is it switched on, and on the same network?"
    )
    gone = said(unavailable("the connection was closed"), is_local=True)
    assert gone == "This computer's backend does not answer (the connection was closed)."
    assert words.with_advice(gone, is_local=True, is_starting=True).endswith("). It is being started.")
    assert words.with_advice("", is_local=True, is_starting=False) == ""
    assert said(ServiceError("AUTH_REVOKED", "The service does not let this computer in any more.")) == (
        "Box: The service does not let this computer in any more. Remove it here and pair with it again."
    )
    assert "same version" in said(ServiceError("PROTO_VERSION", "It speaks DD/2.", "Install the same version."))
    assert said(InputError("The Python module zmq cannot be loaded."), is_local=True).startswith("The Python module")
    assert words.absent("Box", is_local=True) == "This computer's backend is not running."
    full = OSError(errno.ENOSPC, "No space left on device", "/r/double/splats.ply")
    assert words.problem_and_hint(full) == (
        "This computer's disk is full (/r/double/splats.ply).", "Make room, then Retry.",
    )  # fmt: skip
    with pytest.raises(TypeError):
        words.problem_and_hint(ZeroDivisionError())


def test_the_artists_own_folders_are_named() -> None:
    record = _record(remote_id="0f3a")
    text = "The view /srv/dd/service/jobs/0f3a/inputs/capture/views/a.exr is damaged."
    assert words.in_own_words(text, record) == "The view /c/views/a.exr is damaged."
    text = r"The photo C:\dd\jobs\0f3a\inputs\source\a.png is grey."
    assert words.in_own_words(text, record) == r"The photo /s\a.png is grey."
    text = "No room for /x/jobs/0f3a/work/double/splats.ply."
    assert words.in_own_words(text, record) == "No room for /r/double/splats.ply."
    assert words.in_own_words("/x/jobs/other/inputs/capture", record) == "/x/jobs/other/inputs/capture"


def test_a_dying_backend_is_not_started_for_ever() -> None:
    rescue = Rescue()
    tried = [second for second in range(int(WITHIN_S)) if rescue.is_due(float(second))]
    assert tried == [0, 2, 6, 14, 29, 59, 119, 179] and len(tried) == ATTEMPTS
    assert rescue.is_due(WITHIN_S + 1.0)


def test_a_backends_account_of_itself() -> None:
    old = Stats("id", 1, 2.0, {"running": 1, "queued": 2})
    assert describe(old) == ("1 at work, 2 waiting",)
    assert describe(Stats("id", 1, 2.0, {"succeeded": 9})) == ("No jobs",)

    class Newer:
        version, engine, engine_reason, slots, queued, free_disk = "0.2", "cuda", "an NVIDIA GPU works", 2, 0, 5.5e9
        jobs = {"running": 1}

        class machine:  # noqa: N801
            cpu, threads = "Xeon", 16

            class gpus:  # noqa: N801
                pass

    card = type("Gpu", (), {"name": "H100", "memory": 80 << 30})
    Newer.machine.gpus = [card]  # type: ignore[misc, assignment]
    assert describe(Newer) == (
        "Xeon, 16 threads, H100 (80 GiB)", "Engine cuda: an NVIDIA GPU works", "1 of 2 slots at work, 0 waiting",
        "Version 0.2, only 5.5 GB free",
    )  # fmt: skip


def test_durations_as_people_say_them() -> None:
    said = [duration(seconds) for seconds in (0.2, 45.4, 89, 91, 3600, 7800)]
    assert said == ["1 s", "45 s", "89 s", "2 min", "60 min", "2 h 10 min"]


def test_only_a_backend_that_is_there_is_to_be_started() -> None:
    there = words.absent("", is_local=True)
    assert words.with_advice(there, is_local=True, is_starting=False) == f"{there} Start it."
    assert words.with_advice(there, is_local=True, is_starting=True) == f"{there} It is being started."
    none = "No backend is installed on this computer. Run: python3 install.py install"
    assert words.with_advice(none, is_local=True, is_starting=False) == none
    assert words.with_advice(there, is_local=False, is_starting=False) == there


def test_nothing_but_what_was_agreed_to_is_sent_of_a_performer(tmp_path: Path) -> None:
    """Other photos, contracts and notes that lie in the folder are nobody's business."""
    capture, source = tmp_path / "capture", tmp_path / "performer"
    for name in ("capture/capture.json", "performer/front.jpg", "performer/private.jpg", "performer/contract.pdf",
                 "performer/consent.json", "performer/mask.png", "performer/more/left.png"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    write_landmarks(source / "landmarks.json", "front.jpg", {30: (1.0, 2.0)})
    (source / "landmarks_left.json").write_text("damaged: the backend is to say so")
    names = {name for name in files_to_send(str(capture), str(source)) if name.startswith("source/")}
    assert names == {
        "source/consent.json", "source/front.jpg", "source/landmarks.json", "source/landmarks_left.json",
        "source/mask.png",
    }  # fmt: skip
