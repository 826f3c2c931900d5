"""Who speaks when, against truth: the diarization error rate of each engine, whole and as a stream, beside the Python
pipeline's.

Usage: diar.py --data DIR [--torch PYTHON]
DIR holds truth.jsonl: recordings with a file of RTTM and, where not all is to be scored, one of UEM. PYTHON, or
$TORCH_PYTHON, is an interpreter for diar_peer.py; without one only ours is scored.
Finds our example `diarize` in $CARGO_TARGET_DIR/release/examples and the weights in $POLYPHONY_HOME/wheels. A stream is heard
half a second at a time with a latency of one second, and scored with all its corrections.

The error rate is that of NIST: missed speech, false alarms and speech of the wrong person over all speech of the truth,
overlaps counted for each of the people, names mapped for each recording so that it is least. A collar leaves out what is
so near to a boundary of the truth. The Python pipeline's threshold is the one that is best on this very set, and beside it
the one that is best on all other recordings. Our threshold was chosen on conversations made for that; the rules of speech
and the settings of spectral clustering were chosen with these recordings in view.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
from pathlib import Path

COLLARS = (0.0, 0.25)
STREAM = ["--set", "stream", "1"]
PYANNOTE = ["--set", "engine", "pyannote"]
# What may be set of ours.
OURS = {
    "ge2e": [],
    "ge2e spectral": ["--set", "clustering", "spectral"],
    "ge2e stream": STREAM,
    "pyannote": PYANNOTE,
    "pyannote stream": [*PYANNOTE, *STREAM],
}

Turn = tuple[float, float, str]


def rttm(text: str) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {}
    for fields in map(str.split, text.splitlines()):
        if fields and fields[0] == "SPEAKER":
            start = float(fields[3])
            turns.setdefault(fields[1], []).append((start, start + float(fields[4]), fields[7]))
    return turns


def matched(together: dict[tuple[str, str], float], truth: list[str], heard: list[str]) -> dict[str, str]:
    """Whose name in truth each name that was heard stands for, so that they agree longest. Exact: over sets of names."""

    @functools.cache
    def best(at: int, free: frozenset) -> tuple[float, tuple]:
        if at == len(heard):
            return 0.0, ()
        options = [best(at + 1, free)]
        for name in sorted(free):
            if gain := together.get((name, heard[at]), 0.0):
                rest, pairs = best(at + 1, free - {name})
                options.append((gain + rest, ((heard[at], name), *pairs)))
        return max(options, key=lambda option: option[0])

    return dict(best(0, frozenset(truth))[1])


def score(truth: list[Turn], heard: list[Turn], region: tuple[float, float], collar: float) -> dict[str, float]:
    """Seconds of speech in truth, missed, invented and confused."""
    low, high = region
    left_out = [(edge - collar, edge + collar) for start, end, _ in truth for edge in (start, end)] if collar else []
    cuts = {low, high}
    for start, end, *_ in [*truth, *heard, *left_out]:
        cuts |= {min(max(start, low), high), min(max(end, low), high)}
    cuts = sorted(cuts)
    together: dict[tuple[str, str], float] = {}
    parts = []
    for start, end in zip(cuts, cuts[1:]):
        middle = (start + end) / 2
        if any(a < middle < b for a, b in left_out):
            continue
        said = {name for a, b, name in truth if a < middle < b}
        told = {name for a, b, name in heard if a < middle < b}
        parts.append((end - start, said, told))
        for pair in ((s, t) for s in said for t in told):
            together[pair] = together.get(pair, 0.0) + end - start
    names = matched(together, sorted({n for _, _, n in truth}), sorted({n for _, _, n in heard}))
    sums = dict.fromkeys(("speech", "missed", "invented", "confused"), 0.0)
    for length, said, told in parts:
        right = sum(names.get(name) in said for name in told)
        sums["speech"] += length * len(said)
        sums["missed"] += length * max(0, len(said) - len(told))
        sums["invented"] += length * max(0, len(told) - len(said))
        sums["confused"] += length * (min(len(said), len(told)) - right)
    return sums


def rate(sums: list[dict[str, float]]) -> float:
    wrong = sum(part["missed"] + part["invented"] + part["confused"] for part in sums)
    return wrong / max(sum(part["speech"] for part in sums), 1e-9)


class Truth:
    """The recordings of a folder and who speaks in them."""

    def __init__(self, folder: Path):
        index = folder / "truth.jsonl"
        if not index.is_file():
            sys.exit(f"--data {folder}: no truth.jsonl in it")
        lines = [json.loads(line) for line in index.read_text().splitlines() if line.strip()]
        self.paths = [folder / line["file"] for line in lines]
        self.turns, self.regions, self.people = {}, {}, {}
        for path, line in zip(self.paths, lines):
            self.turns[path.stem] = next(iter(rttm((folder / line["rttm"]).read_text()).values()))
            region = (folder / line["uem"]).read_text().split()[2:4] if line.get("uem") else (0.0, line["duration"])
            self.regions[path.stem] = tuple(map(float, region))
            self.people[path.stem] = line["n_speakers"]

    def score(self, heard: dict[str, list[Turn]], collar: float) -> dict[str, dict[str, float]]:
        return {
            name: score(turns, heard.get(name, []), self.regions[name], collar) for name, turns in self.turns.items()
        }


def ours(paths: list[Path], flags: list[str]) -> dict[str, list[Turn]]:
    binary = Path(os.environ["CARGO_TARGET_DIR"]) / "release" / "examples" / "diarize"
    done = subprocess.run([binary, *flags, *paths], capture_output=True, text=True, timeout=3_600)
    if done.returncode:
        sys.exit(f"{binary}: {done.stderr}")
    return rttm(done.stdout)


def peer(python: str, paths: list[Path]) -> dict:
    wheels = Path(os.environ["POLYPHONY_HOME"]) / "wheels"
    command = [python, "-W", "ignore", Path(__file__).parent / "diar_peer.py", wheels, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3_600)
    if done.returncode:
        sys.exit(f"{python}: {done.stderr}")
    return json.loads(done.stdout)


def others_best(scored: dict[str, dict[str, dict]]) -> float:
    """The error rate when the threshold for each recording is the one that is best on all others."""
    parts = []
    for name in next(iter(scored.values())):
        least = min(scored, key=lambda t: rate([part for other, part in scored[t].items() if other != name]))
        parts.append(scored[least][name])
    return rate(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--torch", default=os.environ.get("TORCH_PYTHON"))
    args = parser.parse_args()
    truth = Truth(args.data)
    heard = {name: ours(truth.paths, flags) for name, flags in OURS.items()}

    print("\nDiarization, by recording (no collar, overlaps scored): error rate, people found")
    print(f"{'recording':20} {'speech':>7} {'people':>6}" + "".join(f"{name:>20}" for name in heard))
    scored = {name: truth.score(turns, 0.0) for name, turns in heard.items()}
    for name, people in truth.people.items():
        row = f"{name:20} {scored['ge2e'][name]['speech']:7.1f} {people:6}"
        for way, turns in heard.items():
            found = len({turn[2] for turn in turns.get(name, [])})
            row += f"{rate([scored[way][name]]):16.3f} {found:3}"
        print(row)

    print(f"\n{'overall':34}" + "".join(f"{f'collar {collar}':>14}" for collar in COLLARS))
    for name, turns in heard.items():
        rates = [rate(list(truth.score(turns, collar).values())) for collar in COLLARS]
        print(f"{'ours, ' + name:34}" + "".join(f"{value:14.3f}" for value in rates))
    if not args.torch:
        print("the Python pipeline: not run; give --torch PYTHON")
        return
    said = peer(args.torch, truth.paths)["said"]
    thresholds = next(iter(said.values()))
    tuned, honest = [], []
    for collar in COLLARS:
        by_threshold = {
            t: truth.score({name: by[t] for name, by in said.items()}, collar) for t in thresholds
        }
        tuned.append(min(rate(list(scores.values())) for scores in by_threshold.values()))
        honest.append(others_best(by_threshold))
    for name, rates in (("threshold best on this set", tuned), ("best on all other recordings", honest)):
        print(f"{'Python, ' + name:34}" + "".join(f"{value:14.3f}" for value in rates))


if __name__ == "__main__":
    main()
