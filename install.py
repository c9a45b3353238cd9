#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Set Digidouble up, run its demo or its tests: `python3 install.py demo`. Standard library only.

    install   make two environments (one for Blender's module, one for the compute side) and the command `digidouble`
    demo      install, then the whole job on two sample avatars; --help lists its options
    test      install what the tests need, then run all checks and tests
    addon     build the Blender extension, and install it where a Blender is found
    gsplat    install gsplat with torch (5 GB), the engine to compare ours with; Linux with an NVIDIA GPU
    onnx      install onnxruntime (70 MB), which runs your own swap networks on the CPU
    doctor    say in a line each what works here, what does not, and what to do about it

Everything lives in the folder .digidouble beside this file; delete it to start over. Safe to run twice.
"""

import argparse
import ctypes
import hashlib
import importlib.util
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
HOME = ROOT / ".digidouble"
NEEDED_PYTHON = (3, 11)

ENVIRONMENTS: "dict[str, dict[str, list[str]]]" = {
    "backend": {
        "base": ["backend.txt"],
        "test": ["tests.txt"],
        "gpu": ["gpu.txt"],
        "gsplat": ["gsplat.txt"],
        "onnx": ["onnx.txt"],
    },
    "blender": {"base": ["blender.txt"], "test": ["tests-blender.txt"], "gpu": [], "gsplat": [], "onnx": []},
}
KEPT = ("gsplat", "onnx")
"""Groups that are kept at their pinned versions once they were asked for."""

# What Blender's module links against on Linux, and the Debian package that has it.
SYSTEM_LIBRARIES = {
    "libX11.so.6": "libx11-6",
    "libXrender.so.1": "libxrender1",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libGL.so.1": "libgl1",
}


class SetupError(Exception):
    """One sentence for the user; the program ends with exit code 2."""


def say(text: str) -> None:
    """A line for the user, at once even when the output is a file."""
    print(text, flush=True)


# ---------------------------------------------------------------- checks before anything is written


def check_python() -> None:
    """Blender's module exists for exactly one Python; refuse the others before anything is installed."""
    if sys.version_info[:2] == NEEDED_PYTHON:
        return
    wanted = ".".join(map(str, NEEDED_PYTHON))
    found = shutil.which("python" + wanted)
    hint = f"run: {found} install.py" if found else "install it (Debian: apt install python3.11 python3.11-venv)"
    raise SetupError(
        "This is Python {}.{}, but Blender's module needs Python {}: {}.".format(*sys.version_info[:2], wanted, hint)
    )


def check_venv() -> None:
    """Debian ships Python without the part that makes environments."""
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError("Python lacks its venv module: apt install python{}.{}-venv".format(*NEEDED_PYTHON))


def missing_system_libraries() -> "list[str]":
    """Names of Debian packages whose libraries the loader does not find (Linux only)."""
    if platform.system() != "Linux":
        return []
    missing = []
    for library, package in SYSTEM_LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    return missing


def check_system() -> None:
    """Name the exact line that gets the missing system libraries, before an hour is lost on a strange import error."""
    missing = missing_system_libraries()
    if missing:
        line = "apt install --no-install-recommends " + " ".join(missing)
        raise SetupError(f"Blender's module needs system libraries that are not here: {line}")


def check_disk(groups: "tuple[str, ...]" = ("base",)) -> None:
    """The environments take about 3 GB, gsplat with torch 5 GB more."""
    free = shutil.disk_usage(str(ROOT)).free
    needed = 0 if (HOME / "backend").exists() else 4
    if "gsplat" in groups and "gsplat" not in read_stamp("backend"):
        needed += 6
    if free < needed * 1e9:
        raise SetupError(f"Only {free / 1e9:.1f} GB are free here and {needed} GB are needed: make room.")


def check_gsplat() -> None:
    """gsplat computes on an NVIDIA GPU only, and its kernels are built for Linux."""
    if platform.system() != "Linux" or not has_nvidia_gpu():
        raise SetupError(
            "gsplat needs Linux and an NVIDIA GPU, and nvidia-smi finds none here: leave it out, nothing else needs it."
        )


def has_nvidia_gpu() -> bool:
    """True if the driver's tool lists a GPU."""
    tool = shutil.which("nvidia-smi")
    return tool is not None and subprocess.run([tool, "-L"], stdout=subprocess.PIPE).returncode == 0


# ---------------------------------------------------------------- environments


def python_of(environment: str) -> Path:
    """The interpreter of one of our environments."""
    windows = platform.system() == "Windows"
    return HOME / environment / ("Scripts/python.exe" if windows else "bin/python")


def requirement_files(environment: str, groups: "list[str]") -> "list[Path]":
    """Files of pinned packages for some of the groups of ENVIRONMENTS."""
    return [ROOT / "requirements" / name for group in groups for name in ENVIRONMENTS[environment][group]]


def fingerprint(files: "list[Path]") -> str:
    """Changes when a pinned version changes."""
    digest = hashlib.sha256(platform.python_version().encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def read_stamp(environment: str) -> "dict[str, str]":
    """What the last complete installation wrote: {group: fingerprint}."""
    try:
        return json.loads((HOME / environment / "installed.json").read_text())
    except (OSError, ValueError):
        return {}


def write_stamp(environment: str, stamp: "dict[str, str]") -> None:
    """Record a complete installation; written beside, then renamed."""
    path = HOME / environment / "installed.json"
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(stamp, indent=1))
    os.replace(str(temporary), str(path))


def run_quietly(command: list, log: Path) -> int:
    """Run a command with its output in a log file; return its exit code."""
    with open(str(log), "ab") as file:
        return subprocess.run(
            [str(c) for c in command], stdout=file, stderr=subprocess.STDOUT, cwd=str(ROOT)
        ).returncode


def install_environment(environment: str, groups: "list[str]") -> "list[str]":
    """Create or complete one environment. Returns the groups that had to be installed."""
    stamp = read_stamp(environment)
    wanted = {g: fingerprint(requirement_files(environment, [g])) for g in groups if ENVIRONMENTS[environment][g]}
    todo = [g for g, mark in wanted.items() if stamp.get(g) != mark]
    python = python_of(environment)
    if not todo and python.exists():
        return []
    HOME.mkdir(exist_ok=True)
    log = HOME / (environment + ".log")
    if not python.exists():
        shutil.rmtree(str(HOME / environment), ignore_errors=True)
        if run_quietly([sys.executable, "-m", "venv", HOME / environment], log):
            raise SetupError(f"The environment {environment} could not be made; the log is {log}.")
    for group in todo:
        files = [a for f in requirement_files(environment, [group]) for a in ("-r", f)]
        command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *files]
        if run_quietly(command, log):
            raise SetupError(
                f"The {group} packages of {environment} could not be installed; is the network there? The log is {log}."
            )
        stamp[group] = wanted[group]
        link_sources(environment)
        write_stamp(environment, stamp)
    return todo


def link_sources(environment: str) -> None:
    """Let the environment's Python find the project's packages from any working folder."""
    windows = platform.system() == "Windows"
    site = (
        HOME
        / environment
        / ("Lib/site-packages" if windows else "lib/python{}.{}/site-packages".format(*NEEDED_PYTHON))
    )
    (site / "digidouble.pth").write_text(str(ROOT) + "\n")


def write_launcher() -> Path:
    """The command `digidouble`, to be called by its path or put on PATH."""
    folder = HOME / "bin"
    folder.mkdir(exist_ok=True)
    python = python_of("backend")
    if platform.system() == "Windows":
        # from its own place: Python writes one code page and cmd.exe reads another, so no folder's name may be in it
        place = python.relative_to(HOME).as_posix().replace("/", "\\")
        (folder / "digidouble.cmd").write_bytes(f'@"%~dp0..\\{place}" -m backend.cli %*\r\n'.encode("ascii"))
        return folder / "digidouble.cmd"
    launcher = folder / "digidouble"
    launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(str(python))} -m backend.cli "$@"\n', encoding="utf-8")
    launcher.chmod(0o755)
    return launcher


def note_file() -> Path:
    """Where the extension looks for this folder: in the user's configuration folder of this system."""
    system = platform.system()
    if system == "Windows":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif system == "Darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "digidouble" / "installation.json"


def note_installation() -> None:
    """Tell Blender's extension where the backend is; without the note the artist chooses the folder himself."""
    note = note_file()
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        temporary = note.with_suffix(".part")
        temporary.write_text(json.dumps({"home": str(ROOT)}, indent=1), encoding="utf-8")
        os.replace(str(temporary), str(note))
    except OSError as error:
        say(f"Blender will not find the backend by itself, since {note} cannot be written ({error.strerror}).")


def install(groups: "tuple[str, ...]" = ("base",)) -> float:
    """Everything that the groups need, both environments at the same time. Returns seconds spent."""
    check_python()
    check_venv()
    check_system()
    check_disk(groups)
    start = time.monotonic()
    wanted = list(groups) + (["gpu"] if has_nvidia_gpu() else [])
    wanted += [group for group in KEPT if group in read_stamp("backend") and group not in wanted]
    failures: list[SetupError] = []
    worked: list[str] = []

    def work(environment: str) -> None:
        try:
            worked.extend(install_environment(environment, wanted))
        except SetupError as error:
            failures.append(error)
        except OSError as error:
            failures.append(SetupError(f"The environment {environment} could not be written: {error}."))

    threads = [threading.Thread(target=work, args=(name,)) for name in ENVIRONMENTS]
    for thread in threads:
        thread.start()
    wait_with_dots(threads, start)
    if failures:
        raise failures[0]
    launcher = write_launcher()
    note_installation()
    seconds = time.monotonic() - start
    if worked:
        say(f"Installed in {seconds:.0f} s. The command is {launcher}")
    if "base" in worked:  # what only the tests need is no part of a user's set-up
        remember_install_time(seconds)
    return seconds


def wait_with_dots(threads: "list[threading.Thread]", start: float) -> None:
    """Keep the user informed while pip is quiet."""
    told = 0.0
    while any(thread.is_alive() for thread in threads):
        threads[0].join(0.2) if threads[0].is_alive() else threads[-1].join(0.2)
        elapsed = time.monotonic() - start
        if elapsed - told >= 10:
            told = elapsed
            say(f"  installing packages (about 1.5 GB, once) ... {elapsed:.0f} s")


def remember_install_time(seconds: float) -> None:
    """The demo's report shows how long the set-up took."""
    (HOME / "install.json").write_text(json.dumps({"seconds": round(seconds, 1)}))


# ---------------------------------------------------------------- commands


def call(command: list) -> int:
    """Run a command in the project's folder with its output on the terminal; return its exit code."""
    return subprocess.run([str(c) for c in command], cwd=str(ROOT)).returncode


def command_demo(arguments: "list[str]") -> int:
    """Install, then the whole job."""
    install()
    return subprocess.run([str(python_of("backend")), "-m", "backend.cli", "demo", *arguments]).returncode


def command_test(arguments: "list[str]") -> int:
    """Style, types and tests of both sides; arguments go to pytest (for instance -m slow)."""
    install(("base", "test"))
    backend, blender = python_of("backend"), python_of("blender")
    blender_tests = ["tests/avatars", "tests/blender_addon"]
    chosen = [a for a in arguments if (ROOT / a.split("::")[0]).exists()]
    options = [a for a in arguments if a not in chosen]
    in_blender = [a for a in chosen if a.startswith(tuple(blender_tests))]
    in_backend = [a for a in chosen if a not in in_blender]
    checks = []
    if not chosen:
        checks += [("style", [backend, "-m", "ruff", "check", "."]), ("types", [backend, "-m", "mypy", "."])]
    if in_blender or not chosen:
        command = [blender, "-m", "pytest", *(in_blender or blender_tests), *options]
        checks.append(("tests in Blender's environment", command))
    if in_backend or not chosen:
        ignored = ["--ignore=" + folder for folder in blender_tests]
        command = [backend, "-m", "pytest", *(in_backend or ["tests", *ignored]), *options]
        checks.append(("tests in the backend's environment", command))
    failed = []
    for name, command in checks:
        say("== " + name)
        code = call(command)
        if code and not (code == 5 and chosen):  # 5: nothing collected here, when tests were picked by name
            failed.append(name)
    say("== " + ("FAILED: " + ", ".join(failed) if failed else "all checks and tests passed"))
    return 1 if failed else 0


def command_addon(arguments: "list[str]") -> int:
    """Build the extension zip and install it where a Blender is found."""
    install()
    return call([python_of("backend"), "-m", "backend.cli", "addon", *arguments])


def command_gsplat(arguments: "list[str]") -> int:
    """The engine to compare ours with, and what it pulls in."""
    if arguments:
        raise SetupError("gsplat takes no arguments, but got: {}".format(" ".join(arguments)))
    check_gsplat()
    install(("base", "gsplat"))
    say("gsplat is installed. Its kernels compile at the first fit with --engine gsplat.")
    return 0


def command_onnx(arguments: "list[str]") -> int:
    """The runtime of the user's own networks."""
    if arguments:
        raise SetupError("onnx takes no arguments, but got: {}".format(" ".join(arguments)))
    install(("base", "onnx"))
    say("onnxruntime is installed. docs/formats/models.md says where your networks go.")
    return 0


def command_doctor(arguments: "list[str]") -> int:
    """One line each; works before anything is installed."""
    fine = True
    version = "{}.{}.{}".format(*sys.version_info[:3])
    right = sys.version_info[:2] == NEEDED_PYTHON
    say("{} Python {}{}".format("ok  " if right else "no  ", version, "" if right else ": 3.11 is needed"))
    missing = missing_system_libraries()
    line = "apt install --no-install-recommends " + " ".join(missing)
    say("ok   system libraries" if not missing else "no   system libraries: " + line)
    fine = right and not missing
    if not read_stamp("backend").get("base"):
        say("no   environments: run python3 install.py install")
        return 1
    return call([python_of("backend"), "-m", "backend.cli", "doctor", *arguments]) or (0 if fine else 1)


def command_install(arguments: "list[str]") -> int:
    """Both environments; says so when there is nothing to do."""
    if arguments:
        raise SetupError("install takes no arguments, but got: {}".format(" ".join(arguments)))
    if install() < 1:
        say("Everything is installed already.")
    return 0


COMMANDS = {
    "install": command_install,
    "demo": command_demo,
    "test": command_test,
    "addon": command_addon,
    "gsplat": command_gsplat,
    "onnx": command_onnx,
    "doctor": command_doctor,
}


def main(argv: "list[str]") -> int:
    """Dispatch; arguments after the command belong to it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=sorted(COMMANDS))
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args(argv)
    try:
        return COMMANDS[options.command](options.arguments)
    except SetupError as error:
        print(f"install.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; run the same command again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
