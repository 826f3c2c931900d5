"""Our store of documents as a process: the example `retrieve` of services/rag, one JSON object a line each way."""

import json
import subprocess
from pathlib import Path

import procs


class Retrieval:
    """Use as a context. Documents and indexes go to `folder`."""

    def __init__(self, folder: Path, sessions: int = 2, made: bool = False):
        self.opening = {"folder": str(folder), "sessions": sessions, "made": made}

    def __enter__(self) -> "Retrieval":
        command = [procs.release("examples/retrieve")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask(open=self.opening)
        return self

    def __exit__(self, *_) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=120)

    def ask(self, **asked) -> dict:
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the example `retrieve` ended early, status {self.process.wait()}")
        return json.loads(line)

    def ingest(self, space: str, language: str | None, corpus: Path) -> dict:
        return self.ask(ingest={"space": space, "language": language, "corpus": str(corpus)})

    def search(self, space: str, queries: list[str], fusion: str, limit: int = 100, at_once: int = 2) -> dict:
        """`answers`, one for each query: `ids`, `scores`, `dense_weight`, `seconds`; and the `seconds` of all."""
        asked = {"space": space, "queries": queries, "fusion": fusion, "limit": limit, "at_once": at_once}
        return self.ask(search=asked)

    def cpu_seconds(self) -> float:
        return procs.cpu_seconds(self.process.pid)

    def rss_mb(self) -> float:
        return procs.rss_mb(self.process.pid)
