# SPDX-License-Identifier: Apache-2.0
"""Settings out of file, environment and command line; the unit file; log lines for programs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from backend import cli
from backend.service import configuration, units
from backend.service.configuration import OPTIONS, load
from backend.service.settings import Settings
from interchange.client import JobClient
from interchange.errors import InputError

from .harness import IMPATIENT, KEEP_FREE, REPOSITORY, Service, wait_until

USUAL = Settings(Path())


def test_the_later_one_wins(tmp_path: Path) -> None:
    file = tmp_path / "service.toml"
    file.write_text('port = 7001\nslots = 2\nquota_mb = 1.5\nbind = "10.0.0.1"\nkeep_days = 30\nlog_json = true\n')
    environment = {"DIGIDOUBLE_SERVICE_PORT": "7002", "DIGIDOUBLE_SERVICE_SLOTS": "3", "PATH": "/bin", "PORT": "1",
                   "DIGIDOUBLE_SERVICE_BIND": "127.0.0.2"}  # fmt: skip
    assert load(file, environment, {"port": 7003, "slots": None}) == {
        "port": 7003, "slots": 3, "quota_size": 1_500_000, "bind": "127.0.0.2", "keep_s": 30 * 86400.0,
        "log_json": True,
    }  # fmt: skip
    assert load(None, {}, {}) == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("prot = 1", "has no option prot"),
        ("port = 70000", "70000 is not possible for port in .*0 to 65535"),
        ('port = "7000"', "whole number"),
        ("port = true", "whole number"),
        ("port = 1.5", "whole number"),
        ("slots = 0", "1 to 1000"),
        ("quota_mb = -1", "1 or more"),
        ("keep_days = nan", "number"),
        ("bind = 3", "a text"),
        ('bind = ""', "a text"),
        ("log_json = 1", "true or false"),
        ("port = ", "cannot be read"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "service.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=reason):
        load(file, {}, {})
    name, _, value = text.partition(" = ")
    if "cannot be read" not in reason and '"' not in text:
        with pytest.raises(InputError):
            load(None, {f"{configuration.PREFIX}{name.upper()}": value}, {})


def test_no_such_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "--state", str(tmp_path), "--config", str(tmp_path / "none.toml")]) == 2
    assert "There is no file" in capsys.readouterr().err
    assert cli.main(["serve"]) == 2
    assert "The service needs a folder." in capsys.readouterr().err


def test_the_printed_file_has_every_option_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    """With all of it commented in, it says what the service does anyhow, but for the options without a default."""
    assert cli.main(["serve", "--print-config"]) == 0
    printed = capsys.readouterr().out
    settings = "\n".join(line[2:] for line in printed.splitlines() if " = " in line and not line.startswith("# ["))
    assert set(tomllib.loads(settings)) == {option.name for option in OPTIONS}
    for name, value in tomllib.loads(settings).items():
        option = next(option for option in OPTIONS if option.name == name)
        loaded = load(None, {}, {name: value})[option.target]
        usual = getattr(USUAL, option.target)
        assert loaded == usual if usual is not None else option.example, name
    fields = {field.name for field in attrs.fields(Settings)}
    assert {option.target for option in OPTIONS} <= fields
    inner = {"state", "runner", "progress_interval_s", "chunk", "window", "total_window"}
    assert fields - {option.target for option in OPTIONS} == inner  # nothing else is kept from the user


def test_the_unit_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "my 100% state"
    assert cli.main(["serve", "--state", str(state), "--port", "7713", "--print-unit"]) == 0
    unit = capsys.readouterr().out
    start = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    quoted = str(state).replace("%", "%%")
    assert start == f'ExecStart={sys.executable} -m backend.cli serve --state "{quoted}" --port 7713'
    assert "Register-ScheduledTask" in unit and not state.exists()
    assert units._quoted('a"b\\c d$e') == '"a\\"b\\\\c d$$e"'
    tool = shutil.which("systemd-analyze")
    if tool is not None:
        file = tmp_path / "digidouble.service"
        file.write_text(unit)
        checked = subprocess.run([tool, "verify", "--user", str(file)], capture_output=True, text=True)
        assert "Unknown" not in checked.stderr and "Failed to parse" not in checked.stderr


def test_a_service_with_a_file_and_a_log_for_programs(tmp_path: Path) -> None:
    """Started by the command as a unit would start it, stopped as a unit would stop it."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "service.toml").write_text("log_json = true\nquota_jobs = 1\n")
    environment = {**os.environ, **KEEP_FREE, "DIGIDOUBLE_SERVICE_QUOTA_MB": "2000"}
    command = [sys.executable, "-m", "backend.cli", "serve", "--state", str(state)]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, stderr=log)
    try:
        wait_until(lambda: (state / "connection.json").exists(), 30.0)
        with JobClient(state, IMPATIENT) as client:
            assert client.stats().quota == 2_000_000_000
            client.submit("no-such-kind", {}, {}, job_id="logged")
            wait_until(lambda: client.get("logged").is_final, 60.0)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20.0) == 0
    lines: list[dict[str, Any]] = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert all({"at", "level", "event"} <= set(line) for line in lines)
    about = [line for line in lines if line.get("job") == "logged"]
    assert [line["attempt"] for line in about] == [1, 1] and "ended: it is failed" in about[-1]["event"]
    assert lines[-1]["event"] == "stopped"


def test_the_log_of_a_crash_names_the_job(tmp_path: Path) -> None:
    with Service(tmp_path / "state", "--log-json") as service, service.client() as client:
        client.submit("double", {"steps": 3, "die_at": 1}, {}, job_id="crashing")
        client.wait("crashing")
        log = service.state / "server.log"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    died = [line for line in lines if line["level"] == "warning"]
    assert [(line["job"], line["attempt"]) for line in died] == [("crashing", 1)]
