{{/* The account that pods run as whose component has none of its own. */}}
{{- define "sightline.sharedAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "sightline.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* The account of a pod: its component's own, else the release's. Takes root, component, pool and of (the block of values). */}}
{{- define "sightline.serviceAccount" -}}
{{- $own := .of.serviceAccount | default dict -}}
{{- if $own.name -}}
{{ $own.name }}
{{- else if not $own.create -}}
{{ include "sightline.sharedAccount" .root }}
{{- else if .pool -}}
{{ include "sightline.workerName" . }}
{{- else -}}
{{ include "sightline.fullname" .root }}-{{ ternary "client" .component (has .component (list "run" "test")) }}
{{- end -}}
{{- end -}}

{{/* The accounts that the chart makes: their annotations by their names, as JSON. */}}
{{- define "sightline.accounts" -}}
{{- $all := list (dict "component" "coordinator" "of" .Values.coordinator) -}}
{{- if .Values.gateway.enabled }}{{ $all = append $all (dict "component" "gateway" "of" .Values.gateway) }}{{ end -}}
{{- if .Values.encoder.enabled }}{{ $all = append $all (dict "component" "encoder" "of" .Values.encoder) }}{{ end -}}
{{- if or .Values.runs .Values.tests.enabled }}{{ $all = append $all (dict "component" "test" "of" (.Values.client | default dict)) }}{{ end -}}
{{- range $pool, $_ := .Values.workers -}}
{{- $all = append $all (dict "component" "worker" "pool" $pool "of" (include "sightline.pool" (dict "root" $ "pool" $pool) | fromYaml)) -}}
{{- end -}}
{{- $made := dict -}}
{{- if .Values.serviceAccount.create }}{{ $_ := set $made (include "sightline.sharedAccount" .) (.Values.serviceAccount.annotations | default dict) }}{{ end -}}
{{- range $who := $all -}}
{{- $own := $who.of.serviceAccount | default dict -}}
{{- if $own.create -}}
{{- $name := include "sightline.serviceAccount" (merge (dict "root" $) $who) -}}
{{- $annotations := $own.annotations | default dict -}}
{{- if and (hasKey $made $name) (ne (toJson (get $made $name)) (toJson $annotations)) -}}
{{- fail (printf "%s.serviceAccount: an account %s with other annotations is made already; give it another name, or none" ($who.pool | default $who.component) $name) -}}
{{- end -}}
{{- $_ := set $made $name $annotations -}}
{{- end -}}
{{- end -}}
{{- toJson $made -}}
{{- end -}}
