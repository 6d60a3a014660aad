"""Starts processes, restarts what dies, stops all: `manage.py up` without Django and without the product."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from registration.orphans import die_with_parent

logger = logging.getLogger(__name__)
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # seconds before a restart
STABLE_SECONDS = 30.0  # what lived that long starts again without delay
STOP_SECONDS = 8.0
POLL_SECONDS = 0.2


class NotReady(Exception):
    """A process did not come up; the message says which."""


def _always() -> bool:
    return True


@dataclass
class Service:
    """death_signal : what the kernel sends it when the supervisor dies. log : where its messages go."""

    name: str
    command: Sequence[str]
    ready: Callable[[], bool] = _always
    death_signal: signal.Signals = signal.SIGKILL
    log: str = "its messages above"
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    delay: float = FIRST_DELAY
    restart_at: float | None = None

    def start(self) -> None:
        """In its own process group, so that it and its children can be ended together."""
        parent = os.getpid()
        self.process = subprocess.Popen(
            list(self.command),
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=lambda: die_with_parent(parent, self.death_signal),
        )
        self.started, self.restart_at = time.monotonic(), None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait(self) -> int:
        """Until it ends by itself; its exit status."""
        assert self.process is not None  # noqa: S101  (started before)
        return self.process.wait()

    def send(self, number: signal.Signals) -> None:
        """To the process and all it has started."""
        if self.process is not None:
            _signal_group(self.process.pid, number)


@dataclass
class Supervisor:
    """Keeps `services` alive, in the order given; stops them in the opposite one."""

    services: list[Service] = field(default_factory=list)

    def add(self, service: Service, seconds: float = 60.0) -> None:
        """Starts a service and waits until it is ready. Raises NotReady."""
        self.services.append(service)
        service.start()
        self.wait_ready(service, seconds)

    def wait_ready(self, service: Service, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not service.ready():
            if not service.alive:
                raise NotReady(f"{service.name} stopped while it was starting; see {service.log}.")
            if time.monotonic() > end:
                raise NotReady(f"{service.name} was not ready within {seconds:.0f} s.")
            time.sleep(0.05)

    def watch(self) -> None:
        """Runs until an exception (Ctrl-C, SIGTERM) ends it."""
        while True:
            for service in self.services:
                self._tend(service)
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """SIGTERM to each in turn, last started first; SIGKILL to whatever is left of its group."""
        for service in reversed(self.services):
            if service.alive:
                service.send(signal.SIGTERM)
                _wait(service, STOP_SECONDS)
            service.send(signal.SIGKILL)
        for service in self.services:
            if service.process is not None:
                service.process.wait()

    def _tend(self, service: Service) -> None:
        if service.alive:
            return
        if service.restart_at is None:
            self._plan_restart(service)
        elif time.monotonic() >= service.restart_at:
            service.start()

    def _plan_restart(self, service: Service) -> None:
        now = time.monotonic()
        service.send(signal.SIGKILL)  # its children must not stay behind
        stable = now - service.started > STABLE_SECONDS
        wait = FIRST_DELAY if stable else service.delay
        service.delay = min(LONGEST_DELAY, 2 * wait)
        service.restart_at = now + wait
        status = service.process.returncode if service.process else None
        logger.warning("%s ended (status %s); it starts again in %.1f s", service.name, status, wait)


def _wait(service: Service, seconds: float) -> None:
    assert service.process is not None  # noqa: S101  (only called for one that lives)
    try:
        service.process.wait(seconds)
    except subprocess.TimeoutExpired:
        logger.warning("%s did not stop within %.0f s and is killed", service.name, seconds)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return  # nobody left in it
