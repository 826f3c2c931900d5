{{/* What the mesh may use and this chart may run: by name, as data. The template of all of them is backends.yaml. */}}
{{- define "polyphony.backends" -}}
{{- $backends := dict -}}
{{- $values := .Values -}}
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
{{- $_ := set $backends $name (mergeOverwrite (deepCopy $values.defaults) (dict "onGpu" false) (omit $one "said") (deepCopy $one.said)) -}}
{{- end -}}
{{- end -}}
{{- range $name, $said := $values.vllm.instances -}}
{{- $c := mergeOverwrite (deepCopy $values.defaults) (dict "startupSeconds" 900 "size" "100Gi" "storageClassName" "") (deepCopy $said) -}}
{{- if not $c.gpu.count -}}{{- fail (printf "vllm.instances.%s.gpu.count: is 0, but vLLM needs a GPU" $name) -}}{{- end -}}
{{- $args := concat (list "--model" $said.model "--port" "8000") ($said.args | default list) -}}
{{- $_ := set $backends (print "vllm-" $name) (mergeOverwrite $c (dict "onGpu" true "image" $values.vllm.image "uid" 65532 "args" $args
  "ports" (dict "http" 8000)
  "env" (dict "HOME" "/cache" "HF_HOME" "/cache/huggingface" "USER" "vllm" "VLLM_NO_USAGE_STATS" "1")
  "data" (dict "/cache" "cache")
  "scratch" (list "/tmp")
  "shm" true
  "models" (list $said.model)
  "probe" (dict "httpGet" (dict "port" "http" "path" "/health")))) -}}
{{- end -}}
{{- toJson $backends -}}
{{- end -}}
