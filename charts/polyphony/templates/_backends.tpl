{{/* What the mesh may use and this chart may run: by name, as data. The template of all of them is backends.yaml. */}}
{{- define "polyphony.backends" -}}
{{- $backends := dict -}}
{{- $values := .Values -}}
{{- /* What is said of the programs of the mesh alone is not said of these. */ -}}
{{- $defaults := omit .Values.defaults "models" "env" -}}
{{- $known := dict
  "qdrant" (dict "said" $values.qdrant "uid" 1000 "ports" (dict "http" 6333 "grpc" 6334)
    "env" (dict "QDRANT__TELEMETRY_DISABLED" "true" "QDRANT_INIT_FILE_PATH" "/qdrant/init/.qdrant-initialized")
    "data" (dict "/qdrant/storage" "storage" "/qdrant/snapshots" "snapshots")
    "scratch" (list "/qdrant/init" "/tmp")
    "probe" (dict "httpGet" (dict "port" "http" "path" "/readyz")))
  "postgres" (dict "said" $values.postgres "uid" 999 "ports" (dict "sql" 5432)
    "env" (dict "POSTGRES_USER" "polyphony" "POSTGRES_DB" "polyphony" "PGDATA" "/var/lib/postgresql/data/pgdata")
    "secretEnv" (dict "POSTGRES_PASSWORD" "password")
    "data" (dict "/var/lib/postgresql/data" "data")
    "scratch" (list "/var/run/postgresql" "/tmp")
    "probe" (dict "exec" (dict "command" (list "pg_isready" "--username" "polyphony" "--quiet"))))
  "object-store" (dict "said" $values.objectStore "uid" 1000 "ports" (dict "s3" 9000)
    "args" (list "server" "/data")
    "secretEnv" (dict "MINIO_ROOT_USER" "user" "MINIO_ROOT_PASSWORD" "password")
    "data" (dict "/data" "data")
    "scratch" (list "/tmp")
    "probe" (dict "httpGet" (dict "port" "s3" "path" "/minio/health/live"))) -}}
{{- range $name, $one := $known -}}
{{- if $one.said.enabled -}}
{{- if and $one.secretEnv (not $one.said.secretName) -}}
{{- fail (printf "%s.secretName: is empty; name a Secret with the keys %s" (camelcase (replace "-" "_" $name) | untitle) (values $one.secretEnv | sortAlpha | join ", ")) -}}
{{- end -}}
{{- $c := include "polyphony.over" (list $defaults $one.said) | fromJson -}}
{{- $_ := set $backends $name (merge (dict "onGpu" false) (omit $one "said") $c) -}}
{{- end -}}
{{- end -}}
{{- range $name, $said := $values.vllm.instances -}}
{{- $key := printf "vllm.instances.%s" $name -}}
{{- $own := dict "startupSeconds" 900 "size" "100Gi" "storageClassName" "" "args" list
  "resources" (dict "requests" (dict "cpu" "2" "memory" "8Gi") "limits" (dict "memory" "32Gi")) -}}
{{- $c := include "polyphony.over" (list $defaults $own) | fromJson -}}
{{- $c = include "polyphony.over" (list $c $said) | fromJson -}}
{{- if not $c.gpu.count -}}{{- fail (printf "%s.gpu.count: is 0, but vLLM needs a GPU" $key) -}}{{- end -}}
{{- include "polyphony.checkGpu" (dict "key" $key "gpu" $c.gpu) -}}
{{- $share := "--gpu-memory-utilization" -}}
{{- if dig "gpu" "memoryBudget" "" $said -}}
{{- fail (printf "%s.gpu.memoryBudget: is not known to vLLM; set args [%s, \"0.5\"], a share of the card's memory" $key $share) -}}
{{- end -}}
{{- if and (has $c.gpu.sharing (list "timeSlicing" "mps")) (not (regexMatch (print "(^|,)" $share "(=|,)") (join "," $c.args))) -}}
{{- fail (printf "%s.args: do not say %s, but sharing %q keeps no memory apart and vLLM takes nearly all of it; add [%s, \"0.5\"]" $key $share $c.gpu.sharing $share) -}}
{{- end -}}
{{- $env := dict "HOME" "/cache" "HF_HOME" "/cache/huggingface" "USER" "vllm" "VLLM_NO_USAGE_STATS" "1" -}}
{{- if $values.models.offline -}}{{- $_ := set $env "HF_HUB_OFFLINE" "1" -}}{{- end -}}
{{- $_ := set $backends (print "vllm-" $name) (merge (dict "onGpu" true "image" $values.vllm.image "uid" 65532
  "args" (concat (list "--model" $said.model "--port" "8000") $c.args)
  "ports" (dict "http" 8000)
  "env" $env
  "data" (dict "/cache" "cache")
  "scratch" (list "/tmp")
  "shm" true
  "models" (list $said.model)
  "probe" (dict "httpGet" (dict "port" "http" "path" "/health"))) $c) -}}
{{- end -}}
{{- toJson $backends -}}
{{- end -}}
