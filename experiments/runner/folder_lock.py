"""One process per run folder: a lock file that the operating system releases with its holder."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType

from xr0_sim.errors import ConfigError, not_written

LOCK = ".lock"
"""Name of the lock file; it holds the process id of its owner while the lock is held."""

UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems without locks answer; folders on them are not guarded."""


class FolderLock:
    """Exclusive use of a folder; a context manager.

    The lock belongs to the open file, not to the file's existence: a killed process leaves a file
    behind, but no lock.

    Args:
        folder: An existing folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._path = self._folder / LOCK
        self._descriptor: int | None = None

    def __enter__(self) -> FolderLock:
        """Takes the lock.

        Raises:
            ConfigError: Another process has it; the message names its process id.
            StorageError: The folder may not be written.
        """
        while self._descriptor is None:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise not_written(self._path, error) from error
            if not _locked(descriptor):
                os.close(descriptor)
                raise self._refusal()
            # Its last owner may have removed the file between the opening and the locking.
            if _is_file(descriptor, self._path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                self._descriptor = descriptor
            else:
                os.close(descriptor)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes the file, then releases the lock."""
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def check(self) -> None:
        """Raises `ConfigError` if another process has the lock; changes nothing on disk."""
        try:
            descriptor = os.open(self._path, os.O_RDWR)
        except OSError:
            return
        try:
            if not _locked(descriptor):
                raise self._refusal()
        finally:
            os.close(descriptor)

    def _refusal(self) -> ConfigError:
        try:
            owner = self._path.read_text(encoding="ascii").strip() or "unknown"
        except (OSError, ValueError):
            owner = "unknown"
        return ConfigError(
            f"output folder {self._folder}: expected it to be free, got one that process {owner} "
            "is writing to; wait for that process to end or choose another --out"
        )


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    return True


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
