# SPDX-License-Identifier: Apache-2.0
"""The swap's options on the command line, as they reach its settings."""

from __future__ import annotations

import argparse

import pytest

from backend.commands import _arguments, _onnx_arguments
from backend.faceswap.settings import SwapSettings
from backend.pipeline import settings_from
from interchange.errors import InputError


def parsed(*words: str) -> SwapSettings:
    parser = argparse.ArgumentParser()
    _arguments.add_swap(parser)
    _onnx_arguments.add_onnx(parser)
    return settings_from(_arguments.swap_settings(parser.parse_args(words)), SwapSettings)


def test_without_options_the_settings_are_the_usual_ones() -> None:
    assert parsed() == SwapSettings()


def test_methods_and_parts_reach_the_settings() -> None:
    settings = parsed("--harmonize", "sot", "--blending", "gradient", "--part", "lips=0.25", "--part", "eyes=0")
    assert (settings.harmonize, settings.blend) == ("sot", "gradient")
    assert settings.parts() == {"lips": 0.25, "brows": 1.0, "eyes": 0.0} and settings.eye_colour == 1.0
    assert parsed("--eye-colour", "0.3").eye_colour == 0.3
    with pytest.raises(InputError, match="eye_colour is 2"):
        parsed("--eye-colour", "2")


def test_the_number_of_photos_reaches_the_settings() -> None:
    assert parsed("--photos", "12").photos == 12
    with pytest.raises(SystemExit):
        parsed("--photos", "0")


def test_a_strength_out_of_range_is_named() -> None:
    with pytest.raises(InputError, match="brows is 2"):
        parsed("--part", "brows=2")
