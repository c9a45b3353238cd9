# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from interchange.whole_files import whole_file


def test_a_full_disk_leaves_the_old_file_and_no_scraps(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with whole_file(path) as file:
        file.write(b"old")
    with pytest.raises(OSError) as caught, whole_file(path) as file:
        file.write(b"new, but")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(path)  # a person wants to know where
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(NotADirectoryError) as caught, whole_file(tmp_path / "f/a.bin"):
        raise AssertionError("never entered")
    assert caught.value.filename == str(tmp_path / "f/a.bin")
