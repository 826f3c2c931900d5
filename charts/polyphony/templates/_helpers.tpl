{{/* Names, labels and the list of components. Each template of a kind goes through that list. */}}

{{/* The port of each component; its admin pages and health are at the port + 1000, those of the gateway at 9900. */}}
{{- define "polyphony.ports" -}}
{"gateway": 8080, "asr": 7001, "align": 7002, "diar": 7003, "llm-proxy": 7004, "tts": 7005, "ocr": 7006, "rag": 7007,
 "video-gen": 7008, "analysis": 7009}
{{- end -}}

{{/* Services with a queue of long work. */}}
{{- define "polyphony.queues" -}}
["asr", "ocr", "rag", "video-gen"]
{{- end -}}

{{/* What the gateway routes to each service. What several answer goes to the first that is enabled, but for operations whose
     name stands in a header. */}}
{{- define "polyphony.routes" -}}
{{- $routes := list -}}
{{- $shared := dict "polyphony.models.v1." (list "asr" "align" "diar" "llm-proxy" "tts" "ocr" "rag" "video-gen" "analysis")
  "google.longrunning.Operations" (list "asr" "ocr" "rag" "video-gen") -}}
{{- $own := dict "llm-proxy" "llm" "video-gen" "video" -}}
{{- range $name, $_ := .services -}}
{{- $package := get $own $name | default $name -}}
{{- $routes = append $routes (dict "service" (printf "polyphony.%s.v1." $package) "cluster" $name) -}}
{{- end -}}
{{- $services := .services -}}
{{- range $service, $names := $shared -}}
{{- $first := "" -}}
{{- range $names -}}{{- if and (not $first) (hasKey $services .) -}}{{- $first = . -}}{{- end -}}{{- end -}}
{{- if $first -}}{{- $routes = append $routes (dict "service" $service "cluster" $first) -}}{{- end -}}
{{- end -}}
{{- $operations := "google.longrunning.Operations" -}}
{{- range get $shared $operations -}}
{{- if hasKey $services . -}}
{{- $header := dict "name" "x-goog-request-params" "contains" (print . "-") -}}
{{- $routes = append $routes (dict "service" $operations "cluster" . "header" $header) -}}
{{- end -}}
{{- end -}}
{{- toJson $routes -}}
{{- end -}}

{{/* A map with another above it, key by key: what that says is so, zero, false and "" too. Takes [below, above]. */}}
{{- define "polyphony.over" -}}
{{- $all := deepCopy (index . 0) -}}
{{- range $key, $value := index . 1 -}}
{{- $below := get $all $key -}}
{{- if and (kindIs "map" $value) (kindIs "map" $below) -}}
{{- $value = include "polyphony.over" (list $below $value) | fromJson -}}
{{- end -}}
{{- $_ := set $all $key $value -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{/* Every component that runs, by name: the defaults, what its values say above them, and its ports. */}}
{{- define "polyphony.components" -}}
{{- with .Values.models -}}
{{- if and .existingClaim (ne .storage "claim") -}}
{{- fail (printf "models.existingClaim: is %q, but storage %q uses no claim; set storage \"claim\", or existingClaim \"\"" .existingClaim .storage) -}}
{{- end -}}
{{- end -}}
{{- $ports := include "polyphony.ports" . | fromJson -}}
{{- $said := dict "gateway" .Values.gateway -}}
{{- range $name, $service := .Values.services -}}
{{- if $service.enabled -}}{{- $_ := set $said $name $service -}}{{- end -}}
{{- end -}}
{{- $all := dict -}}
{{- range $name, $one := $said -}}
{{- $merged := include "polyphony.over" (list $.Values.defaults $one) | fromJson -}}
{{- if eq $name "gateway" -}}
{{- /* It computes nothing and keeps nothing, whatever the defaults say of the services. */ -}}
{{- $nothing := dict "models" list "gpu" (dict "count" 0 "sharing" "none") "state" (dict "size" "") -}}
{{- $merged = include "polyphony.over" (list $merged $nothing) | fromJson -}}
{{- end -}}
{{- $port := get $ports $name | int -}}
{{- $_ := set $merged "onGpu" (gt (int $merged.gpu.count) 0) -}}
{{- $_ := set $merged "port" $port -}}
{{- $_ := set $merged "admin" (eq $name "gateway" | ternary 9900 (add $port 1000)) -}}
{{- if and (eq $name "gateway") $.Values.gateway.tls.secretName -}}{{- $_ := set $merged "port" 8443 -}}{{- end -}}
{{- include "polyphony.check" (dict "name" $name "component" $merged) -}}
{{- $_ := set $all $name $merged -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{/* Rules between several values, which a schema of each cannot say. One sentence with the key and the remedy. */}}
{{- define "polyphony.check" -}}
{{- $key := eq .name "gateway" | ternary "gateway" (printf "services.%s" .name) -}}
{{- with .component -}}
{{- if .onGpu -}}
{{- include "polyphony.checkGpu" (dict "key" $key "gpu" .gpu) -}}
{{- if and (has .gpu.sharing (list "timeSlicing" "mps")) (not .gpu.memoryBudget) -}}
{{- fail (printf "%s.gpu.memoryBudget: is empty, but sharing %q keeps no memory apart; set what its models may take, as \"8GiB\"" $key .gpu.sharing) -}}
{{- end -}}
{{- end -}}
{{- range $variable := list "NVIDIA_VISIBLE_DEVICES" "CUDA_VISIBLE_DEVICES" -}}
{{- if hasKey $.component.env $variable -}}
{{- fail (printf "%s.env.%s: which GPUs a pod sees, the device plugin says; set gpu.count, and pin by gpu.products, gpu.minMemoryMiB or nodeLabels" $key $variable) -}}
{{- end -}}
{{- end -}}
{{- range $label, $_ := .podLabels -}}
{{- if regexMatch "^(app\\.kubernetes\\.io|helm\\.sh)/" $label -}}
{{- fail (printf "%s.podLabels: has %s, but labels of app.kubernetes.io and helm.sh say what a pod is; take another name" $key $label) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $.name "gateway") .tls.clientCA (not .tls.secretName) -}}
{{- fail "gateway.tls.clientCA: is true, but without gateway.tls.secretName the door is in plaintext and asks nobody; name that Secret" -}}
{{- end -}}
{{- if and (has $.name (list "diar" "rag" "video-gen")) (or (gt (int .replicas) 1) .autoscaling.enabled) -}}
{{- fail (printf "%s.replicas: what %s keeps belongs to one process; set replicas 1 and no autoscaling" $key $.name) -}}
{{- end -}}
{{- if and .state.size (or (gt (int .replicas) 1) .autoscaling.enabled) -}}
{{- fail (printf "%s.state.size: is %q, but what it keeps belongs to one process; set replicas 1 and no autoscaling, or size \"\"" $key .state.size) -}}
{{- end -}}
{{- if and .autoscaling.enabled (gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) -}}
{{- fail (printf "%s.autoscaling.minReplicas: is %v, above maxReplicas, %v" $key .autoscaling.minReplicas .autoscaling.maxReplicas) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "polyphony.fullname" -}}
{{- contains "polyphony" .Release.Name | ternary .Release.Name (printf "%s-polyphony" .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The labels that select pods; they never change, for a Deployment's selector cannot. */}}
{{- define "polyphony.selector" -}}
app.kubernetes.io/name: polyphony
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "polyphony.labels" -}}
{{ include "polyphony.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{/* The head of an object of a component. */}}
{{- define "polyphony.metadata" -}}
metadata:
  name: {{ include "polyphony.fullname" .root }}-{{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "polyphony.labels" . | nindent 4 }}
{{- end -}}

{{/* The image of a program; a pod with a GPU has CUDA's libraries in it. */}}
{{- define "polyphony.image" -}}
{{- with .root.Values.image -}}
{{- printf "%s:%s%s" $.repository (.tag | default $.root.Chart.AppVersion) ($.cuda | ternary .cudaSuffix "") -}}
{{- end -}}
{{- end -}}

{{/* The restricted profile of the pod security standards. */}}
{{- define "polyphony.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "polyphony.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The Secret with the identity of a component on the mesh. */}}
{{- define "polyphony.tlsSecret" -}}
{{- .root.Values.tls.secretName | default (printf "%s-%s-tls" (include "polyphony.fullname" .root) .name) -}}
{{- end -}}
