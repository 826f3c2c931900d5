"""Bad values are refused before anything is installed, each with one line that names the key."""

import json
import re
import unittest

from chart import CHART, refusal


def service(which, **values):
    return {"services": {which: values}}


def vllm(**values):
    return {"vllm": {"instances": {"a": {"model": "a/b", **values}}}}


# What the schema refuses: the values, the key, and words of the message.
SCHEMA = [
    ({"servces": {}}, "", "'servces' not allowed"),
    ({"services": {"asrr": {"enabled": True}}}, "/services", "'asrr' not allowed"),
    (service("asr", replica=2), "/services/asr", "'replica' not allowed"),
    (service("asr", replicas=0), "/services/asr/replicas", "minimum: got 0, want 1"),
    (service("asr", replicas="2"), "/services/asr/replicas", "got string, want integer"),
    (service("asr", enabled="yes"), "/services/asr/enabled", "got string, want boolean"),
    (service("asr", gpu={"count": -1}), "/services/asr/gpu/count", "minimum: got -1, want 0"),
    (service("asr", gpu={"count": 0.5}), "/services/asr/gpu/count", "got number, want integer"),
    (service("asr", gpu={"index": 2}), "/services/asr/gpu", "'index' not allowed"),
    (service("asr", gpu={"sharing": "timeslicing"}), "/services/asr/gpu/sharing", "'timeSlicing'"),
    (service("asr", gpu={"resourceName": "amd.com/gpu"}), "/services/asr/gpu/resourceName", "does not match pattern"),
    (service("asr", gpu={"resourceName": "nvidia.com/mig-9g.10gb"}), "/services/asr/gpu/resourceName", "does not match pattern"),
    (service("asr", gpu={"memoryBudget": "8Gi"}), "/services/asr/gpu/memoryBudget", "does not match pattern"),
    (service("asr", gpu={"products": "NVIDIA-L40S"}), "/services/asr/gpu/products", "got string, want array"),
    (service("asr", nodeLabels={"polyphony.dev/card": "0"}), "/services/asr/nodeLabels/polyphony.dev~1card", "got string, want array"),
    (service("asr", startupSeconds=0), "/services/asr/startupSeconds", "minimum: got 0, want 1"),
    (service("asr", drain={"preStopSeconds": 0}), "/services/asr/drain/preStopSeconds", "minimum: got 0, want 1"),
    (service("asr", models=["../../etc/passwd"]), "/services/asr/models/0", "does not match pattern"),
    (service("asr", models=["a/b", "a/b"]), "/services/asr/models", "items at 0 and 1 are equal"),
    (service("asr", resources={"limits": {"memory": "4 GB"}}), "/services/asr/resources/limits/memory", "does not match pattern"),
    (service("asr", resources={"limits": {"memory": "2"}}), "/services/asr/resources/limits/memory", "does not match pattern"),
    (service("asr", resources={"limits": {"nvidia.com/gpu": "1"}}), "/services/asr/resources/limits", "'nvidia.com/gpu' not allowed"),
    (service("asr", tolerations=[{"effect": "Never"}]), "/services/asr/tolerations/0/effect", "value must be one of"),
    (service("asr", env={"A-B": "1"}), "/services/asr/env", "'A-B' not allowed"),
    (service("llm-proxy", extraPorts={"openai": 80}), "/services/llm-proxy/extraPorts/openai", "minimum: got 80, want 1,024"),
    (service("llm-proxy", secrets={"keys": ""}), "/services/llm-proxy/secrets/keys", "does not match pattern"),
    (service("asr", autoscaling={"cpuPercent": 0}), "/services/asr/autoscaling/cpuPercent", "minimum: got 0, want 1"),
    (service("asr", spread={"whenUnsatisfiable": "Always"}), "/services/asr/spread/whenUnsatisfiable", "'DoNotSchedule'"),
    ({"image": {"tag": "latest build"}}, "/image/tag", "does not match pattern"),
    ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy", "'IfNotPresent'"),
    ({"models": {"storage": "hostPath"}}, "/models/storage", "'claim'"),
    ({"models": {"size": "lots"}}, "/models/size", "does not match pattern"),
    ({"telemetry": {"otlpEndpoint": "collector"}}, "/telemetry/otlpEndpoint", "does not match pattern"),
    ({"telemetry": {"sampleRatio": 2}}, "/telemetry/sampleRatio", "maximum: got 2, want 1"),
    ({"networkPolicy": {"clients": [{"cidr": "0.0.0.0/0"}]}}, "/networkPolicy/clients/0", "'cidr' not allowed"),
    ({"gateway": {"gpu": {"count": 1}}}, "/gateway", "'gpu' not allowed"),
    ({"gateway": {"state": {"size": "1Gi"}}}, "/gateway", "'state' not allowed"),
    ({"gateway": {"service": {"type": "Ingress"}}}, "/gateway/service/type", "'LoadBalancer'"),
    ({"bindAddress": "10.0.0.1"}, "/bindAddress", "value must be one of"),
    ({"qdrant": {"image": "qdrant/qdrant"}}, "/qdrant/image", "does not match pattern"),
    ({"vllm": {"instances": {"a": {"gpu": {"count": 1}}}}}, "/vllm/instances/a", "missing property 'model'"),
]

# What only the values together say. One sentence: the key, what is wrong, the remedy.
TOGETHER = [
    (service("asr", gpu={"count": 2, "sharing": "mps", "memoryBudget": "8GiB"}), "services.asr.gpu.count: is 2", "set 1"),
    (service("asr", gpu={"count": 1, "sharing": "timeSlicing"}), "services.asr.gpu.memoryBudget: is empty", "8GiB"),
    (service("asr", gpu={"count": 1, "sharing": "mig"}), "services.asr.gpu.resourceName: is \"\"", "nvidia.com/mig-1g.10gb"),
    (service("asr", gpu={"count": 1, "resourceName": "nvidia.com/mig-1g.10gb"}), "services.asr.gpu.sharing: is \"none\"", "set \"mig\""),
    (service("diar", replicas=2), "services.diar.replicas: what diar keeps belongs to one process", "set replicas 1"),
    (service("rag", autoscaling={"enabled": True}), "services.rag.replicas: what rag keeps", "no autoscaling"),
    (service("tts", state={"size": "1Gi"}, replicas=2), "services.tts.state.size: is \"1Gi\"", "set replicas 1"),
    (service("asr", autoscaling={"enabled": True, "minReplicas": 9}), "services.asr.autoscaling.minReplicas: is 9", "maxReplicas"),
    ({"postgres": {"enabled": True}}, "postgres.secretName: is empty", "password"),
    ({"objectStore": {"enabled": True}}, "objectStore.secretName: is empty", "password, user"),
    ({"gateway": {"tls": {"clientCA": True}}}, "gateway.tls.clientCA: is true", "gateway.tls.secretName"),
    ({"models": {"storage": "ephemeral", "existingClaim": "a"}}, "models.existingClaim: is \"a\"", "set storage \"claim\""),
    (service("asr", env={"CUDA_VISIBLE_DEVICES": "2"}), "services.asr.env.CUDA_VISIBLE_DEVICES:", "gpu.count"),
    (service("asr", podLabels={"app.kubernetes.io/name": "a"}), "services.asr.podLabels: has app.kubernetes.io/name", "another name"),
    (vllm(), "vllm.instances.a.gpu.count: is 0", "needs a GPU"),
    (vllm(gpu={"count": 2, "sharing": "mps"}), "vllm.instances.a.gpu.count: is 2", "set 1"),
    (vllm(gpu={"count": 1, "sharing": "mig"}), "vllm.instances.a.gpu.resourceName: is \"\"", "nvidia.com/mig-1g.10gb"),
    (vllm(gpu={"count": 1, "memoryBudget": "8GiB"}), "vllm.instances.a.gpu.memoryBudget: is not known", "--gpu-memory-utilization"),
    (vllm(gpu={"count": 1, "sharing": "timeSlicing"}), "vllm.instances.a.args: do not say", "--gpu-memory-utilization"),
]


def keys(schema, rule, path=()):
    """Every key that the schema knows, with its rule; of services and of free names one, for they are alike."""
    if "$ref" in rule:
        rule = schema["definitions"][rule["$ref"].rpartition("/")[2]]
    yield path, rule
    known = dict(rule.get("properties", {}))
    if path == ("services",):
        known = {"asr": known["asr"]}
    for pattern, of in rule.get("patternProperties", {}).items():
        known[next(name for name in ("a", "A") if re.search(pattern, name))] = of
    for key, of in known.items():
        yield from keys(schema, of, (*path, key))


def put(values, path, value):
    for key in path[:-1]:
        values = values.setdefault(key, {})
    values[path[-1]] = value


class Refusals(unittest.TestCase):
    def setUp(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        self.keys = list(keys(schema, schema))

    def refused(self, values):
        return {found[1] for line in refusal(values) if (found := re.match(r"\s*(?:- )?at '([^']*)': (?!validation failed)", line))}

    def test_no_key_takes_a_value_of_another_type(self):
        wrong, expected = {}, set()
        for path, rule in self.keys:
            if not any(path == other[:len(path)] for other, _ in self.keys if len(other) > len(path)):
                put(wrong, path, {"a": 1} if rule.get("type") == "array" else ["a"])
                expected.add("/" + "/".join(path))
        self.assertGreater(len(expected), 100)
        self.assertEqual(self.refused(wrong) - {"/vllm/instances/a"}, expected)

    def test_no_map_of_known_keys_takes_another(self):
        wrong, expected = {}, set()
        for path, rule in self.keys:
            if rule.get("additionalProperties") is False:
                put(wrong, (*path, "not known"), 1)
                expected.add("".join(f"/{key}" for key in path))
        self.assertGreater(len(expected), 40)
        self.assertEqual(self.refused(wrong), expected)

    def test_the_schema_refuses_each_with_one_line_that_names_the_key(self):
        self.assertGreaterEqual(len(SCHEMA), 20)
        for values, key, words in SCHEMA:
            with self.subTest(values=values):
                lines = refusal(values)
                self.assertEqual(len(lines), 1, lines)
                self.assertTrue(lines[0].startswith(f"at '{key}':"), lines)
                self.assertIn(words, lines[0])

    def test_values_that_do_not_go_together_are_refused_in_one_sentence(self):
        for values, beginning, remedy in TOGETHER:
            with self.subTest(values=values):
                lines = refusal(values)
                self.assertEqual(len(lines), 1, lines)
                self.assertIn(beginning, lines[0])
                self.assertIn(remedy, lines[0])


if __name__ == "__main__":
    unittest.main()
