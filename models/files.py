"""Nothing half-written: files and folders appear whole under their name, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

WRITE_ERRORS = (OSError, SafetensorError)  # safetensors reports a full disk as an error of its own


def fsync(path: Path) -> None:
    """Flush a file's (or a folder's) content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed and renamed to `path`.

    On any error the temporary file is removed and an older `path` stays as it was. Raises OSError, naming `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp's 0600 would lock out a service that runs as another user
        fsync(temporary)
        temporary.replace(path)
        fsync(path.parent)
    except WRITE_ERRORS as error:
        raise _unwritten(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes the place of `path`.

    On any error the temporary folder is removed and an older `path` stays as it was. Raises OSError, naming `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        temporary.chmod(0o755)
        for file in temporary.iterdir():
            fsync(file)
        fsync(temporary)
        if path.exists():
            older = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            path.replace(older)
            try:
                temporary.replace(path)
            except OSError:
                older.replace(path)
                raise
            shutil.rmtree(older)
        else:
            temporary.replace(path)
        fsync(path.parent)
    except WRITE_ERRORS as error:
        raise _unwritten(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unwritten(path: Path, error: Exception) -> OSError:
    return OSError(f"cannot write {path} ({error}); is the disk full? What was there before is untouched")
