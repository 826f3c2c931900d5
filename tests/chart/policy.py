"""What every rendered chart has to keep, each rule a function from the objects to what is wrong. No cluster is asked."""

import tomllib

from chart import component, container, of_kind, pod, workloads

# Volumes that the restricted profile of the pod security standards lets pass.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def configs(objects):
    """polyphony.toml of each component."""
    maps = (one for one in of_kind(objects, "ConfigMap") if "polyphony.toml" in one["data"])
    return {component(one): tomllib.loads(one["data"]["polyphony.toml"]) for one in maps}


def all_containers(objects):
    for workload in workloads(objects):
        for one in pod(workload).get("initContainers", []) + pod(workload)["containers"]:
            yield component(workload), workload, one


def gpus(of):
    return {key: value for key, value in (of or {}).items() if key.startswith("nvidia.com/")}


def variables(one):
    return {variable["name"]: variable.get("value") for variable in one.get("env", [])}


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def labels(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


def probes(objects):
    ours = configs(objects)
    for workload in workloads(objects):
        which, one = component(workload), container(workload)
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe not in one:
                yield f"{which} has no {probe}"
            elif which in ours:
                section = ours[which][which]
                admin = section["admin"] if which == "gateway" else section["server"]["admin"]
                if str(one[probe].get("grpc", {}).get("port")) != admin.rpartition(":")[2]:
                    yield f"{which}: the {probe} does not ask the admin port by gRPC"
        if which in ours and one.get("livenessProbe", {}).get("grpc", {}).get("service") != "liveness":
            yield f"{which}: liveness would restart it while a model loads"
        startup = one.get("startupProbe", {})
        if startup.get("periodSeconds", 10) * startup.get("failureThreshold", 3) < 30:
            yield f"{which} is given less than 30 s to start"


def disruption_budgets(objects):
    budgets = of_kind(objects, "PodDisruptionBudget")
    for workload in workloads(objects):
        if not any(selects(budget["spec"]["selector"], labels(workload)) for budget in budgets):
            yield f"{component(workload)} has no PodDisruptionBudget"


def equal_gpus(objects):
    for which, _, one in all_containers(objects):
        resources = one.get("resources", {})
        if gpus(resources.get("requests")) != gpus(resources.get("limits")):
            yield f"{which}/{one['name']}: requests and limits of GPUs differ"
        if "memory" not in resources.get("limits", {}) or "cpu" not in resources.get("requests", {}):
            yield f"{which}/{one['name']} has no limit of memory or no request of processor"


def restricted(objects):
    for workload in workloads(objects):
        which, spec = component(workload), pod(workload)
        context = spec.get("securityContext", {})
        if not context.get("runAsNonRoot") or context.get("runAsUser", 0) == 0:
            yield f"{which} may run as root"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{which} has no seccomp profile"
        if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{which} shares a namespace of the host"
        for volume in spec.get("volumes", []):
            if not set(volume) - {"name"} <= VOLUMES:
                yield f"{which}: the volume {volume['name']} is of a kind that is not let pass"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{which} gets a token of Kubernetes"
    for which, _, one in all_containers(objects):
        context = one.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False or context.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{which}/{one['name']} keeps privileges"
        if context.get("readOnlyRootFilesystem") is not True:
            yield f"{which}/{one['name']} can write to its root"
        if context.get("privileged") or "runAsUser" in context:
            yield f"{which}/{one['name']} overrides its pod"


def network(objects):
    policies = of_kind(objects, "NetworkPolicy")

    def own(workload):
        return [one for one in policies if one["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component")
                == component(workload)]

    def denies(policy, workload):
        spec = policy["spec"]
        return (selects(spec["podSelector"], labels(workload)) and sorted(spec["policyTypes"]) == ["Egress", "Ingress"]
                and not spec.get("ingress") and not spec.get("egress"))

    for workload in workloads(objects):
        if not any(denies(policy, workload) for policy in policies):
            yield f"{component(workload)} is not denied by default"
        if len(own(workload)) != 1:
            yield f"{component(workload)} has not one NetworkPolicy of its own"

    def edges(direction, peers):
        for policy in policies:
            this = policy["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/component")
            for rule in policy["spec"].get(direction) or []:
                for peer in rule.get(peers, []):
                    other = peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component")
                    for port in rule["ports"] if other else []:
                        yield (other, this, port["port"]) if peers == "from" else (this, other, port["port"])

    opened, used = set(edges("ingress", "from")), set(edges("egress", "to"))
    running = {component(workload) for workload in workloads(objects)}
    for edge in {edge for edge in opened ^ used if set(edge[:2]) <= running}:
        yield f"{edge[0]} to {edge[1]}:{edge[2]} is open on one side alone"


def no_host_index(objects):
    for which, _, one in all_containers(objects):
        for variable, value in variables(one).items():
            if variable in ("NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES") and value not in ("none", "void"):
                yield f"{which}/{one['name']}: {variable}={value} names GPUs of the host"
    for which, config in configs(objects).items():
        if config.get("inference", {}).get("device") not in (None, "auto", "cpu", "cuda"):
            yield f"{which}: inference.device names a GPU by its index"


def no_gpu_seen(objects):
    for which, _, one in all_containers(objects):
        if not gpus(one.get("resources", {}).get("limits")) and variables(one).get("NVIDIA_VISIBLE_DEVICES") != "none":
            yield f"{which}/{one['name']} asks for no GPU and may see all of them"


def spread(objects):
    most = {one["spec"]["scaleTargetRef"]["name"]: one["spec"]["maxReplicas"] for one in of_kind(objects, "HorizontalPodAutoscaler")}
    for workload in workloads(objects):
        replicas = most.get(workload["metadata"]["name"], workload["spec"].get("replicas", 1))
        if replicas > 1 and not pod(workload).get("topologySpreadConstraints"):
            yield f"{component(workload)} has {replicas} pods that may all be on one node"


def seconds(text):
    assert text.endswith("s") and text[:-1].isdigit(), text
    return int(text[:-1])


def grace(objects):
    ours = configs(objects)
    for workload in workloads(objects):
        which = component(workload)
        drain = {"lame_duck": "0s", "deadline": "0s"}
        if which in ours:
            section = ours[which][which]
            drain = section["drain"] if which == "gateway" else section["server"]["drain"]
        before = container(workload).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        needed = before + seconds(drain["lame_duck"]) + seconds(drain["deadline"])
        if before < 1:
            yield f"{which} is told to stop while it still gets new calls"
        if pod(workload).get("terminationGracePeriodSeconds", 30) <= needed:
            yield f"{which} is killed before it has drained: {needed} s"


def stamped(objects):
    for workload in of_kind(objects, "Deployment"):
        if len(workload["spec"]["template"]["metadata"]["annotations"].get("checksum/config", "")) != 64:
            yield f"{component(workload)} keeps running with an old configuration"


def writable(objects):
    """What is kept by one process has one pod, which goes before the next one comes."""
    for workload in of_kind(objects, "Deployment"):
        for volume in pod(workload)["volumes"]:
            if volume["name"] == "state" and "persistentVolumeClaim" in volume:
                if workload["spec"].get("replicas") != 1 or workload["spec"]["strategy"]["type"] != "Recreate":
                    yield f"{component(workload)}: two pods may write to one volume"
        for mount in container(workload)["volumeMounts"]:
            if mount["name"] not in ("state", "tmp") and not mount.get("readOnly"):
                yield f"{component(workload)} can write to {mount['mountPath']}"


RULES = [probes, disruption_budgets, equal_gpus, restricted, network, no_host_index, no_gpu_seen, spread, grace, stamped, writable]


def findings(objects):
    return [finding for rule in RULES for finding in rule(objects)]
