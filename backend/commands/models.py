# SPDX-License-Identifier: Apache-2.0
"""List your own networks: what each file is, its SHA-256, and what it can be used for. None comes with Digidouble."""

from __future__ import annotations

import argparse
import os

from backend.faceswap.onnx.models import ModelFile, models_folder
from backend.faceswap.onnx.onnx_file import read_signature
from backend.faceswap.onnx.recognition import role_of
from backend.terminal import Terminal
from interchange.errors import InputError

from . import _onnx_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    _onnx_arguments.add_models(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Two lines a file. A file that cannot be used is listed with the reason."""
    folder = models_folder(os.environ, options.models)
    names = folder.names()
    for name in names:
        terminal.say(f"{name}: {_what(folder.file(name))}")
    if not names:
        terminal.say(f"No networks in {folder.path}: put .onnx or .dfm files there.")
    return 0


def _what(file: ModelFile) -> str:
    try:
        role = role_of(read_signature(file.path), file.name)
    except InputError as error:
        role = f"cannot be used. {error.message}"
    return f"{role}\n  sha256 {file.sha256}"
