# SPDX-License-Identifier: Apache-2.0
"""docs/reliability.md names tests that there are, and has a row for each of the 28 faults."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")


def test_every_named_test_exists() -> None:
    """A name without a file is in the file that was named last."""
    path, checked = ROOT, 0
    for file, name in re.findall(r"`([\w/]+\.py)?(?:::(test_\w+))?`", PAGE):
        if file:
            path = ROOT / file if "/" in file else ROOT / "tests/service" / file
            assert path.is_file(), file
        if name:
            assert re.search(rf"^def {name}\(", path.read_text(encoding="utf-8"), re.MULTILINE), f"{path.name}: {name}"
            checked += 1
    assert checked > 40


def test_every_fault_has_a_row() -> None:
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)] == list(range(1, 29))
    assert "@" not in PAGE
