from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from wsdev.errors import AlreadyRunning, StateFolderError
from wsdev.serve_note import NOTE_NAME, ServeNote
from wsdev.state_lock import LOCK_NAME, hold_state_folder, holder, left_note, note_of

HOLD = """
import sys
from pathlib import Path
from wsdev.state_lock import hold_state_folder
with hold_state_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_folder_is_made_for_the_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "state"
    with hold_state_folder(folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / LOCK_NAME).stat().st_mode) == 0o600
        assert (folder / LOCK_NAME).read_text() == f"{os.getpid()}\n"


def test_second_gateway_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    with hold_state_folder(tmp_path):
        with pytest.raises(AlreadyRunning) as caught, hold_state_folder(tmp_path):
            pass
        assert f"process {os.getpid()}" in caught.value.cause
        assert "--state" in caught.value.hint


def test_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with hold_state_folder(tmp_path):
            pass


def test_failure_inside_releases_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), hold_state_folder(tmp_path):
        raise ValueError("inside")
    with hold_state_folder(tmp_path):
        pass


def test_lock_of_a_killed_process_is_released_by_the_kernel(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with (
            pytest.raises(AlreadyRunning, match=f"process {child.pid}"),
            hold_state_folder(tmp_path),
        ):
            pass
        child.kill()
        child.wait()
        with hold_state_folder(tmp_path):
            assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"


def test_lock_without_a_process_id_is_told_all_the_same(tmp_path: Path) -> None:
    with hold_state_folder(tmp_path):
        (tmp_path / LOCK_NAME).write_text("")
        with (
            pytest.raises(AlreadyRunning, match=re.escape("process ?")),
            hold_state_folder(tmp_path),
        ):
            pass


def test_link_in_place_of_the_lock_leads_nowhere(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    (tmp_path / LOCK_NAME).symlink_to(precious)
    with pytest.raises(StateFolderError), hold_state_folder(tmp_path):
        pytest.fail("held")
    assert precious.read_text() == "keep me"


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "state", Path("/proc/nowhere")):
        with pytest.raises(StateFolderError) as caught, hold_state_folder(folder):
            pass
        assert str(folder) in caught.value.cause
        assert "--state" in caught.value.hint


def test_lock_that_is_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).mkdir()
    with pytest.raises(StateFolderError), hold_state_folder(tmp_path):
        pass


# Who holds it


def test_holder_is_the_process_that_has_the_folder_now(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with hold_state_folder(tmp_path):
        assert holder(tmp_path) == os.getpid()
    assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"
    assert holder(tmp_path) is None


def test_looking_for_the_holder_leaves_the_folder_free(tmp_path: Path) -> None:
    with hold_state_folder(tmp_path):
        pass
    assert holder(tmp_path) is None
    with hold_state_folder(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "no number", "-1"])
def test_holder_that_has_not_told_its_id_is_there_all_the_same(tmp_path: Path, text: str) -> None:
    with hold_state_folder(tmp_path):
        (tmp_path / LOCK_NAME).write_text(text)
        assert holder(tmp_path) == 0


def test_lock_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateFolderError, match="cannot read the lock"):
        holder(tmp_path)


NO_ROOM = """
import resource, sys
from pathlib import Path
from wsdev.errors import StateFolderError
from wsdev.state_lock import hold_state_folder
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    with hold_state_folder(Path(sys.argv[1])):
        pass
except StateFolderError as error:
    print(error.cause)
"""


def test_disk_without_room_is_told(tmp_path: Path) -> None:
    output = subprocess.check_output([sys.executable, "-c", NO_ROOM, str(tmp_path)], text=True)
    assert output == f"cannot write to the state folder {tmp_path}: File too large\n"


# What the holder tells of itself

NOTE = ServeNote(pid=os.getpid(), version="0.1.0", started=1.0, addresses=[("127.0.0.1", 3000)])


def test_note_is_there_while_the_block_runs_and_for_its_user_alone(tmp_path: Path) -> None:
    with left_note(tmp_path, NOTE):
        path = tmp_path / NOTE_NAME
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert note_of(tmp_path, NOTE.pid) == NOTE
        assert [each.name for each in tmp_path.iterdir()] == [NOTE_NAME]
    assert list(tmp_path.iterdir()) == []
    assert note_of(tmp_path, NOTE.pid) is None


def test_note_of_another_process_means_nothing(tmp_path: Path) -> None:
    with left_note(tmp_path, NOTE):
        assert note_of(tmp_path, NOTE.pid + 1) is None


def test_note_and_draft_of_a_killed_gateway_are_replaced(tmp_path: Path) -> None:
    (tmp_path / NOTE_NAME).write_text("old")
    (tmp_path / f".{NOTE_NAME}.part").write_text("cut")
    assert note_of(tmp_path, NOTE.pid) is None
    with left_note(tmp_path, NOTE):
        assert note_of(tmp_path, NOTE.pid) == NOTE


def test_note_does_not_follow_a_link_out_of_the_folder(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / NOTE_NAME).symlink_to(elsewhere)
    (folder / f".{NOTE_NAME}.part").symlink_to(elsewhere)
    with left_note(folder, NOTE):
        assert note_of(folder, NOTE.pid) == NOTE
    assert elsewhere.read_text() == "precious"


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"), left_note(tmp_path / "gone", NOTE):
        pass
