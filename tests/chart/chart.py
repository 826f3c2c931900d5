"""The chart as the tests see it: rendered by helm into objects, or refused with its message."""

import functools
import os
import pathlib
import pickle
import shutil
import subprocess
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/polyphony"
HELM = pathlib.Path(os.environ["POLYPHONY_HOME"]) / "bin/helm"
# The values that ship, and none: the chart as it is.
FILES = [None, *sorted((CHART / "values").glob("*.yaml"))]
SERVICES = ["asr", "align", "diar", "llm-proxy", "tts", "ocr", "rag", "video-gen", "analysis"]
# Everything that can be switched on.
EVERYTHING = {
    "dashboards": {"enabled": True},
    "models": {"hubTokenSecret": "hub"},
    "telemetry": {"otlpEndpoint": "http://collector.monitoring:4317", "sampleRatio": 0.1},
    "tls": {"enabled": True},
    "gateway": {"tls": {"secretName": "door", "clientCA": True}, "autoscaling": {"enabled": True, "callsInFlight": 200}},
    "services": {
        "asr": {"autoscaling": {"enabled": True, "callsInFlight": 16}, "env": {"RUST_BACKTRACE": "1"}},
        "llm-proxy": {
            "config": {"http": {"listen": "0.0.0.0:9004"}, "keys": {"file": "/etc/polyphony/secrets/keys/keys.toml"}},
            "secrets": {"keys": "openai-keys"},
            "extraPorts": {"openai": 9004},
            "egress": [{"ports": [{"port": 443}], "to": [{"ipBlock": {"cidr": "203.0.113.7/32"}}]}],
        },
        "video-gen": {"enabled": True, "gpu": {"count": 1}},
    },
    "qdrant": {"enabled": True},
    "postgres": {"enabled": True, "secretName": "ledger"},
    "objectStore": {"enabled": True, "secretName": "voices"},
    "vllm": {"instances": {"small": {"model": "Qwen/Qwen3-8B", "gpu": {"count": 1}}}},
}


def name(file):
    return "values.yaml" if file is None else f"values/{file.name}"


def helm(*arguments, stdin=None):
    return subprocess.run([HELM, *arguments], input=stdin, capture_output=True, text=True, timeout=120)


def template(file=None, values=None, version="1.34.0"):
    arguments = ["template", "polyphony", CHART, "--namespace", "media", "--kube-version", version]
    if file is not None:
        arguments += ["--values", file]
    if values is not None:
        arguments += ["--values", "-"]
    return helm(*arguments, stdin=None if values is None else yaml.safe_dump(values))


@functools.lru_cache(maxsize=None)
def _rendered(file, values):
    done = template(file, values and yaml.safe_load(values))
    if done.returncode != 0:
        raise AssertionError(f"{name(file)} {values}: {done.stderr}")
    return pickle.dumps([one for one in yaml.load_all(done.stdout, yaml.CSafeLoader) if one])


def render(file=None, values=None):
    """The objects, new ones each time."""
    return pickle.loads(_rendered(file, values and yaml.safe_dump(values)))


def refusal(values):
    """The lines of the message with which these values are refused, less helm's own introduction; none: they are taken."""
    done = template(values=values)
    if done.returncode == 0:
        return []
    lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith(("Use --debug", "polyphony:"))]
    return [line.removeprefix("- ") for line in lines if "meet the specifications" not in line]


def notes(values):
    """What helm says after an install, which it tells a cluster alone: here as a template of a chart like this one."""
    with tempfile.TemporaryDirectory() as folder:
        chart = pathlib.Path(folder, "polyphony")
        shutil.copytree(CHART, chart)
        (chart / "templates/NOTES.txt").rename(chart / "notes.txt")
        (chart / "templates/notes.yaml").write_text("notes: |\n  {{- tpl (.Files.Get \"notes.txt\") . | nindent 2 }}\n")
        done = helm("template", "polyphony", chart, "--kube-version", "1.34.0", "--show-only", "templates/notes.yaml",
                    "--values", "-", stdin=yaml.safe_dump(values))
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return yaml.safe_load(done.stdout)["notes"]


def of_kind(objects, *kinds):
    return [one for one in objects if one["kind"] in kinds]


def workloads(objects):
    return of_kind(objects, "Deployment", "StatefulSet")


def component(one):
    return one["metadata"]["labels"]["app.kubernetes.io/component"]


def named(objects, kind, which):
    return next(one for one in objects if one["kind"] == kind and component(one) == which)


def pod(workload):
    return workload["spec"]["template"]["spec"]


def container(workload):
    return pod(workload)["containers"][0]
