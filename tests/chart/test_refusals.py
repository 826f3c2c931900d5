"""Bad values are refused before anything is installed, each with one line that names the key."""

import unittest

from chart import refusal


def service(which, **values):
    return {"services": {which: values}}


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
    ({"vllm": {"instances": {"a": {"model": "a/b"}}}}, "vllm.instances.a.gpu.count: is 0", "needs a GPU"),
]


class Refusals(unittest.TestCase):
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
