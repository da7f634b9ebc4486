{{- define "sightline.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "sightline.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "sightline.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A name that is no longer than it may be: what is cut off stays in a digest. Takes name and most. */}}
{{- define "sightline.shortName" -}}
{{- if le (len .name) .most -}}
{{ .name }}
{{- else -}}
{{ .name | trunc (sub .most 9 | int) | trimSuffix "-" }}-{{ sha256sum .name | trunc 8 }}
{{- end -}}
{{- end -}}

{{/* A pool's objects. 54 characters, to which KEDA adds 9 for its HPA. Takes root and pool. */}}
{{- define "sightline.workerName" -}}
{{- include "sightline.shortName" (dict "name" (printf "%s-worker-%s" (include "sightline.fullname" .root) .pool) "most" 54) -}}
{{- end -}}

{{/* Labels that select pods: they never change. Takes root, component, and pool where there is one. */}}
{{- define "sightline.selector" -}}
app.kubernetes.io/name: {{ include "sightline.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
sightline.dev/pool: {{ . }}
{{- end }}
{{- end -}}

{{- define "sightline.labels" -}}
{{- if .component -}}
{{ include "sightline.selector" . }}
{{- else -}}
app.kubernetes.io/name: {{ include "sightline.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: sightline
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of a pod: its component's count before those of all pods, and these before those of all objects. Takes root, component, pool and of. */}}
{{- define "sightline.podLabels" -}}
{{- mergeOverwrite (include "sightline.labels" . | fromYaml) (.root.Values.podLabels | default dict) (.of.podLabels | default dict) | toYaml -}}
{{- end -}}

{{/* An image with its registry, and its tag unless the name has a digest or a tag. Takes root and name. */}}
{{- define "sightline.image" -}}
{{- $name := .name -}}
{{- with .root.Values.image.registry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end -}}
{{- if or (contains "@" .name) (contains ":" (base .name)) -}}
{{ $name }}
{{- else -}}
{{ $name }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The queue of a model's shards, as sightline_core::message::queues::shards names it: SHA-256 over parts, each after its
length as 64 bits, little endian. Takes the model's name. */}}
{{- define "sightline.queue" -}}
{{- $readable := regexReplaceAll "[^A-Za-z0-9._-]" . "_" | trunc 80 -}}
{{- $parts := printf "%c\x00\x00\x00\x00\x00\x00\x00%s%c\x00\x00\x00\x00\x00\x00\x00%s" (len "sightline/queue/v1") "sightline/queue/v1" (len .) . -}}
sightline.shards.{{ $readable }}.{{ sha256sum $parts | trunc 8 }}
{{- end -}}

{{/* A pool with workerDefaults beneath it. Takes root and the pool's name. */}}
{{- define "sightline.pool" -}}
{{- mergeOverwrite (deepCopy .root.Values.workerDefaults) (deepCopy (index .root.Values.workers .pool)) | toYaml -}}
{{- end -}}

{{/* The pool that is woken for imports: the one that is named, else the first by name that computes on processors, else the first. */}}
{{- define "sightline.importsPool" -}}
{{- $found := .Values.imports.pool -}}
{{- if and $found (not (hasKey .Values.workers $found)) -}}
{{- fail (printf "imports.pool: there is no worker pool %s; choose of: %s" $found (keys .Values.workers | sortAlpha | join ", ")) -}}
{{- end -}}
{{- range $pool := keys .Values.workers | sortAlpha -}}
{{- $of := include "sightline.pool" (dict "root" $ "pool" $pool) | fromYaml -}}
{{- if and (not $found) (eq $of.device "cpu") }}{{ $found = $pool }}{{ end -}}
{{- end -}}
{{ $found | default (keys .Values.workers | sortAlpha | first) }}
{{- end -}}

{{/* What scales pools: keda, hpa or none. */}}
{{- define "sightline.scaling" -}}
{{- if ne .Values.scaling "auto" -}}
{{ .Values.scaling }}
{{- else if .Capabilities.APIVersions.Has "keda.sh/v1alpha1" -}}
keda
{{- else -}}
hpa
{{- end -}}
{{- end -}}

{{- define "sightline.scheme" -}}
{{ ternary "https" "http" (ne .Values.tls.existingSecret "") }}
{{- end -}}
