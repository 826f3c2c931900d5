"""Every shipped set of values keeps every rule; and each rule notices when it is broken."""

import unittest

import policy
from chart import EVERYTHING, FILES, component, container, name, named, of_kind, pod, render


def without(kind, which):
    def change(objects):
        objects.remove(named(objects, kind, which))
    return change


def of(which, edit):
    """Edits a workload."""
    def change(objects):
        kind = "StatefulSet" if which in ("qdrant", "vllm-small") else "Deployment"
        edit(named(objects, kind, which))
    return change


def edge_of_one_side(objects):
    rules = named(objects, "NetworkPolicy", "ocr")["spec"]["ingress"]
    rules[:] = [rule for rule in rules if "polyphony" not in str(rule) or "gateway" in str(rule)]


def in_config(which, old, new):
    def change(objects):
        data = named(objects, "ConfigMap", which)["data"]
        assert old in data["polyphony.toml"], data
        data["polyphony.toml"] = data["polyphony.toml"].replace(old, new)
    return change


# How a rule is broken, and what is then said.
BROKEN = [
    (of("asr", lambda w: container(w).pop("startupProbe")), "asr has no startupProbe"),
    (of("tts", lambda w: container(w).pop("livenessProbe")), "tts has no livenessProbe"),
    (of("qdrant", lambda w: container(w).pop("readinessProbe")), "qdrant has no readinessProbe"),
    (of("ocr", lambda w: container(w)["readinessProbe"]["grpc"].update(port=7006)), "does not ask the admin port"),
    (of("ocr", lambda w: container(w)["livenessProbe"]["grpc"].pop("service")), "restart it while a model loads"),
    (of("asr", lambda w: container(w)["startupProbe"].update(failureThreshold=2)), "less than 30 s"),
    (without("PodDisruptionBudget", "gateway"), "gateway has no PodDisruptionBudget"),
    (of("video-gen", lambda w: container(w)["resources"]["requests"].pop("nvidia.com/gpu")), "requests and limits of GPUs differ"),
    (of("rag", lambda w: container(w)["resources"].pop("limits")), "no limit of memory"),
    (of("asr", lambda w: pod(w)["securityContext"].update(runAsUser=0)), "asr may run as root"),
    (of("asr", lambda w: pod(w)["securityContext"].pop("seccompProfile")), "no seccomp profile"),
    (of("asr", lambda w: pod(w).update(hostNetwork=True)), "shares a namespace of the host"),
    (of("asr", lambda w: pod(w)["volumes"].append({"name": "dev", "hostPath": {"path": "/dev"}})), "volume dev"),
    (of("asr", lambda w: pod(w).pop("automountServiceAccountToken")), "token of Kubernetes"),
    (of("asr", lambda w: container(w)["securityContext"].pop("capabilities")), "asr/asr keeps privileges"),
    (of("asr", lambda w: pod(w)["initContainers"][0]["securityContext"].update(readOnlyRootFilesystem=False)), "write to its root"),
    (of("asr", lambda w: container(w)["securityContext"].update(privileged=True)), "overrides its pod"),
    (without("NetworkPolicy", "deny"), "is not denied by default"),
    (without("NetworkPolicy", "tts"), "tts has not one NetworkPolicy"),
    (edge_of_one_side, "rag to ocr:7006 is open on one side alone"),
    (of("video-gen", lambda w: container(w)["env"].append({"name": "CUDA_VISIBLE_DEVICES", "value": "2"})), "CUDA_VISIBLE_DEVICES=2"),
    (in_config("video-gen", 'device = "cuda"', 'device = "cuda:1"'), "names a GPU by its index"),
    (of("gateway", lambda w: container(w).pop("env")), "gateway/gateway asks for no GPU and may see all"),
    (of("gateway", lambda w: pod(w).pop("topologySpreadConstraints")), "may all be on one node"),
    (of("asr", lambda w: pod(w).pop("topologySpreadConstraints")), "asr has 4 pods"),
    (of("asr", lambda w: container(w).pop("lifecycle")), "still gets new calls"),
    (of("asr", lambda w: pod(w).update(terminationGracePeriodSeconds=32)), "killed before it has drained: 32 s"),
    (in_config("gateway", 'deadline = "25s"', 'deadline = "40s"'), "gateway is killed before it has drained"),
    (of("asr", lambda w: w["spec"]["template"]["metadata"]["annotations"].pop("checksum/config")), "old configuration"),
    (of("rag", lambda w: w["spec"].update(replicas=2)), "two pods may write to one volume"),
    (of("asr", lambda w: container(w)["volumeMounts"][-2].pop("readOnly")), "asr can write to"),
]


class Policy(unittest.TestCase):
    def test_every_set_of_values_keeps_every_rule(self):
        for file in FILES:
            with self.subTest(values=name(file)):
                self.assertEqual(policy.findings(render(file)), [])
        self.assertEqual(policy.findings(render(values=EVERYTHING)), [])

    def test_each_rule_notices_when_it_is_broken(self):
        for change, said in BROKEN:
            with self.subTest(expected=said):
                objects = render(values=EVERYTHING)
                change(objects)
                found = policy.findings(objects)
                self.assertTrue(any(said in finding for finding in found), found)

    def test_no_rule_is_without_a_way_to_break_it(self):
        for rule in policy.RULES:
            broke = []
            for change, _ in BROKEN:
                objects = render(values=EVERYTHING)
                change(objects)
                broke += rule(objects)
            self.assertTrue(broke, rule.__name__)

    def test_a_changed_key_restarts_its_own_pods_alone(self):
        def stamps(values):
            return {component(one): one["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
                    for one in of_kind(render(values=values), "Deployment")}

        before, after = stamps(None), stamps({"services": {"tts": {"config": {"max_characters": 4000}}}})
        self.assertEqual({which for which in before if before[which] != after[which]}, {"tts"})


if __name__ == "__main__":
    unittest.main()
