"""Footprint and start of our processes, beside Envoy's in the same run: idle memory, time to the first answer.

Usage: footprint.py [--rounds N]
Finds the release binaries in $CARGO_TARGET_DIR/release. Prints the median of N rounds, A and B interleaved.
"""

import argparse
import statistics
import tempfile
import time

import grpc

from peer import envoy_command
from procs import accepts, free_port, machine, release, rss_mb, running

SETTLE_SECONDS = 1.0
# By program: its package, and keys beside its ports.
SERVICES = {name: (name, {}) for name in ("asr", "align", "diar", "tts", "ocr", "analysis", "rag")}
SERVICES["llm-proxy"] = ("llm", {"http.listen": "127.0.0.1:0", "discover": "false"})


def serving(address: str, service: str) -> bool:
    """One health check, hand-encoded: field 1 of the request is the name, field 1 of the answer is 1 for SERVING."""
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            return check(bytes([10, len(service)]) + service.encode(), timeout=0.5) == b"\x08\x01"
        except grpc.RpcError:
            return False


def measure(command: list[str], ready) -> tuple[float, float]:
    """Milliseconds from exec until `ready()`, then resident memory after a moment of rest."""
    with running(command, ready) as (pid, seconds):
        time.sleep(SETTLE_SECONDS)
        return seconds * 1000, rss_mb(pid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds

    print(machine(), flush=True)
    results: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, (package, keys) in SERVICES.items():
                address = f"127.0.0.1:{free_port()}"
                service = f"polyphony.{package}.v1.{package.capitalize()}Service"
                keys = {"server.listen": address, "server.admin": "127.0.0.1:0", **keys}
                if name == "rag":
                    keys["data_dir"] = folder
                sets = [part for key, value in keys.items() for part in ("--set", f"{name}.{key}={value}")]
                row = measure([str(release(f"polyphony-{name}")), *sets], lambda: serving(address, service))
                results.setdefault(f"{name}, no model in memory: to SERVING", []).append(row)

            gateway, envoy = (f"127.0.0.1:{free_port()}" for _ in range(2))
            command = [str(release("polyphony-gateway")), "--set", f"gateway.listen={gateway}", "--set", "gateway.admin=127.0.0.1:0"]
            row = measure(command, lambda: accepts(gateway))
            results.setdefault("gateway: to accepting", []).append(row)

            command = envoy_command(folder, int(envoy.split(":")[1]), free_port(), upstream=free_port())
            row = measure(command, lambda: accepts(envoy))
            results.setdefault("envoy, one route: to accepting", []).append(row)
    print(f"{'median of ' + str(rounds):44} {'start ms':>9} {'idle RSS MB':>12}")
    for what, rows in results.items():
        start, rss = (statistics.median(column) for column in zip(*rows))
        print(f"{what:44} {start:9.1f} {rss:12.1f}")
    for binary in ("polyphony", *(f"polyphony-{name}" for name in SERVICES), "polyphony-gateway"):
        print(f"{binary + ', stripped':44} {release(binary).stat().st_size / 1e6:9.1f} MB")


if __name__ == "__main__":
    main()
