"""Our proxy of language models beside LiteLLM and Portkey: the same requests to the same server, interleaved in one run.

Usage: llm.py [--rounds N] [--peer-requests N]
Needs h2load (Debian: nghttp2-client), the release binary of polyphony-llm-proxy, and the example `upstream` of that package,
in $CARGO_TARGET_DIR/release. The peers are measured where they are named: LITELLM=PATH of the program `litellm` (PyPI
litellm[proxy], in an environment of its own), PORTKEY=PATH of `start-server.js` of npm's @portkey-ai/gateway.

The server answers 1 KB from memory, or a stream; it is no model. "direct" is that server without a proxy. Loader, proxy and
server share the machine, so requests a second depend on it and on what else runs; added times are differences of the same
percentile, with and without the proxy, in one round.
"""

import argparse
import contextlib
import json
import os
import random
import re
import resource
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import procs
from procs import cpu_seconds, free_port, machine, release, rss_mb

STREAMS = 1_000
FIRST_TOKENS = 60
OPEN_LOOP_SECONDS = 10
OPEN_LOOP_RATE = 200
# It does not start without a key that is hard to guess.
LITELLM_KEY = "sk-bench-7d1c0f5ab3e24986"
# LiteLLM takes its time to start.
procs.READY_SECONDS = 300


def body(stream: bool) -> bytes:
    """A request of about 1 KB."""
    text = "Tell me about the weather in the mountains. " * 20
    request = {"model": "m", "messages": [{"role": "user", "content": text}], "temperature": 0.7}
    return json.dumps(request | ({"stream": True} if stream else {}), separators=(",", ":")).encode()


def head(address: str, headers: dict[str, str], length: int) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    return f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{''.join(lines)}Content-Length: {length}\r\n\r\n".encode()


@dataclass
class Target:
    """One way to the server, and what was measured of it: a list by the name of the figure."""

    name: str
    address: str
    headers: dict[str, str] = field(default_factory=dict)
    requests: int = 20_000
    figures: dict[str, list[float]] = field(default_factory=dict)
    errors: int = 0

    def note(self, figure: str, value: float) -> None:
        self.figures.setdefault(figure, []).append(value)

    def answers(self) -> bool:
        """Whether a request goes well."""
        headers = self.headers | {"content-type": "application/json"}
        request = urllib.request.Request(f"http://{self.address}/v1/chat/completions", body(False), headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                return b"dull answer" in reply.read()
        except OSError:
            return False


class Bench:
    def __init__(self, folder: str, peer_requests: int) -> None:
        self.folder = Path(folder)
        self.server = free_port()
        self.streaming = free_port()
        (self.folder / "whole.json").write_bytes(body(False))
        self.targets = [Target("direct", f"127.0.0.1:{self.server}"), Target("ours", f"127.0.0.1:{free_port()}")]
        if os.environ.get("LITELLM"):
            self.targets.append(Target("litellm", f"127.0.0.1:{free_port()}", {"authorization": f"Bearer {LITELLM_KEY}"}, peer_requests))
        if os.environ.get("PORTKEY"):
            headers = {"authorization": "Bearer any", "x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{self.server}/v1"}
            self.targets.append(Target("portkey", f"127.0.0.1:{free_port()}", headers, peer_requests))

    def command(self, target: Target, upstream: int) -> list[str]:
        port = target.address.split(":")[1]
        if target.name == "ours":
            config = self.folder / f"polyphony-{upstream}.toml"
            config.write_text(
                f"[llm-proxy]\ndiscover = false\nmax_streams = 4096\n[llm-proxy.http]\nlisten = '{target.address}'\n"
                f"[llm-proxy.server]\nlisten = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\n"
                f"[llm-proxy.upstreams.bench]\nurl = 'http://127.0.0.1:{upstream}'\nmax_in_flight = 4096\n"
            )
            return [str(release("polyphony-llm-proxy")), "--config", str(config)]
        if target.name == "litellm":
            config = self.folder / f"litellm-{upstream}.yaml"
            config.write_text(
                f"model_list:\n  - model_name: m\n    litellm_params:\n      model: openai/m\n      api_key: any\n"
                f"      api_base: http://127.0.0.1:{upstream}/v1\ngeneral_settings:\n  master_key: {LITELLM_KEY}\n"
            )
            # It would look for a list of prices, and uvicorn takes a worker that starts slowly for dead.
            os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
            return [os.environ["LITELLM"], "--config", str(config), "--port", port, "--host", "127.0.0.1", "--num_workers", "2", "--timeout_worker_healthcheck", "120"]
        target.headers["x-portkey-custom-host"] = f"http://127.0.0.1:{upstream}/v1"
        return ["node", os.environ["PORTKEY"], f"--port={port}", "--headless"]

    @contextlib.contextmanager
    def process(self, target: Target, upstream: int) -> Iterator[int]:
        with procs.running(self.command(target, upstream), target.answers) as (pid, seconds):
            target.note("start ms", seconds * 1000)
            yield pid

    def h2load(self, target: Target, arguments: list[str], requests: int) -> tuple[float, list[int]]:
        """Requests a second, and each one's time in microseconds."""
        log = self.folder / "log"
        log.unlink(missing_ok=True)
        command = ["h2load", "--h1", "-d", str(self.folder / "whole.json"), "-H", "content-type: application/json", *arguments]
        for name, value in target.headers.items():
            command += ["-H", f"{name}: {value}"]
        command += ["--log-file", str(log), f"http://{target.address}/v1/chat/completions"]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        good = int(re.search(r"status codes: (\d+) 2xx", out)[1])
        times = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
        target.errors += max(0, (requests or len(times)) - good)
        return float(re.search(r"finished in .*?, ([\d.]+) req/s", out)[1]), times

    def whole(self, target: Target, pid: int) -> None:
        """Answers that come whole: as many as go, and so many a second."""
        self.h2load(target, ["-n", "500", "-c", "10"], 500)
        before = sum(cpu_seconds(one) for one in family(pid))
        rate, times = self.h2load(target, ["-n", str(target.requests), "-c", "10"], target.requests)
        used = sum(cpu_seconds(one) for one in family(pid)) - before
        target.note("requests/s, 10 connections", rate)
        target.note("CPU us/request", used / target.requests * 1e6)
        target.note("p99 us, 10 connections", times[len(times) * 99 // 100])

    def paced(self, target: Target) -> None:
        """Microseconds of answers to requests that come as they would from many independent callers, at Poisson's times.

        h2load's own pace lets all its clients send at once, which measures how a burst is worked off.
        """
        request = body(False)
        message = head(target.address, target.headers, len(request)) + request
        random_gap = random.Random(0)
        idle, waiting, times = [], {}, []
        selector = selectors.DefaultSelector()
        due = time.perf_counter()
        for _ in range(OPEN_LOOP_RATE * OPEN_LOOP_SECONDS):
            due += random_gap.expovariate(OPEN_LOOP_RATE)
            while (left := due - time.perf_counter()) > 0:
                self.collect(selector, left, idle, waiting, times)
            # As many connections as are needed at once, so that no request waits for another.
            if idle:
                connection = idle.pop()
            else:
                connection = socket.create_connection(tuple_of(target.address))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ)
            waiting[connection] = [time.perf_counter(), b""]
            connection.sendall(message)
        while waiting:
            self.collect(selector, 1, idle, waiting, times)
        for connection in idle:
            connection.close()
        times.sort()
        target.note(f"p50 us at {OPEN_LOOP_RATE}/s", times[len(times) // 2])
        target.note(f"p99 us at {OPEN_LOOP_RATE}/s", times[len(times) * 99 // 100])

    @staticmethod
    def collect(selector: selectors.BaseSelector, patience: float, idle: list, waiting: dict, times: list[float]) -> None:
        """Reads what came within `patience` seconds; a connection whose answer is whole is idle again."""
        for key, _ in selector.select(patience):
            connection = key.fileobj
            entry = waiting[connection]
            piece = connection.recv(65536)
            if not piece:
                sys.exit("a connection was closed in the middle of an answer")
            entry[1] += piece
            end = entry[1].find(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", entry[1][:end], re.IGNORECASE) if end >= 0 else None
            if end >= 0 and not length:
                sys.exit("an answer has no Content-Length")
            if length and len(entry[1]) >= end + 4 + int(length[1]):
                times.append((time.perf_counter() - entry[0]) * 1e6)
                del waiting[connection]
                idle.append(connection)

    def first_tokens(self, target: Target) -> None:
        """Microseconds from a request to the first byte of its stream's first event."""
        times = []
        for _ in range(FIRST_TOKENS):
            with socket.create_connection(tuple_of(target.address)) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                request = body(True)
                message = head(target.address, target.headers, len(request)) + request
                begun = time.perf_counter()
                connection.sendall(message)
                read = b""
                while b"data:" not in read:
                    piece = connection.recv(65536)
                    if not piece:
                        target.errors += 1
                        break
                    read += piece
                times.append((time.perf_counter() - begun) * 1e6)
        target.note("first token us, median", statistics.median(times))

    def streams(self, target: Target, pid: int) -> None:
        """Memory of the proxy while so many streams are open, each of which has begun."""
        idle = sum(rss_mb(one) for one in family(pid))
        request = body(True)
        message = head(target.address, target.headers, len(request)) + request
        connections = []
        selector = selectors.DefaultSelector()
        for _ in range(STREAMS):
            connection = socket.create_connection(tuple_of(target.address))
            connection.sendall(message)
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
            connections.append(connection)
        begun: set[int] = set()
        end = time.monotonic() + 60
        while len(begun) < STREAMS and time.monotonic() < end:
            for key, _ in selector.select(1):
                if b"data:" in key.fileobj.recv(65536):
                    begun.add(key.fd)
        held = sum(rss_mb(one) for one in family(pid))
        target.errors += STREAMS - len(begun)
        target.note("RSS MB, idle", idle)
        target.note(f"RSS MB, {STREAMS:,} open streams", held)
        for connection in connections:
            connection.close()

    def round(self, targets: list[Target], server: int, streaming: int) -> None:
        for target in targets:
            if target.name == "direct":
                self.whole(target, server)
                self.paced(target)
                direct = Target("direct", f"127.0.0.1:{self.streaming}")
                self.first_tokens(direct)
                target.note("first token us, median", direct.figures["first token us, median"][0])
                continue
            with self.process(target, self.server) as pid:
                self.whole(target, pid)
                self.paced(target)
            with self.process(target, self.streaming) as pid:
                self.first_tokens(target)
                self.streams(target, pid)


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def tuple_of(address: str) -> tuple[str, int]:
    host, port = address.split(":")
    return host, int(port)


def report(targets: list[Target], rounds: int) -> None:
    direct, ours, *peers = targets
    names = "".join(f"{target.name:>12}" for target in targets)
    print(f"{'median of ' + str(rounds) + ' rounds':40}{names}" + "".join(f"  ours/{peer.name}" for peer in peers))

    def median(target: Target, figure: str) -> float:
        return statistics.median(target.figures.get(figure, [float("nan")]))

    for figure in ours.figures:
        values = [median(target, figure) for target in targets]
        cells = "".join(f"{value:12,.1f}" if value == value else f"{'-':>12}" for value in values)
        ratios = "".join(f"{values[1] / median(peer, figure):13.3f}" for peer in peers)
        print(f"{figure:40}{cells}{ratios}")
    for figure in (f"p50 us at {OPEN_LOOP_RATE}/s", f"p99 us at {OPEN_LOOP_RATE}/s", "first token us, median"):
        added = [statistics.median([a - b for a, b in zip(target.figures[figure], direct.figures[figure])]) for target in targets]
        cells = "".join(f"{value:12,.1f}" for value in added)
        ratios = "".join(f"{added[1] / value:13.3f}" for value in added[2:])
        print(f"{'added: ' + figure:40}{cells}{ratios}")
    print(f"{'errors':40}" + "".join(f"{target.errors:12}" for target in targets))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-requests", type=int, default=2_000, help="requests of the closed loop for the peers")
    args = parser.parse_args()
    if not shutil.which("h2load"):
        sys.exit("h2load is missing; setup/bench installs it (Debian: nghttp2-client)")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    print(machine(), flush=True)
    upstream = str(release("examples/upstream"))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder, args.peer_requests)
        direct = bench.targets[0]
        quick = [upstream, str(bench.server)]
        # Streams that stay open while they are counted.
        slow = [upstream, str(bench.streaming), "60", "1000"]
        with (
            procs.running(quick, direct.answers) as (server, _),
            procs.running(slow, lambda: procs.accepts(f"127.0.0.1:{bench.streaming}")) as (streaming, _),
        ):
            for number in range(args.rounds):
                # Each is first in its turn, so that none always follows the same other.
                turn = number % len(bench.targets)
                bench.round(bench.targets[turn:] + bench.targets[:turn], server, streaming)
    print(machine())
    report(bench.targets, args.rounds)
    if any(target.errors for target in bench.targets[:2]):
        sys.exit("some requests failed")


if __name__ == "__main__":
    main()
