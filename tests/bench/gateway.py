"""Our gateway beside the real Envoy: the same calls to the same service, interleaved in one run.

Usage: gateway.py [--rounds N] [--set KEY=VALUE]...
Needs h2load (Debian: nghttp2-client) and the release binaries in $CARGO_TARGET_DIR/release.

The calls are Operations/ListOperations, answered from memory by one polyphony-asr that both proxies route to; "direct" is
that service without a proxy, with its own CPU time: the ceiling. Loader, proxy and service share the machine, so requests
a second depend on it and on what else runs; the CPU time that the proxy itself takes for a call is the figure to compare.
"""

import argparse
import contextlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from h2conn import Connections
from peer import envoy_command
from procs import cpu_seconds, free_port, machine, release, rss_mb, running

METHOD = "/google.longrunning.Operations/ListOperations"
# A ListOperationsRequest with nothing set: not compressed, length 0.
REQUEST = bytes(5)
IDLE_CONNECTIONS = 1000
SETTLE_SECONDS = 1.0


def call(address: str) -> bytes | None:
    """The answer, or None if there is none yet."""
    with grpc.insecure_channel(address) as channel:
        try:
            return channel.unary_unary(METHOD)(b"", timeout=5)
        except grpc.RpcError:
            return None


@dataclass(frozen=True)
class Load:
    name: str
    clients: int
    streams: int
    requests: int


LATENCY = Load("1 connection, 1 stream", 1, 1, 4_000)
THROUGHPUT = Load("8 connections, 32 streams each", 8, 32, 60_000)


@dataclass
class Target:
    """One way to the service, and what was measured of it: a list by the name of the figure."""

    name: str
    address: str
    figures: dict[str, list[float]] = field(default_factory=dict)
    errors: int = 0

    def note(self, figure: str, value: float) -> None:
        self.figures.setdefault(figure, []).append(value)


class Bench:
    def __init__(self, folder: str, sets: list[str]) -> None:
        self.folder = folder
        self.sets = sets
        self.asr, self.ours, self.envoy = (free_port() for _ in range(3))
        self.body = Path(folder) / "request"
        self.body.write_bytes(REQUEST)
        self.answer: bytes | None = None

    def asr_command(self) -> list[str]:
        listen = f"asr.server.listen=127.0.0.1:{self.asr}"
        return [str(release("polyphony-asr")), "--set", listen, "--set", "asr.server.admin=127.0.0.1:0"]

    def proxy_command(self, name: str) -> list[str]:
        if name == "envoy":
            return envoy_command(self.folder, self.envoy, free_port(), self.asr)
        config = Path(self.folder) / "polyphony.toml"
        config.write_text(
            f"[gateway]\nlisten = '127.0.0.1:{self.ours}'\nadmin = '127.0.0.1:0'\n"
            f"[gateway.clusters.asr]\nendpoints = ['127.0.0.1:{self.asr}']\nmax_requests = 1000000\nmax_pending = 1000000\n"
        )
        extra = [part for item in self.sets for part in ("--set", item)]
        return [str(release("polyphony-gateway")), "--config", str(config), *extra]

    @contextlib.contextmanager
    def proxy(self, target: Target) -> Iterator[int]:
        """A fresh process that passes calls, which it does once the service has passed its first health check."""
        with running(self.proxy_command(target.name), lambda: call(target.address) == self.answer) as (pid, _):
            yield pid

    def load(self, target: Target, load: Load, pid: int) -> None:
        """Drives one load; notes the rate, the times, and the CPU time of process `pid`."""
        log = Path(self.folder) / "log"
        log.unlink(missing_ok=True)
        command = ["h2load", "-n", str(load.requests), "-c", str(load.clients), "-m", str(load.streams)]
        command += ["-d", str(self.body), "-H", "content-type: application/grpc", "-H", "te: trailers"]
        command += ["--log-file", str(log), f"http://{target.address}{METHOD}"]
        before = cpu_seconds(pid)
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        used = cpu_seconds(pid) - before

        good = int(re.search(r"status codes: (\d+) 2xx", out)[1])
        data = int(re.search(r"\((\d+)\) data", out)[1])
        # A call that failed by gRPC is a 200 without a message, so the bytes of the messages are counted too.
        whole = data // (len(self.answer) + 5)
        target.errors += load.requests - min(good, whole)
        times = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
        target.note(f"{load.name}: requests/s", float(re.search(r"finished in .*?, ([\d.]+) req/s", out)[1]))
        target.note(f"{load.name}: CPU us/request", used / load.requests * 1e6)
        target.note(f"{load.name}: p50 us", times[len(times) // 2])
        target.note(f"{load.name}: p99 us", times[len(times) * 99 // 100])

    def loads(self, target: Target, pid: int) -> None:
        warm = Target(target.name, target.address)
        self.load(warm, Load("warm-up", 8, 32, 5_000), pid)
        target.errors += warm.errors
        for load in (LATENCY, THROUGHPUT):
            self.load(target, load, pid)

    def memory(self, target: Target) -> None:
        """Of a process that has done nothing yet, and then holds connections each of which has made one call."""
        with self.proxy(target) as pid:
            time.sleep(SETTLE_SECONDS)
            idle = rss_mb(pid)
            with Connections(target.address, METHOD, REQUEST, IDLE_CONNECTIONS) as connections:
                target.errors += connections.errors
                time.sleep(SETTLE_SECONDS)
                held = rss_mb(pid)
        target.note("RSS MB, idle", idle)
        target.note(f"RSS MB, {IDLE_CONNECTIONS} idle connections", held)
        target.note("KB a connection", (held - idle) * 1000 / IDLE_CONNECTIONS)

    def round(self, targets: list[Target], service: int) -> None:
        for target in targets:
            if target.name == "direct":
                self.loads(target, service)
                continue
            self.memory(target)
            with self.proxy(target) as pid:
                self.loads(target, pid)
                target.note("RSS MB, most under load", rss_mb(pid, "VmHWM"))


def report(targets: list[Target], rounds: int) -> None:
    direct, ours, envoy = targets
    print(f"{'median of ' + str(rounds) + ' rounds':50} {'direct':>9} {'ours':>9} {'envoy':>9} {'ours/envoy':>11}")
    for figure in ours.figures:
        values = [statistics.median(target.figures.get(figure, [float("nan")])) for target in targets]
        cells = " ".join(f"{value:9,.1f}" if value == value else f"{'-':>9}" for value in values)
        print(f"{figure:50} {cells} {values[1] / values[2]:11.2f}")
    cells = " ".join(f"{target.errors:9}" for target in targets)
    print(f"{'errors':50} {cells}")
    print("least and most of the rounds, CPU us/request")
    for load in (LATENCY, THROUGHPUT):
        for target in (ours, envoy):
            values = target.figures[f"{load.name}: CPU us/request"]
            print(f"  {load.name + ', ' + target.name:48} {min(values):9.1f} {max(values):9.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], help="one more setting of our gateway")
    args = parser.parse_args()
    if not shutil.which("h2load"):
        sys.exit("h2load is missing; setup/bench installs it (Debian: nghttp2-client)")
    # A socket each for the idle connections.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder, args.set)
        ports = {"direct": bench.asr, "ours": bench.ours, "envoy": bench.envoy}
        targets = [Target(name, f"127.0.0.1:{port}") for name, port in ports.items()]
        direct = targets[0].address
        with running(bench.asr_command(), lambda: call(direct) is not None) as (service, _):
            bench.answer = call(direct)
            for number in range(args.rounds):
                # Each is first in its turn, so that none always follows the same other.
                turn = number % len(targets)
                bench.round(targets[turn:] + targets[:turn], service)
    print(machine())
    report(targets, args.rounds)
    if any(target.errors for target in targets):
        sys.exit("some calls failed")


if __name__ == "__main__":
    main()
