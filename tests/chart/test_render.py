"""Every shipped set of values renders into objects that Kubernetes takes and configurations that the programs take, under the
names and ports of the mesh."""

import os
import pathlib
import re
import subprocess
import tempfile
import tomllib
import unittest

import kubernetes_validate

import policy
from chart import CHART, EVERYTHING, FILES, ROOT, SERVICES, component, container, helm, name, of_kind, render, template

# The oldest that the chart is for, one between, and the newest whose schemas are at hand.
VERSIONS = ["1.32.0", "1.34.0", "1.37.0"]
CASES = [(name(file), lambda file=file: render(file)) for file in FILES] + [("everything", lambda: render(values=EVERYTHING))]
# As in proto/: what the package of a service is called, where that is not its own name.
PACKAGES = {"llm-proxy": "llm", "video-gen": "video"}


class Render(unittest.TestCase):
    def test_helm_finds_nothing_to_say(self):
        for file in FILES:
            values = [] if file is None else ["--values", file]
            done = helm("lint", CHART, "--strict", "--kube-version", "1.34.0", *values)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_schemas_of_kubernetes_take_every_object(self):
        for case, objects in CASES:
            for version in VERSIONS:
                for one in objects():
                    with self.subTest(values=case, version=version, kind=one["kind"], name=one["metadata"]["name"]):
                        kubernetes_validate.validate(one, version, strict=True)

    def test_those_schemas_refuse_an_object_with_a_key_that_is_not_known(self):
        one = of_kind(render(), "Deployment")[0]
        container(one)["startupProbe"]["gprc"] = {"port": 1}
        for version in VERSIONS:
            with self.assertRaises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate(one, version, strict=True)

    def test_an_older_kubernetes_is_refused(self):
        done = template(version="1.31.0")
        self.assertIn(">=1.32.0", done.stderr)

    def test_every_object_has_its_namespace_and_a_name_of_its_own(self):
        for case, objects in CASES:
            names = [(one["kind"], one["metadata"]["name"]) for one in objects()]
            self.assertEqual(len(names), len(set(names)), case)
            self.assertEqual({one["metadata"].get("namespace") for one in objects()}, {"media"}, case)

    def test_each_program_takes_its_configuration(self):
        built = pathlib.Path(os.environ["POLYPHONY_BUILT"])
        for case, objects in CASES:
            maps = [one for one in of_kind(objects(), "ConfigMap") if "polyphony.toml" in one["data"]]
            for one in maps:
                program = built / f"polyphony-{component(one)}"
                with self.subTest(values=case, program=program.name), tempfile.TemporaryDirectory() as folder:
                    # Secrets are mounted in a pod; here they are what their keys are for.
                    secret = pathlib.Path(folder, "url")
                    secret.write_text("postgres://polyphony:a@db/polyphony")
                    text = one["data"]["polyphony.toml"].replace("/etc/polyphony/secrets/postgres/url", str(secret))
                    config = pathlib.Path(folder, "polyphony.toml")
                    config.write_text(text)
                    done = subprocess.run([program, "--config", config, "--check"], capture_output=True, text=True, timeout=60)
                    self.assertEqual(done.returncode, 0, f"{done.stderr}{text}")

    def test_a_key_that_no_program_knows_is_told_by_the_program(self):
        built = pathlib.Path(os.environ["POLYPHONY_BUILT"])
        objects = render(values={"services": {"tts": {"config": {"max_charakters": 1}}}})
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder, "polyphony.toml")
            config.write_text(next(one["data"]["polyphony.toml"] for one in of_kind(objects, "ConfigMap") if component(one) == "tts"))
            done = subprocess.run([built / "polyphony-tts", "--config", config, "--check"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 64)
        self.assertIn("max_charakters", done.stderr)

    def test_ports_are_those_of_the_map(self):
        table = (ROOT / "ARCHITECTURE.md").read_text()
        ports = {which: int(port) for port, which in re.findall(r"\b(70\d\d) ([a-z-]+)", table)}
        ports["asr"] = int(re.search(r"\| (70\d\d) \| asr;", table)[1])
        objects = render(values={"services": {which: {"enabled": True} for which in SERVICES}})
        for which in SERVICES:
            with self.subTest(service=which):
                section = policy.configs(objects)[which][which]["server"]
                self.assertEqual(section["listen"], f"0.0.0.0:{ports[which]}")
                self.assertEqual(section["admin"], f"0.0.0.0:{ports[which] + 1000}")
                service = next(one for one in of_kind(objects, "Service") if component(one) == which)
                self.assertEqual(service["spec"]["ports"][0]["port"], ports[which])
        gateway = policy.configs(objects)["gateway"]["gateway"]
        self.assertEqual((gateway["listen"], gateway["admin"]), ("0.0.0.0:8080", "0.0.0.0:9900"))
        self.assertEqual(policy.configs(render(values=EVERYTHING))["gateway"]["gateway"]["tls"]["listen"], "0.0.0.0:8443")

    def test_the_gateway_routes_every_package_of_the_contract_to_its_service(self):
        objects = render(values={"services": {which: {"enabled": True} for which in SERVICES}})
        gateway = policy.configs(objects)["gateway"]["gateway"]
        told = {route["header"]["contains"]: route["cluster"] for route in gateway["routes"] if "header" in route}
        self.assertEqual(told, {f"{which}-": which for which in ["asr", "ocr", "rag", "video-gen"]})
        routes = {route["service"]: route["cluster"] for route in gateway["routes"] if "header" not in route}
        for which in SERVICES:
            package = PACKAGES.get(which, which)
            self.assertTrue((ROOT / "proto/polyphony" / package).is_dir(), package)
            self.assertEqual(routes.pop(f"polyphony.{package}.v1."), which)
        self.assertEqual(routes, {"polyphony.models.v1.": "asr", "google.longrunning.Operations": "asr"})
        services = {one["metadata"]["name"]: one["spec"]["ports"][0]["port"] for one in of_kind(objects, "Service")}
        for which, cluster in gateway["clusters"].items():
            host, _, port = cluster["endpoints"][0].rpartition(":")
            self.assertEqual(services[host], int(port), which)

    def test_queues_are_in_postgres_for_every_service_that_has_one(self):
        configs = policy.configs(render(values=EVERYTHING))
        queues = {which for which in SERVICES if re.search("^polyphony-jobs", (ROOT / "services" / which / "Cargo.toml").read_text(), re.M)}
        self.assertEqual({which for which in SERVICES if "url_file" in configs[which].get("jobs", {})}, queues)

    def test_video_is_made_where_the_pod_is_told_to_and_within_its_share(self):
        def video(gpu):
            values = {"services": {"video-gen": {"enabled": True, "gpu": gpu}}}
            return policy.configs(render(values=values))["video-gen"]["video-gen"]
        shared = video({"count": 1, "sharing": "timeSlicing", "memoryBudget": "20GiB"})
        self.assertEqual((shared["device"], shared["memory_limit"]), ("cuda", "20GiB"))
        whole = video({"count": 1})
        self.assertEqual((whole["device"], "memory_limit" in whole), ("cuda", False))
        self.assertEqual(video({"count": 0})["device"], "cpu")

    def test_what_is_off_is_nowhere(self):
        objects = render(values={"services": {"asr": {"enabled": False}}})
        self.assertNotIn("asr", {component(one) for one in objects})
        gateway = policy.configs(objects)["gateway"]["gateway"]
        self.assertNotIn("asr", gateway["clusters"])
        routes = {route["service"]: route["cluster"] for route in gateway["routes"] if "header" not in route}
        self.assertEqual(routes["polyphony.models.v1."], "align")
        self.assertNotIn("asr", {route["cluster"] for route in gateway["routes"]})
        self.assertEqual(routes["google.longrunning.Operations"], "ocr")
        self.assertNotIn("asr_endpoint", policy.configs(objects)["rag"]["rag"])

    def test_values_reach_the_configuration_as_they_are(self):
        config = {"text": 'a "b" \\ <c> ü', "none": "", "no": False, "yes": True, "int": 8, "big": 1000000, "share": 0.25,
                  "list": ["x", 2], "tables": [{"a": 1, "b": "c"}], "deep": {"er": {"key": "value"}}, "odd key": {"x": 1}}
        objects = render(values={"services": {"tts": {"config": config}}})
        section = policy.configs(objects)["tts"]["tts"]
        self.assertEqual({key: section[key] for key in config}, config)

    def test_models_are_pulled_before_the_start_and_cannot_be_changed_after(self):
        asr = next(one for one in of_kind(render(), "Deployment") if component(one) == "asr")
        init = asr["spec"]["template"]["spec"]["initContainers"][0]
        self.assertEqual(init["args"][:3], ["models", "pull", "--local"])
        self.assertIn("onnx-community/whisper-base@int8", init["args"])
        mounts = {mount["name"]: mount for mount in container(asr)["volumeMounts"]}
        self.assertTrue(mounts["models"]["readOnly"])

    def test_models_of_the_shipped_values_are_in_the_catalogue(self):
        catalogue = tomllib.loads((ROOT / "shared/models/catalogue.toml").read_text())
        known = {model["id"]: {variant["name"] for variant in model.get("variant", [])} for model in catalogue["model"]}
        for case, objects in CASES:
            for workload in of_kind(objects(), "Deployment"):
                for init in workload["spec"]["template"]["spec"].get("initContainers", []):
                    for model in init["args"][init["args"].index("--config") + 2:]:
                        of, _, variant = model.partition("@")
                        self.assertIn(of, known, case)
                        self.assertTrue(not variant or variant in known[of], f"{case}: {model}")


if __name__ == "__main__":
    unittest.main()
