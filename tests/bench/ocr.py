"""How many pages a second text recognition reads, beside RapidOCR as it is installed and RapidOCR with one thread a
session, on the same pixels, in turns.

Usage: ocr.py --data DIR --ours BINARY [--rounds N]
DIR holds truth.jsonl, whose images are read; those whose tags say that they are turned are left out, because RapidOCR
does not read them. BINARY is the example `read` of polyphony-ocr. Each takes all cores there are; each has read every
page once before it is measured.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Run again by itself for a peer, so that each has a process of its own: pages on standard input, what it cost on the output.
if len(sys.argv) == 3 and sys.argv[1] == "--peer":
    import numpy
    from PIL import Image
    from rapidocr_onnxruntime import RapidOCR

    engine = RapidOCR(**({"intra_op_num_threads": 1, "inter_op_num_threads": 1} if sys.argv[2] == "one" else {}))
    pages = [numpy.ascontiguousarray(numpy.array(Image.open(path.strip()))[:, :, ::-1]) for path in sys.stdin]
    texts = [[text for _, text, _ in engine(page)[0] or []] for page in pages]
    wall, cpu = time.perf_counter(), time.process_time()
    for page in pages:
        engine(page)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak, "texts": texts}))
    sys.exit()


def run(command: list[str], **options) -> list[dict]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600, **options)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def peer(kind: str, paths: list[str]) -> dict:
    return run([sys.executable, __file__, "--peer", kind], input="\n".join(paths))[-1]


def ours(binary: str, paths: list[str], *flags: str) -> dict:
    *pages, cost = run([binary, "--repeat", "2", *flags, *paths])
    return {
        "wall": cost["wall_seconds"],
        "cpu": cost["cpu_seconds"],
        "peak": cost["peak_bytes"],
        "texts": [[line["text"] for line in page["lines"]] for page in pages],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    sys.path.insert(0, str(Path(__file__).parents[1] / "eval"))
    from ocr import picture

    rows = [json.loads(line) for line in (args.data / "truth.jsonl").read_text().splitlines() if line.strip()]
    names = [row["file"] for row in rows if not any(tag.startswith("rotated") for tag in row.get("tags", []))]
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name in names:
            paths.append(str(Path(folder) / f"{len(paths)}.png"))
            picture(args.data / name).save(paths[-1], compress_level=1)
        contenders = {
            "RapidOCR 1.4.4 as installed": lambda: peer("all", paths),
            "RapidOCR, one thread a session": lambda: peer("one", paths),
            "ours, page by page": lambda: ours(args.ours, paths),
            "ours, two pages at once": lambda: ours(args.ours, paths, "--pages", "2"),
        }
        results = {name: [] for name in contenders}
        for _ in range(args.rounds):
            for name, measure in contenders.items():
                results[name].append(measure())

    texts = {name: runs[0]["texts"] for name, runs in results.items()}
    reference = texts["RapidOCR 1.4.4 as installed"]
    installed, tuned, *_ = (statistics.median(run["wall"] for run in runs) for runs in results.values())
    print(f"{len(paths)} pages, {os.cpu_count()} cores, median of {args.rounds} rounds in turns")
    print(f"{'':32} {'pages/s':>8} {'CPU s/page':>11} {'peak MB':>8} {'x installed':>12} {'x one thread':>13} {'same lines':>11}")
    for name, runs in results.items():
        wall, cpu = (statistics.median(run[key] for run in runs) for key in ("wall", "cpu"))
        pairs = [(set(mine), theirs) for mine, theirs in zip(texts[name], reference)]
        same = sum(line in mine for mine, theirs in pairs for line in theirs) / sum(map(len, reference))
        print(
            f"{name:32} {len(paths) / wall:8.2f} {cpu / len(paths):11.2f} {max(run['peak'] for run in runs) / 1e6:8.0f}"
            f" {installed / wall:12.2f} {tuned / wall:13.2f} {same:11.1%}"
        )


if __name__ == "__main__":
    main()
