"""Time to the first audio and to all of it, ours and piper-tts's, with the same voice, runs interleaved.

Usage: tts.py [--rounds N] [--voice VOICE.onnx]
Without a voice one is made: the size of Piper's "medium", random weights (vits.py). Texts are a sentence of 20 words with
commas, one without, and a paragraph. piper-tts runs as its API does, sentence by sentence; ours as a stream does, clause by
clause and window by window. Its time includes making 16-bit samples.
Finds our example `speak` in $CARGO_TARGET_DIR/release/examples and espeak-ng in $POLYPHONY_HOME/wheels.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import procs

TEXTS = {
    "20 words, commas": "When the morning train finally arrived, everyone on the crowded platform hurried forward, eager "
    "to find a warm seat inside.",
    "20 words, no comma": "The old captain told the young sailors a very long story about the night his ship survived the "
    "terrible storm.",
    "paragraph, 90 words": "The library opened its doors at nine, as it had done every day for forty years. Children came "
    "first, running to the corner with the picture books, while their parents looked for a quiet table near the windows. By "
    "noon the reading room was full, and nobody spoke above a whisper. Some visitors wrote letters; others studied maps of "
    "places they would never see. When the bell rang at six, the last of them closed their books slowly, thanked the woman at "
    "the desk, and stepped out into the rain.",
}


class Ours:
    def __init__(self, voice: Path):
        espeak = Path(os.environ["POLYPHONY_HOME"]) / "wheels/espeakng_loader"
        self.command = [procs.release("examples/speak"), voice, espeak]

    def run(self, text: str) -> dict:
        # The first run of a process is for warming up.
        done = subprocess.run([*self.command, "2", "whole"], input=text, capture_output=True, text=True, timeout=300)
        if done.returncode:
            sys.exit(f"speak: {done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])


class Piper:
    def __init__(self, voice: Path):
        from piper import PiperVoice

        self.voice = PiperVoice.load(voice)
        list(self.voice.synthesize("Warm up."))

    def run(self, text: str) -> dict:
        began, processor, first, samples = time.perf_counter(), time.process_time(), None, 0
        for chunk in self.voice.synthesize(text):
            samples += len(chunk.audio_int16_bytes) // 2
            first = first or time.perf_counter() - began
        return {
            "first": first,
            "all": time.perf_counter() - began,
            "processor": time.process_time() - processor,
            "audio": samples / self.voice.config.sample_rate,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--voice", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        voice = args.voice
        if voice is None:
            subprocess.run([sys.executable, Path(__file__).parent / "vits.py", folder], check=True)
            voice = Path(folder) / "voice.onnx"
        sides = {"ours": Ours(voice), "piper-tts": Piper(voice)}
        figures: dict[tuple, list[float]] = {}
        for _ in range(args.rounds):
            for name, text in TEXTS.items():
                for side, program in sides.items():
                    run = program.run(text)
                    for key, value in (
                        ("first audio, ms", run["first"] * 1000),
                        ("wall / audio", run["all"] / run["audio"]),
                        ("CPU / audio", run["processor"] / run["audio"]),
                    ):
                        figures.setdefault((name, key, side), []).append(value)
    print(f"\nSynthesis with {args.voice or 'a VITS of the size of Piper medium'}; {procs.machine()}")
    print(f"{'':22} {'':16} {'ours':>9} {'piper-tts':>9} {'ratio':>7}")
    for name in TEXTS:
        for key in ("first audio, ms", "wall / audio", "CPU / audio"):
            ours, theirs = (statistics.median(figures[name, key, side]) for side in ("ours", "piper-tts"))
            print(f"{name:22} {key:16} {ours:9.3f} {theirs:9.3f} {ours / theirs:7.3f}")


if __name__ == "__main__":
    main()
