"""Scores the rules that tell kinds of documents against labelled ones: accuracy, and whether scores mean what they say.

Usage: doctype.py --data DIR --ours EXAMPLE
DIR holds doctype/docs.jsonl (one object a line: id, label, text). EXAMPLE is the example `classify` of polyphony-doctype.
The rules were tuned on the documents of even places; those of odd places are the test.
"""

import argparse
import collections
import json
import subprocess
import sys
import textwrap
from pathlib import Path

# What others call a kind that is called otherwise here.
NAMES = {"scientific_abstract": "scientific_article"}
# Text without lines of its own is broken where a page would.
WIDTH = 90


def lines(text: str) -> list[str]:
    found = []
    for line in text.splitlines():
        found += textwrap.wrap(line, WIDTH) or []
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--show", action="store_true", help="print each document that is told wrong")
    args = parser.parse_args()

    index = args.data / "doctype" / "docs.jsonl"
    if not index.is_file():
        sys.exit(f"--data {args.data}: no doctype/docs.jsonl in it")
    documents = [json.loads(line) for line in index.read_text().splitlines() if line.strip()]
    asked = "".join(json.dumps({"id": doc["id"], "lines": lines(doc["text"])}) + "\n" for doc in documents)
    done = subprocess.run([args.ours], input=asked, capture_output=True, text=True, timeout=300, check=True)
    told = {answer["id"]: answer["scores"] for answer in map(json.loads, done.stdout.splitlines())}

    halves = {"tuned on": documents[::2], "test": documents[1::2]}
    for name, half in halves.items():
        right, wrong = collections.Counter(), collections.Counter()
        sure, kept = 0.0, []
        for doc in half:
            label = NAMES.get(doc["label"], doc["label"])
            best, score = told[doc["id"]][0]
            sure += score
            kept.append((score, best == label))
            (right if best == label else wrong)[label] += 1
            if args.show and best != label:
                print(f"  {doc['id']} {label}: told {told[doc['id']][:3]}")
        total = len(half)
        print(f"\n{name}: {total} documents, accuracy {sum(right.values()) / total:.3f}, mean score {sure / total:.3f}")
        for label in sorted(right | wrong):
            print(f"  {label:20} {right[label]:3} of {right[label] + wrong[label]:3}")
        for least in (0.5, 0.8, 0.95):
            above = [ok for score, ok in kept if score >= least]
            if above:
                print(f"  with a score of {least} and more: {len(above)}, of which right {sum(above) / len(above):.3f}")


if __name__ == "__main__":
    main()
