"""Scores text recognition against ground truth beside RapidOCR, on the same pixels, in one run.

Usage: ocr.py --data DIR --ours BINARY
DIR holds truth.jsonl (one object a line: file, text, lines, tags) and the images beside it. BINARY is the example `read`
of polyphony-ocr, which uses the models of the very wheel that RapidOCR is.

Characters: the edit distance of the whole text, in the order in which it was read, to the truth, as a share of the
truth; case and punctuation are folded and spaces dropped. Lines: the share of the truth's lines that stand in the text.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path

import numpy
from PIL import Image
from rapidocr_onnxruntime import RapidOCR


def folded(text: str) -> str:
    """Lower case, without spaces and punctuation."""
    kept = (c for c in text.lower() if not c.isspace() and not unicodedata.category(c).startswith("P"))
    return "".join(kept)


def errors(truth: str, read: str) -> int:
    """The edit distance between two texts (Levenshtein 1966)."""
    row = list(range(len(read) + 1))
    for i, expected in enumerate(truth, 1):
        above, row[0] = row[0], i
        for j, character in enumerate(read, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (expected != character))
    return row[-1]


def picture(path: Path) -> Image.Image:
    """What both see: RGB, what is transparent laid on white."""
    image = Image.open(path)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def read_ours(binary: str, pictures: dict[str, Image.Image]) -> dict[str, dict]:
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, image in pictures.items():
            paths.append(Path(folder) / f"{len(paths)}.png")
            image.save(paths[-1], compress_level=1)
        done = subprocess.run([binary, *map(str, paths)], capture_output=True, text=True, timeout=1800)
        if done.returncode:
            sys.exit(f"{binary}: {done.stderr.strip()}")
        pages = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(pictures, pages))


def read_theirs(pictures: dict[str, Image.Image]) -> dict[str, list[str]]:
    engine = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)
    pages = {}
    for name, image in pictures.items():
        # OpenCV's order of colours.
        found, _ = engine(numpy.ascontiguousarray(numpy.array(image)[:, :, ::-1]))
        pages[name] = [text for _, text, _ in found or []]
    return pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ours", required=True)
    args = parser.parse_args()

    index = args.data / "truth.jsonl"
    if not index.is_file():
        sys.exit(f"--data {args.data}: no truth.jsonl in it")
    rows = [json.loads(line) for line in index.read_text().splitlines() if line.strip()]
    pictures = {row["file"]: picture(args.data / row["file"]) for row in rows}
    ours, theirs = read_ours(args.ours, pictures), read_theirs(pictures)

    total = wrong = wrong_theirs = lines = found = found_theirs = same = upright = 0
    worse = []
    print(f"{'':27} {'':6} {'characters wrong':>19} {'lines found':>19}  upright: lines as")
    print(f"{'image':27} {'truth':>6} {'ours':>9} {'RapidOCR':>9} {'ours':>9} {'RapidOCR':>9}  RapidOCR's    turned, slant")
    for row in rows:
        name, truth = row["file"], folded(row["text"])
        mine = [line["text"] for line in ours[name]["lines"]]
        text, text_theirs = folded("".join(mine)), folded("".join(theirs[name]))
        mistakes, mistakes_theirs = errors(truth, text), errors(truth, text_theirs)
        expected = [folded(line) for line in row["lines"] if folded(line)]
        hits, hits_theirs = (sum(line in whole for line in expected) for whole in (text, text_theirs))
        total, wrong, wrong_theirs = total + len(truth), wrong + mistakes, wrong_theirs + mistakes_theirs
        lines, found, found_theirs = lines + len(expected), found + hits, found_theirs + hits_theirs
        if mistakes > mistakes_theirs:
            worse.append(name)
        agree = ""
        if not any(tag.startswith("rotated") for tag in row.get("tags", [])):
            alike = sum((Counter(mine) & Counter(theirs[name])).values())
            same, upright = same + alike, upright + len(theirs[name])
            agree = f"{alike}/{len(theirs[name])}"
        print(
            f"{name:27} {len(truth):6} {mistakes / len(truth):9.3f} {mistakes_theirs / len(truth):9.3f}"
            f" {hits / len(expected):9.2f} {hits_theirs / len(expected):9.2f}  {agree:12}"
            f" {ours[name]['rotation']:4} {ours[name]['skew']:6.1f}"
        )
    print(
        f"{'all':27} {total:6} {wrong / total:9.3f} {wrong_theirs / total:9.3f}"
        f" {found / lines:9.2f} {found_theirs / lines:9.2f}  {same / upright:.1%}"
    )
    print(f"pages that are worse than RapidOCR's: {', '.join(worse) or 'none'}")


if __name__ == "__main__":
    main()
