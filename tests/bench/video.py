"""What denoising costs, ours and diffusers on PyTorch, same LibTorch, weights and threads, rounds interleaved.

Usage: video.py [--rounds N] [--threads N] [--torch PYTHON]
diffusers needs torch, so it is not installed here: PYTHON, or $TORCH_PYTHON, is an interpreter with torch 2.11 and
diffusers 0.42.1. It also makes the weights, so without one there is nothing to measure.
Finds our example `step` in $CARGO_TARGET_DIR/release/examples.

A Wan transformer 256 wide, 8 blocks, on 1,024 tokens in FP32. "single" is one pass with one prompt; "guided" is a denoising
step with guidance, which is two passes there and one of both prompts here. Prompts are of 512 tokens. CPU seconds are those of
the whole process while it works, memory is what the process holds at the end, and cold is from its start to its first flow.
Flows of both must be equal within 1e-4.
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

SHAPE = {
    "num_attention_heads": 4, "attention_head_dim": 64, "ffn_dim": 1024, "num_layers": 8, "text_dim": 256, "freq_dim": 256,
}  # fmt: skip
LATENTS = (1, 16, 4, 32, 32)  # 1,024 tokens
WORK = ("single", "guided")


def make(folder: Path) -> None:
    """Runs in the interpreter that has torch: weights that are not as networks begin, and inputs."""
    import torch
    from diffusers import WanTransformer3DModel
    from safetensors.torch import save_file

    torch.manual_seed(1)
    transformer = WanTransformer3DModel(patch_size=(1, 2, 2), in_channels=16, out_channels=16, **SHAPE)
    with torch.no_grad():
        for name, weight in transformer.named_parameters():
            if name.endswith(("to_q.weight", "to_k.weight")):
                weight.mul_(3)
    transformer.save_pretrained(folder)
    prompt = lambda: torch.randn(1, 512, SHAPE["text_dim"])
    save_file({"latents": torch.randn(LATENTS), "with": prompt(), "without": prompt()}, folder / "inputs.safetensors")


def peer() -> None:
    """Runs in the interpreter that has torch: as our example."""
    asked = json.loads(sys.stdin.readline())
    import torch
    from diffusers import WanTransformer3DModel
    from safetensors.torch import load_file, save_file

    torch.set_num_threads(asked["threads"])
    torch.set_grad_enabled(False)
    transformer = WanTransformer3DModel.from_pretrained(asked["folder"]).eval()
    inputs = load_file(asked["inputs"])
    at = torch.tensor([500])
    print("ready", flush=True)
    for line in sys.stdin:
        prompts = ("without", "with") if line.strip() == "guided" else ("with",)
        began = time.perf_counter()
        flows = [
            transformer(inputs["latents"], timestep=at, encoder_hidden_states=inputs[prompt], return_dict=False)[0]
            for prompt in prompts
        ]
        print(time.perf_counter() - began, flush=True)
    save_file({"flows": torch.cat(flows)}, asked["flows"])


class Worker:
    """A process that goes a step for each line."""

    def __init__(self, command: list, folder: Path, name: str, threads: int):
        self.flows = folder / f"{name}.safetensors"
        self.walls = {work: [] for work in WORK}
        self.cpus = {work: [] for work in WORK}
        began = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        asked = {"folder": str(folder), "inputs": str(folder / "inputs.safetensors"), "flows": str(self.flows), "threads": threads}
        self.tell(json.dumps(asked))
        if self.hear() != "ready":
            sys.exit(f"{command[0]} did not become ready")
        self.tell("single")
        self.hear()
        self.cold = time.perf_counter() - began

    def tell(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        line = self.process.stdout.readline()
        return line.strip() if line else sys.exit(f"{self.process.args[0]} ended early")

    def round(self, work: str) -> None:
        before = procs.cpu_seconds(self.process.pid)
        self.tell(work)
        self.walls[work].append(float(self.hear()))
        self.cpus[work].append(procs.cpu_seconds(self.process.pid) - before)

    def end(self) -> None:
        self.memory = procs.rss_mb(self.process.pid)
        self.process.stdin.close()
        self.process.wait(timeout=60)


def apart(python: str, files: list[Path]) -> float:
    code = (
        "import sys; from safetensors.torch import load_file as load;"
        "a, b = (load(name)['flows'] for name in sys.argv[1:]); assert a.shape == b.shape; print((a - b).abs().max().item())"
    )
    return float(subprocess.run([python, "-c", code, *files], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--torch", default=os.environ.get("TORCH_PYTHON"))
    args = parser.parse_args()
    print(f"\nDenoising, {args.threads} threads; {procs.machine()}")
    if not args.torch:
        print("TORCH_PYTHON is not set: no interpreter with torch 2.11 and diffusers 0.42.1, nothing is measured")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([args.torch, "-W", "ignore", __file__, "--make", name], check=True, stderr=subprocess.DEVNULL)
        commands = {"ours": [procs.release("examples/step")], "peer": [args.torch, "-W", "ignore", __file__, "--peer"]}
        workers = {who: Worker(command, folder, who, args.threads) for who, command in commands.items()}
        for work in WORK:
            # The first round warms caches up.
            for number in range(args.rounds + 1):
                for worker in workers.values():
                    worker.round(work)
                    if number == 0:
                        worker.walls[work].clear()
                        worker.cpus[work].clear()
        for worker in workers.values():
            worker.end()
        ours, theirs = workers["ours"], workers["peer"]
        for work in WORK:
            for who, worker in workers.items():
                wall, cpu = (statistics.median(times[work]) * 1000 for times in (worker.walls, worker.cpus))
                print(f"{work:8} {who:5} {wall:8.1f} ms   {cpu:8.1f} CPU-ms")
            ratio = statistics.median(a / b for a, b in zip(ours.walls[work], theirs.walls[work]))
            print(f"{work:8} {ratio:.2f}x the time")
        for who, worker in workers.items():
            print(f"{'process':8} {who:5} {worker.memory:8.1f} MB   {worker.cold:8.2f} s cold")
        print(f"{'process':8} {ours.memory / theirs.memory:.2f}x the memory, {ours.cold / theirs.cold:.2f}x the cold start")
        difference = apart(args.torch, [ours.flows, theirs.flows])
        print(f"flows apart by {difference:.1e}")
        if not difference <= 1e-4:
            sys.exit("the flows are not those of diffusers")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["--peer"]:
        peer()
    else:
        main()
