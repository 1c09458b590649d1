from __future__ import annotations

import os
from pathlib import Path

import pytest

from wsdev.small_files import MOST, read_small_file


def test_file_is_read_up_to_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (MOST + 5))
    assert read_small_file(path) == b"x" * MOST


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="Not a regular file"):
        read_small_file(path)


@pytest.mark.parametrize("name", ["gone", "."])
def test_file_that_is_none_is_an_error_of_the_system(name: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No such file|Is a directory"):
        read_small_file(tmp_path / name)
