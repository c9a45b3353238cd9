# SPDX-License-Identifier: Apache-2.0
"""The service's settings out of a TOML file, the environment and the command line; the later ones win.

`digidouble serve --print-config` prints a file with every option, its default and what it means.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from interchange.errors import InputError

PREFIX = "DIGIDOUBLE_SERVICE_"
CONFIG_FILE = "service.toml"
_BYTES = ("quota_size", "max_file_size", "keep_free")


@attrs.frozen
class Option:
    """`field` of Settings gets `scale` times the value; `least`: the smallest that makes sense (of numbers)."""

    name: str
    kind: type
    text: str
    field: str = ""
    least: float = 0
    most: float = 1e18
    scale: float = 1
    example: str = ""  # where there is no default

    @property
    def target(self) -> str:
        """The field of Settings."""
        return self.field or self.name


OPTIONS = (
    Option("bind", str, "address to listen at; 127.0.0.1: this computer only, 0.0.0.0: all of its networks"),
    Option("port", int, "TCP port; 0: that of the last time, or any free one", most=65535),
    Option("pair_port", int, "TCP port of `digidouble pair`; 0: any free one", most=65535),
    Option("status_port", int, "port on 127.0.0.1 of the status page, /metrics and /health", least=1, most=65535,
           example="7780"),
    Option("slots", int, "jobs at the same time; not set: one a GPU, or 1 on a machine without", least=1, most=1000,
           example="1"),
    Option("models", Path, "folder of the user's networks, which jobs may name", example='"/srv/networks"'),
    Option("quota_mb", float, "MB of inputs and results that one device may keep; not set: no limit", "quota_size",
           least=1, scale=1e6, example="20000"),
    Option("quota_jobs", int, "jobs of one device that may wait at the same time", "quota_waiting", least=1),
    Option("keep_days", float, "jobs are deleted so many days after their end; not set: never by themselves", "keep_s",
           scale=86400, example="90"),
    Option("keep_free_mb", float, "MB of the disk that stay free: uploads that need them are refused, and no job starts"
           " while less is free; not set: 5 % of the disk, but no more than 5000 and no less than 64", "keep_free",
           scale=1e6, example="5000"),
    Option("abandoned_upload_hours", float, "uploads nobody went on with for so long are deleted", "abandoned_upload_s",
           least=0.1, scale=3600),
    Option("max_file_mb", float, "MB of one file", "max_file_size", least=1, scale=1 << 20),
    Option("max_files", int, "files of one job", least=1, most=1_000_000),
    Option("max_crashes", int, "a job that took so many workers down with it, at one place, is given up", least=1),
    Option("cancel_grace_s", float, "seconds from asking a worker to stop to killing it", least=0.1),
    Option("stall_s", float, "a worker that says nothing for so many seconds is killed, which counts as a crash",
           least=1),
    Option("log_json", bool, "log lines as JSON objects, for programs"),
)  # fmt: skip


def load(file: Path | None, environment: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of Settings that are set anywhere. `given`: from the command line, by option name; None counts as not set.

    Raises InputError for a file that cannot be read, an option that there is not, a value that it cannot have.
    """
    values: dict[str, tuple[Any, str]] = {}
    if file is not None:
        values.update({name: (value, f"{name} in {file}") for name, value in _read(file).items()})
    for name, text in environment.items():
        if name.startswith(PREFIX):
            values[name[len(PREFIX) :].lower()] = (_from_text(name, text), f"the environment's {name}")
    values.update({name: (value, f"--{name.replace('_', '-')}") for name, value in given.items() if value is not None})
    known = {option.name: option for option in OPTIONS}
    for name, (_, where) in values.items():
        if name not in known:
            hint = f"There are: {', '.join(known)}."
            raise InputError(f"The service has no option {name} ({where}).", hint)
    return {known[name].target: _checked(known[name], value, where) for name, (value, where) in values.items()}


def usual_file(state: Path) -> Path | None:
    """The settings file of a state folder, if it has one."""
    file = state / CONFIG_FILE
    return file if file.is_file() else None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"There is no file {file}.", "digidouble serve --print-config > FILE makes one.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}).", "It must be a TOML file.") from error


def _from_text(name: str, text: str) -> Any:
    """As TOML would read it; what is no TOML value is text."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except ValueError:
        return text


def _checked(option: Option, value: Any, where: str) -> Any:
    if option.kind in (str, Path):
        if not isinstance(value, (str, Path)) or not str(value):
            raise _unusable(where, value, "a text")
        return option.kind(value)
    if option.kind is bool:
        if not isinstance(value, bool):
            raise _unusable(where, value, "true or false")
        return value
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or (option.kind is int and value != int(value)) or not option.least <= value <= option.most:
        most = f" to {option.most:g}" if option.most < 1e18 else " or more"
        raise _unusable(where, value, f"a {'whole ' if option.kind is int else ''}number, {option.least:g}{most}")
    scaled = value * option.scale
    return int(scaled) if option.kind is int or option.target in _BYTES else float(scaled)


def _unusable(where: str, value: Any, wanted: str) -> InputError:
    return InputError(f"{value!r} is not possible for {where}.", f"Give {wanted}.")


def print_config(default: Callable[[str], Any]) -> str:
    """A file with every option, commented out where it only says the default. `default(field)`: of Settings."""
    lines = ["# Settings of `digidouble serve --config FILE`. Each can also be given in the environment, as"]
    lines += [f"# {PREFIX}BIND and so on, and on the command line, which wins.", ""]
    for option in OPTIONS:
        value = default(option.target)
        shown = option.example if value is None else _as_toml(value, option)
        lines += [f"# {option.text}", f"# {option.name} = {shown}", ""]
    return "\n".join(lines)


def _as_toml(value: Any, option: Option) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, (str, Path)) else f"{value / option.scale:g}"
