"""Scores speech recognition against ground truth: word error rate per file and overall, for every model that is ready,
recording by recording and streamed.

Usage: asr.py --data DIR --polyphony BINARY
DIR holds asr/transcripts.jsonl (one object a line: file, text, duration) and the recordings beside it.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import mesh

DIGITS = dict(zip("0123456789", "zero one two three four five six seven eight nine".split()))


def words(text: str) -> list[str]:
    """Lower case, without punctuation, digits spelled out one by one."""
    text = re.sub(r"\d", lambda digit: f" {DIGITS[digit[0]]} ", text.lower()).replace("'", "")
    return re.sub(r"[^\w\s]", " ", text).split()


def errors(truth: list[str], heard: list[str]) -> int:
    """The edit distance between two lists of words (Levenshtein 1966)."""
    row = list(range(len(heard) + 1))
    for i, expected in enumerate(truth, 1):
        above, row[0] = row[0], i
        for j, word in enumerate(heard, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (expected != word))
    return row[-1]


def transcribe(binary: str, gateway: str, model: str, path: Path, *flags: str) -> str:
    command = [binary, "transcribe", "--json", "--gateway", gateway, "--model", model, *flags, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return " ".join(line["text"] for line in lines if line.get("final", True))


def score(binary: str, server: mesh.Mesh, model: str, files: list[dict], folder: Path) -> None:
    total, wrong = 0, {"whole": 0, "stream": 0}
    audio, cpu = sum(file["duration"] for file in files), {}
    heard = {}
    for mode, flags in (("whole", []), ("stream", ["--stream"])):
        before = server.cpu_seconds()
        for file in files:
            heard[mode, file["file"]] = words(transcribe(binary, server.url, model, folder / file["file"], *flags))
        cpu[mode] = server.cpu_seconds() - before
    print(f"\n{model}\n{'file':32} {'words':>5} {'whole':>7} {'stream':>7}")
    for file in files:
        truth = words(file["text"])
        total += len(truth)
        rates = []
        for mode in wrong:
            count = errors(truth, heard[mode, file["file"]])
            wrong[mode] += count
            rates.append(count / max(len(truth), 1))
        print(f"{file['file']:32} {len(truth):5} {rates[0]:7.3f} {rates[1]:7.3f}")
    print(f"{'overall WER':32} {total:5} {wrong['whole'] / total:7.3f} {wrong['stream'] / total:7.3f}")
    print(f"{'CPU seconds per second of audio':38} {cpu['whole'] / audio:7.3f} {cpu['stream'] / audio:7.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--polyphony", required=True)
    args = parser.parse_args()

    folder = args.data / "asr"
    index = folder / "transcripts.jsonl"
    if not index.is_file():
        sys.exit(f"--data {args.data}: no asr/transcripts.jsonl in it")
    files = [json.loads(line) for line in index.read_text().splitlines() if line.strip()]

    with mesh.Mesh(args.polyphony) as server:
        models = server.asr_models()
        if not models:
            sys.exit("no recogniser is ready; `polyphony doctor` says what is missing")
        for model in models:
            score(args.polyphony, server, model, files, folder)


if __name__ == "__main__":
    main()
