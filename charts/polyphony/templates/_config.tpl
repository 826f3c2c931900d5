{{/* polyphony.toml of a component: what the chart knows, and above it what the values say. */}}

{{/* A map as TOML, tables after keys. Takes {path, value}. */}}
{{- define "polyphony.toml" -}}
{{- $path := .path -}}
{{- $keys := list -}}
{{- $tables := dict -}}
{{- range $key, $value := .value -}}
{{- $key = regexMatch "^[A-Za-z0-9_-]+$" $key | ternary $key (toJson $key) -}}
{{- if kindIs "map" $value -}}{{- $_ := set $tables $key $value -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $keys = append $keys (printf "%s = %s" $key (include "polyphony.tomlValue" $value)) -}}
{{- end -}}
{{- end -}}
{{- if and $path $keys }}
[{{ join "." $path }}]
{{ end -}}
{{- range $keys }}{{ . }}
{{ end -}}
{{- range $key, $table := $tables -}}
{{- include "polyphony.toml" (dict "path" (append $path $key) "value" $table) -}}
{{- end -}}
{{- end -}}

{{- define "polyphony.tomlValue" -}}
{{- if kindIs "slice" . -}}
[{{ range $at, $one := . }}{{ if $at }}, {{ end }}{{ include "polyphony.tomlValue" $one }}{{ end }}]
{{- else if kindIs "map" . -}}
{ {{- range $at, $key := keys . | sortAlpha }}{{ if $at }},{{ end }} {{ $key }} = {{ include "polyphony.tomlValue" (get $ $key) }}{{ end }} }
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}

{{/* Takes {root, name, component, components}. */}}
{{- define "polyphony.config" -}}
{{- $values := .root.Values -}}
{{- $full := include "polyphony.fullname" .root -}}
{{- $c := .component -}}
{{- $mesh := "/etc/polyphony/tls" -}}
{{- $drain := dict "lame_duck" (printf "%vs" $c.drain.lameDuckSeconds) "deadline" (printf "%vs" $c.drain.deadlineSeconds) -}}
{{- $listen := printf "%s:%v" $values.bindAddress $c.port -}}
{{- $admin := printf "%s:%v" $values.bindAddress $c.admin -}}
{{- $identity := dict "cert" (print $mesh "/tls.crt") "key" (print $mesh "/tls.key") -}}
{{- $client := merge (dict "ca" (print $mesh "/ca.crt")) $identity -}}
{{- $section := dict -}}
{{- if eq .name "gateway" -}}
{{- $_ := set $section "admin" $admin -}}
{{- $_ := set $section "drain" $drain -}}
{{- $_ := set $section "builtin_routes" false -}}
{{- if $c.tls.secretName -}}
{{- $door := dict "listen" $listen "cert" "/etc/polyphony/door/tls.crt" "key" "/etc/polyphony/door/tls.key" -}}
{{- if $c.tls.clientCA -}}{{- $_ := set $door "client_ca" "/etc/polyphony/door/ca.crt" -}}{{- end -}}
{{- $_ := set $section "listen" "127.0.0.1:8080" -}}
{{- $_ := set $section "tls" $door -}}
{{- else -}}
{{- $_ := set $section "listen" $listen -}}
{{- $_ := set $section "allow_plaintext" true -}}
{{- end -}}
{{- $services := omit .components "gateway" -}}
{{- $clusters := dict -}}
{{- range $name, $service := $services -}}
{{- $cluster := dict "endpoints" (list (printf "%s-%s:%v" $full $name $service.port)) -}}
{{- if $values.tls.enabled -}}{{- $_ := set $cluster "tls" $client -}}{{- end -}}
{{- $_ := set $clusters $name $cluster -}}
{{- end -}}
{{- $_ := set $section "clusters" $clusters -}}
{{- $_ := set $section "routes" (include "polyphony.routes" (dict "services" $services) | fromJsonArray) -}}
{{- else -}}
{{- $server := dict "listen" $listen "admin" $admin "drain" $drain -}}
{{- if $values.tls.enabled -}}
{{- $_ := set $server "tls" (merge (dict "client_ca" (print $mesh "/ca.crt")) $identity) -}}
{{- end -}}
{{- $_ := set $section "server" $server -}}
{{- end -}}
{{- if eq .name "rag" -}}
{{- range $other := list "llm-proxy" "ocr" "asr" -}}
{{- with get $.components $other -}}
{{- $scheme := $values.tls.enabled | ternary "https" "http" -}}
{{- $_ := set $section (eq $other "llm-proxy" | ternary "llm_endpoint" (print $other "_endpoint")) (printf "%s://%s-%s:%v" $scheme $full $other .port) -}}
{{- end -}}
{{- end -}}
{{- if $values.tls.enabled -}}{{- $_ := set $section "channel" (dict "tls" $client) -}}{{- end -}}
{{- if $values.qdrant.enabled -}}
{{- $_ := set $section "dense" (dict "engine" "server" "url" (printf "http://%s-qdrant:6334" $full)) -}}
{{- end -}}
{{- if $values.postgres.enabled -}}{{- $_ := set $section "ledger_url_file" "/etc/polyphony/secrets/postgres/url" -}}{{- end -}}
{{- end -}}
{{- if and (eq .name "tts") $values.objectStore.enabled -}}
{{- $_ := set $section "voices" (dict "url" (printf "s3://%s/voices" $values.objectStore.bucket) "endpoint" (printf "http://%s-object-store:9000" $full)) -}}
{{- end -}}
{{- if eq .name "video-gen" -}}
{{- /* A pod that was given a GPU and does not see it must not fall back to its processor. */ -}}
{{- $_ := set $section "device" ($c.onGpu | ternary "cuda" "cpu") -}}
{{- with $c.gpu.memoryBudget -}}{{- $_ := set $section "memory_limit" . -}}{{- end -}}
{{- end -}}
{{- if and (eq .name "llm-proxy") $values.vllm.instances -}}
{{- $upstreams := dict -}}
{{- range $name, $_ := $values.vllm.instances -}}
{{- $_ := set $upstreams $name (dict "url" (printf "http://%s-vllm-%s:8000" $full $name) "kind" "vllm") -}}
{{- end -}}
{{- $_ := set $section "upstreams" $upstreams -}}
{{- end -}}
{{- $telemetry := dict "level" $values.telemetry.level "format" "json" -}}
{{- with $values.telemetry.otlpEndpoint -}}
{{- $_ := set $telemetry "otlp_endpoint" . -}}
{{- $_ := set $telemetry "sample_ratio" $values.telemetry.sampleRatio -}}
{{- end -}}
{{- $config := dict "telemetry" $telemetry .name (include "polyphony.over" (list $section $c.config) | fromJson) -}}
{{- if ne .name "gateway" -}}
{{- $models := dict "dir" "/models/store" "wheel_dirs" (list "/models/wheels") "offline" $values.models.offline -}}
{{- with $c.gpu.memoryBudget -}}{{- $_ := set $models "memory_budget" . -}}{{- end -}}
{{- $_ := set $config "models" (include "polyphony.over" (list $models $c.residency) | fromJson) -}}
{{- $_ := set $config "inference" (include "polyphony.over" (list (dict "device" ($c.onGpu | ternary "cuda" "cpu")) $c.inference) | fromJson) -}}
{{- end -}}
{{- $jobs := deepCopy $c.jobs -}}
{{- if has .name (include "polyphony.queues" . | fromJsonArray) -}}
{{- if $values.postgres.enabled -}}{{- $_ := set $jobs "url_file" "/etc/polyphony/secrets/postgres/url" -}}{{- end -}}
{{- /* Whoever comes through the gateway has its name, which is then no one owner's: it may take the whole queue. */ -}}
{{- if $values.tls.enabled -}}{{- $jobs = merge $jobs (dict "owner_share" 1.0) -}}{{- end -}}
{{- end -}}
{{- with $jobs -}}{{- $_ := set $config "jobs" . -}}{{- end -}}
{{- include "polyphony.toml" (dict "path" list "value" $config) | trim -}}
{{- end -}}
