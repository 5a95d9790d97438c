"""uvicorn's keeper of several workers, which notices at once when one of them dies."""

from __future__ import annotations

import os
import signal

from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess


class Supervisor(Multiprocess):
    """Replaces dead workers within a second, and gives the living as long as they need to load; drains at the end.

    uvicorn asks each worker over a pipe whether it is well, and waits `timeout_worker_healthcheck` for the answer. It
    keeps the worker's end of the pipe open itself, so that a worker's death does not end the wait. Without that end
    it does.
    """

    def init_processes(self) -> None:
        """Start all workers."""
        super().init_processes()
        self._let_go()

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that died or hang."""
        super().keep_subprocess_alive()
        self._let_go()

    def handle_hup(self) -> None:
        """Have the workers look for what is to be served now; uvicorn would replace them."""
        for process in self.processes:
            if process.pid is not None:
                os.kill(process.pid, signal.SIGHUP)

    def run(self) -> None:
        """Serve until a signal; RuntimeError where a worker could not start."""
        super().run()
        if any(process.exitcode == STARTUP_FAILURE for process in self.processes):
            raise RuntimeError("a worker could not start; the lines above say why")

    def terminate_all(self) -> None:
        """Have all workers answer what is under way and stop.

        First the port is given up: while this process held it open, connections would be made that nobody answers.
        """
        for sock in self.sockets:
            sock.close()
        super().terminate_all()

    def _let_go(self) -> None:
        for process in self.processes:
            process.child_conn.close()
