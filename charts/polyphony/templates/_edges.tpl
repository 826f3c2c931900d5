{{/* Who calls whom. What is not here is denied. Takes {root, components, name}; gives {from: [...], to: [[name, port], ...]}. */}}
{{- define "polyphony.edges" -}}
{{- $values := .root.Values -}}
{{- $components := .components -}}
{{- $edges := list -}}
{{- range $name, $c := omit $components "gateway" -}}{{- $edges = append $edges (list "gateway" $name $c.port) -}}{{- end -}}
{{- range list "llm-proxy" "ocr" "asr" -}}
{{- if and (hasKey $components .) (hasKey $components "rag") -}}{{- $edges = append $edges (list "rag" . (get $components .).port) -}}{{- end -}}
{{- end -}}
{{- if $values.qdrant.enabled -}}{{- $edges = append $edges (list "rag" "qdrant" 6334) -}}{{- end -}}
{{- if $values.postgres.enabled -}}
{{- range include "polyphony.queues" .root | fromJsonArray -}}{{- $edges = append $edges (list . "postgres" 5432) -}}{{- end -}}
{{- end -}}
{{- if $values.objectStore.enabled -}}{{- $edges = append $edges (list "tts" "object-store" 9000) -}}{{- end -}}
{{- range $name, $_ := $values.vllm.instances -}}{{- $edges = append $edges (list "llm-proxy" (print "vllm-" $name) 8000) -}}{{- end -}}
{{- $from := list -}}
{{- $to := list -}}
{{- range $edges -}}
{{- if and (eq (index . 1) $.name) (hasKey $components (index . 0)) -}}{{- $from = append $from (list (index . 0) (index . 2)) -}}{{- end -}}
{{- if eq (index . 0) $.name -}}{{- $to = append $to (list (index . 1) (index . 2)) -}}{{- end -}}
{{- end -}}
{{- toJson (dict "from" $from "to" $to) -}}
{{- end -}}
