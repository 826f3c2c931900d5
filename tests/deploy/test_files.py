"""The files of deploy/: what builds the images, what runs them, what watches them; each by the tool that reads it."""

import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BUILT = pathlib.Path(os.environ["POLYPHONY_BUILT"])
PROMTOOL = pathlib.Path(os.environ["POLYPHONY_HOME"]) / "bin/promtool"
COMPOSE = pathlib.Path(sys.executable).parent / "docker-compose"
METRIC = re.compile(r"\b(?:polyphony|grpc_server|gen_ai|process)_[a-z0-9_]+\b")
# Labels that begin like metrics.
LABELS = {"gen_ai_request_model", "gen_ai_token_type"}

sys.path.insert(0, str(DEPLOY))
import dashboards  # noqa: E402


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def stages(text):
    """The stages of a Dockerfile: (name, base, lines), with its variables filled in."""
    text = text.replace("\\\n", " ")
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.M))
    found = []
    for line in text.splitlines():
        begins = re.match(r"FROM (\S+) AS (\S+)$", line)
        if begins:
            found.append((begins[2], re.sub(r"\$\{(\w+)\}", lambda m: defaults[m[1]], begins[1]), []))
        elif found and line and not line.startswith("#"):
            found[-1][2].append(line)
    return found


def faults(text):
    """What is wrong with the images of a Dockerfile."""
    all_stages = stages(text)
    names = {name for name, _, _ in all_stages}
    for name, base, lines in all_stages:
        if base not in names and base != "scratch" and not re.search(r":\w*\d+\.\d+\.\d+", base):
            yield f"{name}: {base} is not pinned to a version"
        if base not in ("scratch", "program"):
            continue
        orders = [line.split()[0] for line in lines]
        if "RUN" in orders or "ADD" in orders or "SHELL" in orders:
            yield f"{name}: a final image runs nothing while it is built, for it has no shell"
        users = [line.split()[1] for line in lines if line.startswith("USER ")]
        if len(users) != (base == "scratch") or not all(re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) for user in users):
            yield f"{name}: its user is no number above 0, or not that of all: {users}"
        if base == "program" and not any(line.startswith('ENTRYPOINT ["/usr/bin/polyphony') for line in lines):
            yield f"{name}: its entry point is no program of the mesh, or needs a shell"
    if [name for name, base, _ in all_stages if base == "scratch"] != ["program"]:
        yield "there is a final image besides those that stand on `program`"


class Images(unittest.TestCase):
    text = (DEPLOY / "Dockerfile").read_text()

    def test_final_images_run_as_a_number_without_a_shell_on_pinned_bases(self):
        self.assertEqual(list(faults(self.text)), [])

    def test_each_of_these_rules_notices_when_it_is_broken(self):
        for old, new, said in [
            ("rust:1.95.0-slim-bookworm", "rust:slim", "not pinned"),
            ("USER 65532:65532", "USER polyphony", "no number"),
            ("USER 65532:65532", "USER 0:0", "no number"),
            ("COPY --from=asr-root", "USER 1:1\nCOPY --from=asr-root", "not that of all"),
            ("FROM program AS asr", "FROM ${BASE} AS asr", "besides those"),
            ('ENTRYPOINT ["/usr/bin/polyphony-asr"]', "ENTRYPOINT polyphony-asr", "needs a shell"),
            ("ENV POLYPHONY_HOME=/var/lib/polyphony", "RUN mkdir /a", "runs nothing"),
            ("COPY --from=asr-root", "RUN mkdir /a\nCOPY --from=asr-root", "runs nothing"),
        ]:
            self.assertIn(old, self.text)
            self.assertTrue(any(said in fault for fault in faults(self.text.replace(old, new))), new)

    def test_there_is_a_target_for_every_program_and_its_package_is_built(self):
        metadata = json.loads(subprocess.run(["cargo", "metadata", "--no-deps", "--offline", "--format-version=1"], cwd=ROOT,
                                             capture_output=True, check=True, timeout=60).stdout)
        programs = {target["name"]: package["name"] for package in metadata["packages"] for target in package["targets"]
                    if target["kind"] == ["bin"] and target["name"].startswith("polyphony")}
        entries = set(re.findall(r'ENTRYPOINT \["/usr/bin/([a-z-]+)"\]', self.text))
        carried = set(re.findall(r"binary ([a-z-]+)", (DEPLOY / "root").read_text()))
        self.assertEqual(entries | (carried & set(programs)), set(programs))
        for program in programs:
            self.assertIn(f"--package {programs[program]}", self.text)

    def test_the_context_has_what_the_build_reads(self):
        taken = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
        for path in taken:
            self.assertTrue((ROOT / path).exists(), path)
        members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
        for member in members:
            self.assertTrue(any(path.split("/")[0] == member.split("/")[0] for path in taken), member)


class Compose(unittest.TestCase):
    def config(self, *files):
        arguments = [argument for file in files for argument in ("--file", DEPLOY / file)]
        code, output = run(COMPOSE, *arguments, "--profile", "*", "config", "--format", "json")
        self.assertEqual(code, 0, output)
        return json.loads(output)["services"]

    def test_compose_takes_it_and_it_builds_targets_that_there_are(self):
        targets = {name for name, _, _ in stages((DEPLOY / "Dockerfile").read_text())}
        services = self.config("compose.yaml")
        for name, service in services.items():
            if "build" in service:
                self.assertIn(service["build"]["target"], targets)
                self.assertEqual(service["user"], "65532:65532", name)
                self.assertTrue(service["read_only"], name)
            self.assertRegex(service["image"], r":v?\d+\.\d+\.\d+$", name)
            for volume in service.get("volumes", []):
                if volume["type"] == "bind":
                    self.assertTrue(pathlib.Path(volume["source"]).exists(), volume)
        for port in [port for service in services.values() for port in service.get("ports", [])]:
            self.assertEqual(port["host_ip"], "127.0.0.1", "nothing is open to other machines")

    def test_what_keeps_jobs_can_write_them_beside_a_root_that_is_read_only(self):
        services = self.config("compose.yaml")
        keeps = {name for name in services if (ROOT / "services" / name / "Cargo.toml").exists()
                 and re.search("^polyphony-jobs", (ROOT / "services" / name / "Cargo.toml").read_text(), re.M)}
        self.assertLessEqual({"asr", "ocr", "video-gen"}, keeps)
        for name in keeps:
            self.assertIn("/var/lib/polyphony", [volume["target"] for volume in services[name]["volumes"] if volume["type"] == "volume"], name)

    def test_gpus_are_reserved_by_number_and_never_by_index(self):
        services = self.config("compose.yaml", "compose.gpu.yaml")
        reserved = {name: service["deploy"]["resources"]["reservations"]["devices"] for name, service in services.items() if "deploy" in service}
        self.assertEqual(set(reserved), {"asr", "align", "diar", "tts", "ocr", "analysis", "video-gen"})
        for devices in reserved.values():
            self.assertEqual(devices, [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}])

    def test_every_program_takes_its_configuration(self):
        config = DEPLOY / "compose.toml"
        for name in tomllib.loads(config.read_text())["gateway"]["clusters"].keys() | {"gateway"}:
            code, output = run(BUILT / f"polyphony-{name}", "--config", config, "--check")
            self.assertEqual(code, 0, output)

    def test_the_gateway_and_prometheus_look_where_the_programs_listen(self):
        config = tomllib.loads((DEPLOY / "compose.toml").read_text())
        scraped, looked_up = {}, set()
        for job in yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"]:
            for found in job.get("dns_sd_configs", []):
                looked_up.add(job["job_name"])
                scraped[job["job_name"]] = [f"{name}:{found['port']}" for name in found["names"]]
            for found in job.get("static_configs", []):
                scraped[job["job_name"]] = found["targets"]
        services = self.config("compose.yaml")
        self.assertEqual(looked_up, {name for name in scraped if services[name].get("profiles")}, "what need not run is no target while it does not")
        clusters = config["gateway"]["clusters"]
        self.assertEqual(set(scraped), {*clusters, "gateway"})
        self.assertLessEqual(set(scraped), set(services))
        self.assertEqual(scraped["gateway"], [f"gateway:{config['gateway']['admin'].rpartition(':')[2]}"])
        for name, cluster in clusters.items():
            server = config[name]["server"]
            self.assertEqual(cluster["endpoints"], [f"{name}:{server['listen'].rpartition(':')[2]}"])
            self.assertEqual(scraped[name], [f"{name}:{server['admin'].rpartition(':')[2]}"])


class Watching(unittest.TestCase):
    def test_prometheus_takes_its_files_and_each_alert_is_raised_when_it_should_be(self):
        for command in (["check", "config", DEPLOY / "prometheus/prometheus.yml"], ["test", "rules", DEPLOY / "prometheus/rules_test.yml"]):
            code, output = run(PROMTOOL, *command)
            self.assertEqual(code, 0, output)
        rules = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())["groups"][0]["rules"]
        tested = {test["alertname"] for test in yaml.safe_load((DEPLOY / "prometheus/rules_test.yml").read_text())["tests"][0]["alert_rule_test"]}
        self.assertEqual({rule["alert"] for rule in rules}, tested)

    def test_dashboards_are_those_that_the_script_writes(self):
        for name, one in dashboards.DASHBOARDS.items():
            self.assertEqual((dashboards.FOLDER / f"{name}.json").read_text(), dashboards.text(one), "run deploy/dashboards.py")
        self.assertEqual({file.stem for file in dashboards.FOLDER.iterdir()}, set(dashboards.DASHBOARDS))

    def test_every_expression_of_a_dashboard_is_one(self):
        rules = [{"record": f"a:b{at}", "expr": expr.replace("$__rate_interval", "5m")} for at, expr in enumerate(expressions())]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)
            file.flush()
            code, output = run(PROMTOOL, "check", "rules", file.name)
        self.assertEqual(code, 0, output)
        self.assertIn(f"{len(rules)} rules found", output)

    def test_every_metric_that_is_shown_or_watched_is_measured(self):
        measured = {name for folder in ("shared", "services", "gateway") for file in (ROOT / folder).rglob("src/**/*.rs")
                    for name in re.findall(r'"((?:polyphony|grpc_server|gen_ai|process)_[a-z0-9_]+)"', file.read_text())}
        for name in named():
            self.assertIn(name, measured)

    def test_what_is_shown_is_told_apart_by_labels_that_the_metric_has(self):
        known, seen = labels(), 0
        for expr, legend in [(target["expr"], target["legendFormat"]) for target in targets()] + alerts():
            there = {"job"}
            for metric in METRIC.finditer(expr):
                name = re.sub(r"_(bucket|count|sum)$", "", metric[0])
                if name in LABELS:
                    continue
                has = known[name] | {"job", "instance", "le"}
                by = re.search(r"by \(([^)]*)\) \((?:\w+\()*$", expr[:metric.start()])
                where = re.match(r"{([^}]*)}", expr[metric.end():])
                told = set(re.findall(r"\w+", by[1] if by else "")) | set(re.findall(r"(\w+)[!=]", where[1] if where else ""))
                self.assertLessEqual(told, has, expr)
                there |= set(re.findall(r"\w+", by[1])) if by else has
                seen += 1
            self.assertLessEqual(set(re.findall(r"{{ *(?:\$labels\.)?(\w+) *}}", legend)), there, expr)
        self.assertGreater(seen, 80)

    def test_what_is_shown_has_the_unit_of_its_metric(self):
        for panel in [panel for one in dashboards.DASHBOARDS.values() for panel in one["panels"]]:
            for expr in [target["expr"] for target in panel["targets"]]:
                unit = panel["fieldConfig"]["defaults"]["unit"]
                with self.subTest(panel=panel["title"]):
                    self.assertEqual(unit == "bytes", "_bytes" in expr)
                    self.assertEqual(unit == "s", "seconds_bucket" in expr or "milliseconds" in expr)
                    self.assertEqual(unit in ("reqps", "cps", "cores"), "rate(" in expr and unit != "s")
                    if "milliseconds" in expr:
                        self.assertTrue(expr.endswith(" / 1000") or expr.count("milliseconds") == 2, "milliseconds as seconds")

    def test_everything_that_is_measured_is_shown(self):
        measured = {name for folder in ("services", "gateway") for file in (ROOT / folder).rglob("src/**/metrics.rs")
                    for name in re.findall(r'const \w+: &str = "(\w+)"', file.read_text())}
        # Not worth a panel of their own.
        measured -= {"polyphony_llm_hedges_total", "polyphony_rag_indexing_seconds", "polyphony_rag_context_tokens", "polyphony_rag_tokens_per_second"}
        self.assertEqual(measured - set(named()), set())


def targets():
    return [target for one in dashboards.DASHBOARDS.values() for panel in one["panels"] for target in panel["targets"]]


def expressions():
    return [target["expr"] for target in targets()]


def alerts():
    """What is watched, and what is then said."""
    rules = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())["groups"][0]["rules"]
    return [(rule["expr"], rule["annotations"]["summary"]) for rule in rules]


def labels():
    """The labels of every metric, as the sources write them; where they stand in a list of their own, all of such lists in that file."""
    # Written as text by telemetry/process.rs.
    found = {"process_cpu_seconds_total": set(), "process_resident_memory_bytes": set(), "polyphony_build_info": {"service", "version"}}
    for file in [file for folder in ("shared", "services", "gateway") for file in (ROOT / folder).rglob("src/**/*.rs")]:
        text = file.read_text()
        names = dict(re.findall(r'(?:const|let) (\w+)(?:: &str)? = "(\w+)";', text))
        for begun in re.finditer(r'(?:counter|gauge|histogram)!\(\s*(\w+)', text):
            depth = itertools.accumulate((letter == "(") - (letter == ")") for letter in text[begun.end():])
            said = text[begun.end():][:next(at for at, of in enumerate(depth) if of < 0)]
            listed = re.findall(r'\(\s*"(\w+)",', text) if "&" in said else []
            found.setdefault(names.get(begun[1]), set()).update(re.findall(r'"(\w+)" =>', said), listed)
    return found


def named():
    """The metrics of the dashboards, the alerts and the chart's scaling, without the suffixes of histograms."""
    chart = (ROOT / "charts/polyphony/templates/hpa.yaml").read_text()
    texts = [*expressions(), (DEPLOY / "prometheus/rules.yml").read_text(), chart]
    return sorted({re.sub(r"_(bucket|count|sum)$", "", name) for text in texts for name in METRIC.findall(text)} - LABELS)


if __name__ == "__main__":
    unittest.main()
