# SPDX-License-Identifier: Apache-2.0
"""Validators of settings, which answer in the swap's own words."""

from __future__ import annotations

from typing import Any

import attrs

from interchange.errors import InputError


def within(low: float, high: float) -> Any:
    """A number in a range."""

    def check(_: Any, attribute: attrs.Attribute, value: Any) -> None:
        if not isinstance(value, (int, float)) or not low <= value <= high:
            raise InputError(f"The swap setting {attribute.name} is {value}; it goes from {low:g} to {high:g}.")

    return check


def whole(low: int, high: int) -> Any:
    """A whole number in a range."""

    def check(_: Any, attribute: attrs.Attribute, value: Any) -> None:
        if type(value) is not int or not low <= value <= high:
            raise InputError(
                f"The swap setting {attribute.name} is {value}; it is a whole number from {low} to {high}."
            )

    return check


def one_of(names: tuple[str, ...]) -> Any:
    """One of some words."""

    def check(_: Any, attribute: attrs.Attribute, value: Any) -> None:
        if value not in names:
            raise InputError(f'The swap setting {attribute.name} is "{value}"; choose one of {", ".join(names)}.')

    return check
