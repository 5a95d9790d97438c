"""Runs in parallel, each in a process of its own; their rows are written here, one after another."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from rich.markup import escape
from rich.progress import Progress as ProgressBar

from models.errors import InputError
from models.index import use_one_core
from models.lab.experiment import perform
from models.lab.grid import Run
from models.lab.rows import Row, append_row, finished, load_rows

GRACE = 2.0  # seconds for a run to clear up after itself
PATIENCE = 0.5  # seconds; under the SIGINT handler that polars installs, Ctrl-C is only heard of between waits


def conduct(runs: Sequence[Run], folder: Path, jobs: int, command: str, bar: ProgressBar) -> int:
    """Do the runs that have no row in `folder` yet, `jobs` at a time; how many failed.

    A run works in FOLDER/work/<key>/, from whose checkpoint it goes on after an interruption; the folder goes once
    the row is written. A run that fails is reported in a line, and the others go on. On an exception (Ctrl-C among
    them) the processes are stopped. Raises InputError where another `conduct` works in this folder.
    """
    with _alone(folder):
        known = finished(load_rows(folder))
        waiting = deque(run for run in runs if run.identity not in known)
        overall = bar.add_task("runs", total=len(runs), completed=len(runs) - len(waiting))
        threads = max(1, (os.cpu_count() or 1) // jobs)
        running: dict[Future[Row], Run] = {}
        lines = {}
        failures = 0
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    run = waiting.popleft()
                    future = _start(run, _work(folder, run), threads)
                    running[future], lines[future] = run, bar.add_task(str(run.identity), total=None)
                for future in wait(running, PATIENCE, FIRST_COMPLETED).done:
                    run = running.pop(future)
                    bar.remove_task(lines.pop(future))
                    error = future.exception()
                    if error is None:
                        row = future.result() | {"command": command}
                        append_row(folder, row)
                        shutil.rmtree(_work(folder, run))
                        result = f"recall@50 {row['recall@50']:.4f}"
                    else:
                        failures += 1
                        result = f"failed: {' '.join(str(error).split()) or type(error).__name__}"
                    bar.console.print(f"{run.identity}: {escape(result)}", soft_wrap=True)
                    bar.advance(overall)
        except BaseException:
            _stop(active_children())
            raise
    return failures


def _work(folder: Path, run: Run) -> Path:
    return folder / "work" / run.identity.key


def _start(run: Run, work: Path, threads: int) -> Future[Row]:
    """A process for this run alone: one that dies takes no other with it."""
    executor = ProcessPoolExecutor(1, get_context("spawn"), _settle, (threads,))
    future = executor.submit(perform, run, work)
    executor.shutdown(wait=False)
    return future


def _stop(children: list[BaseProcess]) -> None:
    """Kill what does not end by itself: in an import, Python drops what the handler of SIGTERM raises."""
    for child in children:
        child.terminate()
    for child in children:
        child.join(GRACE)
        child.kill()


def _settle(threads: int) -> None:
    """In the child: its share of the cores, and how it ends."""
    torch.set_num_threads(threads)
    use_one_core()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent says who stops
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # unwind: leave nothing half-written
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two writers of one file would lose each other's rows."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another dmi lab writes to {folder}; wait for it or choose another --out") from None
        yield
    finally:
        os.close(descriptor)
