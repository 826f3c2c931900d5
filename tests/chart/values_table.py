#!/usr/bin/env python3
"""The tables of the chart's README, made of values.yaml: `values_table.py` writes them anew; a test says when that was forgotten."""

import pathlib
import re

import yaml

CHART = pathlib.Path(__file__).resolve().parents[2] / "charts/polyphony"
LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][\w-]*):(?P<value>.*?)(?:  # (?P<says>.*))?$")


def keys():
    """Each key that values.yaml says something about, with its default."""
    path = []
    for line in (CHART / "values.yaml").read_text().splitlines():
        found = LINE.match(line)
        if not found:
            continue
        depth = len(found["indent"]) // 2
        path[depth:] = [found["key"]]
        if found["says"]:
            yield ".".join(path), found["value"].strip(), found["says"]


def cell(text):
    return text.replace("|", "\\|")


def tables():
    rows = ["| key | default | |", "| --- | --- | --- |"]
    rows += [f"| `{key}` | `{cell(value)}` | {cell(says)} |" for key, value, says in keys()]
    services = yaml.safe_load((CHART / "values.yaml").read_text())["services"]
    rows += ["", "| service | enabled | models | state | seconds to start |", "| --- | --- | --- | --- | --- |"]
    for name, said in services.items():
        models = ", ".join(f"`{model}`" for model in said.get("models", [])) or "none"
        enabled = "yes" if said["enabled"] else "no"
        rows.append(f"| {name} | {enabled} | {models} | {said.get('state', {}).get('size', 'none')} | {said.get('startupSeconds', 60)} |")
    return "\n".join(rows)


BEGIN, END = "<!-- made by tests/chart/values_table.py -->\n", "\n<!-- end -->"


def written(readme):
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + tables() + END + after


if __name__ == "__main__":
    readme = CHART / "README.md"
    readme.write_text(written(readme.read_text()))
