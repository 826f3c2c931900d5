"""Scores alignment without a model (the engine dtw) against word times, and how well it tells a text of the audio from
another. The engine ctc has no weights here: its parity tests are in services/align/tests.

Usage: align.py --data DIR [--ours BINARY]
DIR holds align/transcripts.jsonl and asr/transcripts.jsonl (one object a line: file, lang, text, and for some words: w, s,
e in seconds) with the recordings beside them. BINARY is our example `align_lines`, by default that of
$CARGO_TARGET_DIR/release/examples; espeak-ng is that of $POLYPHONY_HOME/wheels.

Printed: median and 95th percentile of the error of word boundaries (each word's begin and end), how many are off by more
than 100 ms, and the seconds of work for a second of audio. Times in asr/ are a machine's (CMU Sphinx); those in align/
are by hand (bobby, mary, pumpkins) or a machine's, in two recordings of free speech with fillers and noise.
"""

import argparse
import json
import os
import random
import subprocess
import sys
from pathlib import Path

LANGUAGES = {"en": "en-US"}
# Text and audio that agree less are probably not of each other (`alignment_quality`).
DOUBT = 0.3


def percentile(values: list[float], share: float) -> float:
    """With values between, as numpy's."""
    values = sorted(values)
    at = share * (len(values) - 1)
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def load(folder: Path) -> list[dict]:
    index = folder / "transcripts.jsonl"
    if not index.is_file():
        sys.exit(f"no {index}")
    lines = [json.loads(line) for line in index.read_text().splitlines() if line.strip()]
    timed = [line for line in lines if line.get("words")]
    for line in timed:
        line["path"] = str(folder / line["file"])
        line["said"] = " ".join(word["w"] for word in line["words"])
    return timed


def align(binary: Path, requests: list[dict]) -> list[dict]:
    espeak = Path(os.environ["POLYPHONY_HOME"]) / "wheels/espeakng_loader"
    lines = "\n".join(json.dumps(request) for request in requests)
    done = subprocess.run([binary, espeak], input=lines, capture_output=True, text=True, timeout=3600)
    if done.returncode:
        sys.exit(f"{binary}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def asked(line: dict, text: str) -> dict:
    return {"file": line["path"], "text": text, "language": LANGUAGES.get(line["lang"], line["lang"])}


def boundaries(name: str, lines: list[dict], answers: list[dict]) -> list[float]:
    print(f"\n{name:32} {'words':>5} {'median':>7} {'95 %':>7} {'>100ms':>7} {'quality':>7} {'work/s':>7}   ms")
    every, work = [], 0.0
    for line, answer in zip(lines, answers):
        if "error" in answer:
            sys.exit(f"{line['file']}: {answer['error']}")
        errors = []
        for (start, end, _), word in zip(answer["words"], line["words"], strict=True):
            errors += [abs(start - word["s"]) * 1000, abs(end - word["e"]) * 1000]
        every += errors
        work += answer["seconds"]
        print(row(line["file"], errors, answer["seconds"] / line["duration"], f"{answer['quality']:7.2f}"))
    print(row("all", every, work / sum(line["duration"] for line in lines), " " * 7))
    return every


def row(name: str, errors: list[float], work: float, quality: str) -> str:
    far = sum(error > 100 for error in errors) / len(errors)
    middle, most = percentile(errors, 0.5), percentile(errors, 0.95)
    return f"{name:32} {len(errors) // 2:5} {middle:7.0f} {most:7.0f} {far:7.1%} {quality} {work:7.4f}"


def others(lines: list[dict]) -> list[dict]:
    """For each recording, twice, as many words of other texts as its own has. The same each time."""
    choose = random.Random(3)
    requests = []
    for line in lines:
        pool = " ".join(other["said"] for other in lines if other["said"] != line["said"]).split()
        for _ in range(2):
            count = len(line["words"])
            begin = choose.randrange(len(pool) - count)
            requests.append(asked(line, " ".join(pool[begin : begin + count])))
    return requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ours", type=Path)
    args = parser.parse_args()
    binary = args.ours or Path(os.environ["CARGO_TARGET_DIR"]) / "release/examples/align_lines"

    lines, right = [], []
    for name in ("align", "asr"):
        timed = load(args.data / name)
        answers = align(binary, [asked(line, line["said"]) for line in timed])
        boundaries(name, timed, answers)
        lines += timed
        right += [answer["quality"] for answer in answers]
    # Text that cannot be said in the time is refused, which tells it apart as well.
    wrong = [answer.get("quality", 0.0) for answer in align(binary, others(lines))]
    for name, values in (("own texts", right), ("other texts", wrong)):
        below = sum(value < DOUBT for value in values) / len(values)
        print(f"\nquality with {name:12} {len(values):4} median {percentile(values, 0.5):.2f}, below {DOUBT}: {below:.1%}")


if __name__ == "__main__":
    main()
