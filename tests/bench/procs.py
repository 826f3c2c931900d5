"""Processes under measurement: started, watched through /proc, stopped. What is measured is the caller's business."""

import contextlib
import os
import platform
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
READY_SECONDS = 30


def release(binary: str) -> Path:
    return Path(os.environ["CARGO_TARGET_DIR"]) / "release" / binary


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=0.5).close()
        return True
    except OSError:
        return False


@contextlib.contextmanager
def running(command: list[str], ready: Callable[[], bool]) -> Iterator[tuple[int, float]]:
    """The process id, and the seconds from exec until `ready()`. Stopped at the end of the block."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not ready():
            if process.poll() is not None or time.perf_counter() - started > READY_SECONDS:
                sys.exit(f"{' '.join(command)} did not become ready")
            time.sleep(0.002)
        yield process.pid, time.perf_counter() - started
    finally:
        process.terminate()
        process.wait(timeout=30)


def rss_mb(pid: int, field: str = "VmRSS") -> float:
    """Resident memory; `VmHWM` for the most there ever was."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) * 1024 / 1e6


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads so far."""
    # The name of the program, in brackets, may hold spaces; the times are fields 14 and 15.
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def machine() -> str:
    """What a figure means nothing without."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    name = model[1] if model else platform.machine()
    return f"{os.cpu_count()} x {name}, Linux {platform.release()}, load average {load}"
