{{/* GPUs: what a pod asks for, where it may run, what it sees. No index of a GPU anywhere: which one a pod gets is the device
     plugin's to say, and within the pod it is always the first. */}}

{{/* What cannot be asked for. Takes {key, gpu}. */}}
{{- define "polyphony.checkGpu" -}}
{{- with .gpu -}}
{{- if and (has .sharing (list "timeSlicing" "mps")) (gt (int .count) 1) -}}
{{- fail (printf "%s.gpu.count: is %v, but a second share of a GPU gives nothing more; set 1, or sharing \"none\"" $.key .count) -}}
{{- end -}}
{{- if and (eq .sharing "mig") (not (hasPrefix "nvidia.com/mig-" .resourceName)) -}}
{{- fail (printf "%s.gpu.resourceName: is %q, but sharing \"mig\" needs a profile, as nvidia.com/mig-1g.10gb" $.key .resourceName) -}}
{{- end -}}
{{- if and (ne .sharing "mig") (hasPrefix "nvidia.com/mig-" .resourceName) -}}
{{- fail (printf "%s.gpu.sharing: is %q, but %s is a MIG profile; set \"mig\"" $.key .sharing .resourceName) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "polyphony.gpuResource" -}}
{{- $shares := has .sharing (list "timeSlicing" "mps") -}}
{{- .resourceName | default ($shares | ternary "nvidia.com/gpu.shared" "nvidia.com/gpu") -}}
{{- end -}}

{{/* Resources with the GPU in both, equal, as extended resources must be. */}}
{{- define "polyphony.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- if .onGpu -}}
{{- $gpu := dict (include "polyphony.gpuResource" .gpu) (int .gpu.count) -}}
{{- range list "requests" "limits" -}}
{{- $_ := set $resources . (merge (get $resources . | default dict) $gpu) -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* Pods with a GPU go to nodes that have the right one; pods without keep away from them where they can. */}}
{{- define "polyphony.placement" -}}
{{- $needs := list -}}
{{- range $label, $values := .nodeLabels -}}
{{- $needs = append $needs (dict "key" $label "operator" "In" "values" $values) -}}
{{- end -}}
{{- if .onGpu -}}
{{- if .gpu.products -}}
{{- $needs = append $needs (dict "key" "nvidia.com/gpu.product" "operator" "In" "values" .gpu.products) -}}
{{- end -}}
{{- if .gpu.minMemoryMiB -}}
{{- $needs = append $needs (dict "key" "nvidia.com/gpu.memory" "operator" "Gt" "values" (list (sub (int .gpu.minMemoryMiB) 1 | toString))) -}}
{{- end -}}
{{- end -}}
affinity:
  nodeAffinity:
    {{- with $needs }}
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        - matchExpressions: {{- toYaml . | nindent 12 }}
    {{- end }}
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 50
        preference:
          matchExpressions:
            - {key: nvidia.com/gpu.present, operator: {{ .onGpu | ternary "Exists" "DoesNotExist" }}}
{{- $tolerations := .tolerations }}
{{- if .onGpu }}
{{- $tolerations = append $tolerations (dict "key" "nvidia.com/gpu" "operator" "Exists" "effect" "NoSchedule") }}
{{- if .runtimeClassName }}
runtimeClassName: {{ .runtimeClassName }}
{{- end }}
{{- end }}
{{- with $tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Without this a pod that asked for no GPU sees all of its node, where the runtime listens to the image. */}}
{{- define "polyphony.noGpu" -}}
- {name: NVIDIA_VISIBLE_DEVICES, value: none}
{{- end -}}
