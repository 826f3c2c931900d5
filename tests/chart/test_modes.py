"""What single values do, the ways to give a pod a GPU among them."""

import re
import unittest

import yaml

import policy
from chart import CHART, ROOT, component, container, named, notes, of_kind, pod, refusal, render


def asr(**values):
    return named(render(values={"services": {"asr": values}}), "Deployment", "asr")


def needs(workload):
    affinity = pod(workload)["affinity"]["nodeAffinity"].get("requiredDuringSchedulingIgnoredDuringExecution")
    terms = affinity["nodeSelectorTerms"][0]["matchExpressions"] if affinity else []
    return {term["key"]: (term["operator"], term["values"]) for term in terms}


def gpus(workload):
    return policy.gpus(container(workload)["resources"]["limits"])


class GpuModes(unittest.TestCase):
    def test_none_asked_for_none_seen(self):
        workload = asr()
        self.assertEqual(gpus(workload), {})
        self.assertEqual(policy.variables(container(workload))["NVIDIA_VISIBLE_DEVICES"], "none")
        self.assertNotIn("tolerations", pod(workload))
        self.assertNotIn("runtimeClassName", pod(workload))
        avoided = pod(workload)["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]
        self.assertEqual(avoided["preference"]["matchExpressions"], [{"key": "nvidia.com/gpu.present", "operator": "DoesNotExist"}])

    def test_whole_cards(self):
        workload = asr(gpu={"count": 2}, runtimeClassName="nvidia")
        self.assertEqual(gpus(workload), {"nvidia.com/gpu": 2})
        self.assertNotIn("NVIDIA_VISIBLE_DEVICES", policy.variables(container(workload)))
        self.assertEqual(pod(workload)["runtimeClassName"], "nvidia")
        self.assertEqual(pod(workload)["tolerations"], [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}])
        self.assertEqual(workload["spec"]["strategy"]["rollingUpdate"], {"maxSurge": 0, "maxUnavailable": 1})
        self.assertTrue(container(workload)["image"].endswith(":0.1.0-cuda"))

    def test_shares_by_time_and_by_mps(self):
        for sharing in ("timeSlicing", "mps"):
            values = {"services": {"asr": {"gpu": {"count": 1, "sharing": sharing, "memoryBudget": "8GiB"}}}}
            objects = render(values=values)
            self.assertEqual(gpus(named(objects, "Deployment", "asr")), {"nvidia.com/gpu.shared": 1})
            config = policy.configs(objects)["asr"]
            self.assertEqual(config["models"]["memory_budget"], "8GiB")
            self.assertEqual(config["inference"]["device"], "cuda")

    def test_shares_where_the_plugin_renames_nothing(self):
        workload = asr(gpu={"count": 1, "sharing": "timeSlicing", "memoryBudget": "8GiB", "resourceName": "nvidia.com/gpu"})
        self.assertEqual(gpus(workload), {"nvidia.com/gpu": 1})

    def test_a_slice_of_mig(self):
        workload = asr(gpu={"count": 1, "sharing": "mig", "resourceName": "nvidia.com/mig-1g.10gb"})
        self.assertEqual(gpus(workload), {"nvidia.com/mig-1g.10gb": 1})

    def test_nodes_by_product_memory_and_label(self):
        workload = asr(gpu={"count": 1, "products": ["NVIDIA-L40S", "NVIDIA-A10"], "minMemoryMiB": 22000}, nodeLabels={"zone": ["a", "b"]})
        self.assertEqual(needs(workload), {
            "nvidia.com/gpu.product": ("In", ["NVIDIA-L40S", "NVIDIA-A10"]),
            "nvidia.com/gpu.memory": ("Gt", ["21999"]),
            "zone": ("In", ["a", "b"]),
        })

    def test_the_four_cards_carry_what_they_should(self):
        objects = render(CHART / "values/four-24gb.yaml")
        cards = {card: set() for card in "0123"}
        shares, budgets = dict.fromkeys("0123", 0), dict.fromkeys("0123", 0)
        for workload in of_kind(objects, "Deployment", "StatefulSet"):
            if not gpus(workload):
                continue
            operator, of = needs(workload)["polyphony.dev/card"]
            self.assertEqual(operator, "In")
            self.assertEqual(workload["spec"]["replicas"], len(of), component(workload))
            budget = policy.configs(objects).get(component(workload), {}).get("models", {}).get("memory_budget")
            arguments = container(workload).get("args", [])
            share = arguments[arguments.index("--gpu-memory-utilization") + 1] if "--gpu-memory-utilization" in arguments else None
            for card in of:
                cards[card].add(component(workload))
                shares[card] += gpus(workload).get("nvidia.com/gpu.shared", 0)
                budgets[card] += int(budget.removesuffix("GiB")) if budget else 24 * float(share)
        self.assertEqual(cards, {"0": {"asr", "tts"}, "1": {"asr", "align", "diar", "analysis"}, "2": {"ocr", "vllm-awq"}, "3": {"vllm-fp16"}})
        self.assertEqual(shares, {"0": 2, "1": 4, "2": 2, "3": 0})
        self.assertTrue(all(budget <= 23 for budget in budgets.values()), budgets)


class Values(unittest.TestCase):
    def test_start_has_the_budget_of_its_model(self):
        probe = container(asr(startupSeconds=301))["startupProbe"]
        self.assertEqual(probe["periodSeconds"] * probe["failureThreshold"], 305)

    def test_autoscaling_takes_the_number_of_pods_over(self):
        values = {"services": {"asr": {"autoscaling": {"enabled": True, "maxReplicas": 8, "callsInFlight": 16}}}}
        objects = render(values=values)
        self.assertNotIn("replicas", named(objects, "Deployment", "asr")["spec"])
        scaler = named(objects, "HorizontalPodAutoscaler", "asr")["spec"]
        self.assertEqual((scaler["minReplicas"], scaler["maxReplicas"]), (1, 8))
        self.assertEqual([metric["type"] for metric in scaler["metrics"]], ["Resource", "Pods"])

    def test_the_mesh_in_tls_keeps_its_probes_in_plaintext(self):
        objects = render(values={"tls": {"enabled": True}})
        configs = policy.configs(objects)
        for which, config in configs.items():
            if which != "gateway":
                self.assertEqual(config[which]["server"]["tls"]["client_ca"], "/etc/polyphony/tls/ca.crt")
                self.assertEqual(configs["gateway"]["gateway"]["clusters"][which]["tls"]["cert"], "/etc/polyphony/tls/tls.crt")
        self.assertTrue(configs["rag"]["rag"]["asr_endpoint"].startswith("https://"))
        self.assertEqual(container(named(objects, "Deployment", "asr"))["readinessProbe"]["grpc"]["port"], 8001)
        volumes = {volume["name"]: volume for volume in pod(named(objects, "Deployment", "asr"))["volumes"]}
        self.assertEqual(volumes["tls"]["secret"]["secretName"], "polyphony-asr-tls")

    def test_a_door_in_tls_has_no_plaintext_beside_it(self):
        objects = render(values={"gateway": {"tls": {"secretName": "door"}}})
        self.assertEqual(policy.configs(objects)["gateway"]["gateway"]["listen"], "127.0.0.1:8080")
        self.assertEqual(named(objects, "Service", "gateway")["spec"]["ports"][0]["port"], 8443)

    def test_backends_are_wired_to_who_uses_them(self):
        backends = {"qdrant": {"enabled": True}, "postgres": {"enabled": True, "secretName": "a"}, "objectStore": {"enabled": True, "secretName": "b"},
                    "vllm": {"instances": {"big": {"model": "a/b", "gpu": {"count": 1}}}}}
        configs = policy.configs(render(values=backends))
        self.assertEqual(configs["rag"]["rag"]["dense"], {"engine": "server", "url": "http://polyphony-qdrant:6334"})
        self.assertEqual(configs["rag"]["rag"]["ledger_url_file"], "/etc/polyphony/secrets/postgres/url")
        self.assertEqual(configs["tts"]["tts"]["voices"]["url"], "s3://polyphony/voices")
        self.assertEqual(configs["llm-proxy"]["llm-proxy"]["upstreams"]["big"], {"kind": "vllm", "url": "http://polyphony-vllm-big:8000"})

    def test_a_pod_that_pulls_may_reach_the_hub_and_no_private_network(self):
        policy_of = named(render(), "NetworkPolicy", "asr")["spec"]["egress"]
        world = [peer["ipBlock"] for rule in policy_of for peer in rule.get("to", []) if "ipBlock" in peer]
        self.assertEqual([block["cidr"] for block in world], ["0.0.0.0/0", "::/0"])
        self.assertIn("169.254.0.0/16", world[0]["except"])
        offline = named(render(values={"models": {"offline": True}}), "NetworkPolicy", "asr")
        self.assertNotIn("ipBlock", str(offline))

    def test_only_clients_that_are_named_reach_what_is_open_to_clients(self):
        clients = [{"namespaceSelector": {"matchLabels": {"team": "web"}}}]
        services = {"llm-proxy": {"extraPorts": {"openai": 9004}}}
        objects = render(values={"networkPolicy": {"clients": clients}, "services": services})
        for which, port in (("gateway", 8080), ("llm-proxy", 9004)):
            rules = [rule for rule in named(objects, "NetworkPolicy", which)["spec"]["ingress"] if {"port": port} in rule["ports"]]
            self.assertEqual([rule["from"] for rule in rules], [clients], which)
        anyone = named(render(values={"services": services}), "NetworkPolicy", "llm-proxy")["spec"]["ingress"]
        self.assertEqual([rule for rule in anyone if rule["ports"] == [{"port": 9004}]], [{"ports": [{"port": 9004}]}])

    def test_a_claim_that_is_there_is_used_and_none_is_made(self):
        objects = render(values={"models": {"existingClaim": "weights"}})
        self.assertNotIn("models", [component(one) for one in of_kind(objects, "PersistentVolumeClaim")])
        self.assertIn("'claimName': 'weights'", str(named(objects, "Deployment", "asr")))

    def test_the_values_in_the_docs_are_taken(self):
        examples = re.findall(r"```yaml\n(services:.*?)```", (ROOT / "docs/deploy.md").read_text(), re.S)
        self.assertTrue(examples)
        for example in examples:
            objects = render(values=yaml.safe_load(example))
            self.assertEqual(policy.findings(objects), [])

    def test_what_is_said_of_a_component_goes_above_the_defaults_zero_and_false_too(self):
        defaults = {"gpu": {"count": 1}, "autoscaling": {"enabled": True}, "state": {"size": "9Gi"}, "models": ["espeak-ng"], "env": {"A": "b"}}
        off = {"autoscaling": {"enabled": False}}
        services = {which: off for which in ("align", "diar", "llm-proxy", "ocr", "rag", "analysis")}
        services |= {"asr": off | {"gpu": {"count": 0}}, "tts": off | {"state": {"size": ""}, "models": []}}
        values = {"defaults": defaults, "services": services, "gateway": off, "qdrant": {"enabled": True}}
        objects = render(values=values)
        self.assertEqual({component(one) for one in of_kind(objects, "HorizontalPodAutoscaler")}, set())
        on_gpu = {component(one) for one in of_kind(objects, "Deployment", "StatefulSet") if gpus(one)}
        self.assertEqual(on_gpu, {"align", "diar", "llm-proxy", "tts", "ocr", "rag", "analysis"})
        claims = {component(one) for one in of_kind(objects, "PersistentVolumeClaim")}
        self.assertEqual(claims, {"models", "asr", "align", "diar", "llm-proxy", "ocr", "rag", "analysis"})
        pulls = {component(one) for one in of_kind(objects, "Deployment") if "initContainers" in pod(one)}
        to_hub = {component(one) for one in of_kind(objects, "NetworkPolicy") if "ipBlock" in str(one)}
        self.assertEqual(pulls, {"asr", "align", "diar", "llm-proxy", "ocr", "rag", "analysis"})
        self.assertEqual(to_hub, pulls)
        self.assertNotIn("A", policy.variables(container(named(objects, "StatefulSet", "qdrant"))))
        self.assertEqual(policy.findings(objects), [])

    def test_annotations_of_a_pod_may_keep_prometheus_away_and_not_hide_a_change(self):
        annotations = {"prometheus.io/scrape": "false", "checksum/config": "a", "team": "speech"}
        of_pod = asr(podAnnotations=annotations)["spec"]["template"]["metadata"]["annotations"]
        self.assertEqual((of_pod["prometheus.io/scrape"], of_pod["team"], of_pod["prometheus.io/port"]), ("false", "speech", "8001"))
        self.assertEqual(len(of_pod["checksum/config"]), 64)

    def test_every_pod_may_pull_from_the_registry(self):
        objects = render(values={"image": {"pullSecrets": ["registry"]}, "qdrant": {"enabled": True}})
        for workload in of_kind(objects, "Deployment", "StatefulSet"):
            self.assertEqual(pod(workload)["imagePullSecrets"], [{"name": "registry"}], component(workload))

    def test_a_language_model_has_room_and_asks_no_hub_offline(self):
        values = {"models": {"offline": True}, "vllm": {"instances": {"big": {"model": "a/b", "gpu": {"count": 1}, "args": ["--seed", "1"]}}}}
        server = container(named(render(values=values), "StatefulSet", "vllm-big"))
        self.assertEqual(server["resources"]["limits"]["memory"], "32Gi")
        self.assertEqual(server["args"], ["--model", "a/b", "--port", "8000", "--seed", "1"])
        self.assertEqual(policy.variables(server)["HF_HUB_OFFLINE"], "1")

    def test_the_notes_say_what_these_values_leave_to_do(self):
        plain = notes({})
        self.assertIn("align, analysis, asr, diar, llm-proxy, ocr, rag, tts", plain)
        self.assertIn("tls.enabled is false", plain)
        several = {"services": {"asr": {"replicas": 2}, "ocr": {"autoscaling": {"enabled": True}}, "video-gen": {"enabled": True, "gpu": {"count": 1}}}}
        for told in ("Pods of asr keep their batches", "Pods of ocr keep their batches", "NVIDIA_VISIBLE_DEVICES=none"):
            self.assertNotIn(told, plain)
            self.assertIn(told, notes(several))
        shared = notes(several | {"postgres": {"enabled": True, "secretName": "a"}, "tls": {"enabled": True}})
        self.assertNotIn("batches", shared)
        self.assertNotIn("tls.enabled", shared)

    def test_labels_that_select_never_change(self):
        for workload in of_kind(render(), "Deployment"):
            self.assertEqual(workload["spec"]["selector"]["matchLabels"], {
                "app.kubernetes.io/name": "polyphony", "app.kubernetes.io/instance": "polyphony", "app.kubernetes.io/component": component(workload)})

    def test_good_values_are_not_refused(self):
        self.assertEqual(refusal({"services": {"asr": {"gpu": {"count": 1, "memoryBudget": "8GiB"}}}}), [])


if __name__ == "__main__":
    unittest.main()
