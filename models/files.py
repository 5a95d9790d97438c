"""Nothing half-written: files and folders appear whole under their name, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from models.errors import InputError

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

    On any error the temporary file is removed and an older `path` stays as it was. Raises OSError, naming `path`,
    and InputError where a file stands in a folder's place.
    """
    path = path.resolve()  # a link stays, what it names is replaced
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _unwritten(path, error) from error
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

    On any error the temporary folder is removed and an older `path` stays as it was. Raises OSError, naming `path`,
    and InputError where a file stands in a folder's place.
    """
    path = path.resolve()  # a link stays, what it names is replaced
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise _unwritten(path, error) from error
    try:
        yield temporary
        temporary.chmod(0o755)
        for file in temporary.iterdir():
            file.chmod(0o644)  # safetensors writes 0600, too
            fsync(file)
        fsync(temporary)
        if path.exists():
            older = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            try:
                path.replace(older)
                temporary.replace(path)
            except OSError:
                if not path.exists():
                    older.replace(path)
                raise
            finally:
                if path.exists():
                    shutil.rmtree(older, ignore_errors=True)
        else:
            temporary.replace(path)
        fsync(path.parent)
    except WRITE_ERRORS as error:
        raise _unwritten(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unwritten(path: Path, error: Exception) -> Exception:
    number = getattr(error, "errno", None)
    if number in (errno.EEXIST, errno.ENOTDIR):
        return InputError(f"cannot write {path}: a file stands where a folder is needed; choose another --out")
    # numpy and safetensors report a full disk without a number.
    full = "; is the disk full?" if number in (None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "."
    return OSError(f"cannot write {path} ({error}){full} What was there before is untouched")
