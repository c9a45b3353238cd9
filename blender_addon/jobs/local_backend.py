# SPDX-License-Identifier: GPL-3.0-or-later
"""This computer's own backend: where it is installed, starting and stopping it. No bpy."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs

from .._interchange import errors, network

HOME_VARIABLE = "DIGIDOUBLE_HOME"
RUNNER_VARIABLE = "DIGIDOUBLE_RUNNER"
"""Another function that does the jobs ("module:function"): for tests."""
MODELS_VARIABLE = "DIGIDOUBLE_MODELS"
_NETWORKS = (".onnx", ".dfm")


@attrs.frozen
class Installation:
    """A checkout in which install.py has run."""

    home: Path

    @property
    def python(self) -> Path:
        """The backend environment's interpreter."""
        windows = sys.platform == "win32"
        return self.home / ".digidouble" / "backend" / ("Scripts/python.exe" if windows else "bin/python")

    @property
    def is_complete(self) -> bool:
        """True if it can be started."""
        return self.python.exists() and (self.home / "backend" / "service").is_dir()


def note_file(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Where install.py notes the checkout's place, in the user's configuration folder of this system."""
    if platform == "win32":
        base = Path(environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "digidouble" / "installation.json"


def find_installation(preference: str, environ: Mapping[str, str] = os.environ) -> Installation:
    """The backend on this computer: of the preferences, of the environment, beside the package, of install.py's note.

    Raises InputError saying where it was looked for, or what is wrong with the folder that was named.
    """
    named = preference.strip() or environ.get(HOME_VARIABLE, "").strip()
    if named:
        installation = Installation(Path(named))
        if installation.is_complete:
            return installation
        where = "in the preferences" if preference.strip() else f"in {HOME_VARIABLE}"
        raise errors.InputError(
            f"The backend folder {named} ({where}) holds no complete installation.",
            "Choose the folder with install.py, and run: python3 install.py install",
        )
    for home in (_beside_the_package(), _noted(note_file(environ))):
        if home is not None and (installation := Installation(home)).is_complete:
            return installation
    raise errors.InputError(
        "No backend is installed on this computer.",
        "Run: python3 install.py install, or choose its folder in the add-on's preferences, or add a remote one.",
    )


def find_models(preference: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the artist's own networks: of the preferences, else of the environment.

    Raises InputError if neither names one, or there are none in it.
    """
    named = preference.strip() or environ.get(MODELS_VARIABLE, "").strip()
    if not named:
        raise errors.InputError(
            "No models folder is chosen: this takes a network of your own, and none comes with Digidouble.",
            "Name the folder in the add-on's preferences.",
        )
    folder = Path(named).absolute()
    try:
        if any(path.suffix.lower() in _NETWORKS for path in folder.iterdir()):
            return folder
    except OSError as error:
        raise errors.InputError(
            f"The models folder {named} cannot be read ({error.strerror or error}).",
            "Name another one in the add-on's preferences.",
        ) from error
    raise errors.InputError(f"The models folder {named} holds no networks.", "Put .onnx files there.")


def state_folder(installation: Installation, fallback: Path) -> Path:
    """Where the local backend keeps jobs and keys: with the installation, or the user's own place if that is shared."""
    folder = installation.home / ".digidouble"
    return folder / "service" if os.access(folder, os.W_OK) else fallback / "service"


def start(
    installation: Installation, state: Path, environ: Mapping[str, str] = os.environ, models: str = ""
) -> None:
    """Start it unless it runs. Takes seconds. models: the folder of networks that its jobs may name; without, it is as
    the environment says. Raises ServiceError with the end of its log."""
    runner = environ.get(RUNNER_VARIABLE, "")
    arguments = [*(("--runner", runner) if runner else ()), *(("--models", models) if models else ())]
    network("local_server").start_local_server(state, installation.python, installation.home, arguments)


def stop(state: Path) -> bool:
    """Stop it; its jobs wait for its next start. True if it ran. Takes seconds."""
    return bool(network("local_server").stop_local_server(state))


def _beside_the_package() -> Path | None:
    """The repository, when the package runs from a checkout."""
    home = Path(__file__).resolve().parents[2]
    return home if (home / "install.py").is_file() else None


def _noted(path: Path) -> Path | None:
    try:
        return Path(json.loads(path.read_text(encoding="utf-8"))["home"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
