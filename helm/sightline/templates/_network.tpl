{{/* A rule for what pods open: ports, to whoever is named, or to anybody. None without ports: such a rule would open all. Takes ports,
to and protocols. */}}
{{- define "sightline.egressRule" -}}
{{- if .ports }}
- ports:
    {{- range $port := .ports }}
    {{- range $.protocols }}
    - {port: {{ $port }}, protocol: {{ . }}}
    {{- end }}
    {{- end }}
  {{- with .to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Where names are asked for. */}}
{{- define "sightline.dnsEgress" -}}
{{- include "sightline.egressRule" (merge (dict "protocols" (list "UDP" "TCP")) .Values.networkPolicy.egress.dns) }}
{{- end -}}

{{/* What a component calls outside the release, and no more. Takes root and component. */}}
{{- define "sightline.targets" -}}
{{- $models := list -}}
{{- if eq .component "worker" -}}
{{- range .root.Values.workers }}{{ $models = append $models .model }}{{ end -}}
{{- else if ne .component "coordinator" -}}
{{- $models = list (get .root.Values .component).model -}}
{{- end -}}
{{- $pulled := false -}}
{{- $downloaded := false -}}
{{- range compact $models -}}
{{- if .hub }}{{ $pulled = true }}{{ end -}}
{{- if (.volume | default dict).download }}{{ $downloaded = true }}{{ end -}}
{{- end -}}
{{- $targets := list -}}
{{- if or (ne .component "encoder") $downloaded }}{{ $targets = append $targets "s3" }}{{ end -}}
{{- if has .component (list "coordinator" "worker") }}{{ $targets = append $targets "queue" }}{{ end -}}
{{- if ne .component "encoder" }}{{ $targets = append $targets "index" }}{{ end -}}
{{- if .root.Values.telemetry.otlpEndpoint }}{{ $targets = append $targets "otlp" }}{{ end -}}
{{- if $pulled }}{{ $targets = append $targets "hub" }}{{ end -}}
{{- toJson $targets -}}
{{- end -}}

{{/* Rules for what a component calls outside the release: the ports of the values, and of the address where they show it. Takes root and component. */}}
{{- define "sightline.targetsEgress" -}}
{{- $values := .root.Values -}}
{{- $shown := dict "s3" $values.s3.endpoint "queue" $values.queue.url "index" $values.index.url "otlp" $values.telemetry.otlpEndpoint -}}
{{- $usual := dict "http" 80 "https" 443 "amqp" 5672 "amqps" 5671 "milvus" 19530 "milvus+tls" 19530 -}}
{{- range $target := include "sightline.targets" . | fromJsonArray -}}
{{- $given := get $values.networkPolicy.egress $target -}}
{{- $ports := list -}}
{{- range $given.ports }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- with get $shown $target -}}
{{- $address := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $address.host | trimPrefix ":" -}}
{{- $ports = append $ports (ternary (int $port) (get $usual $address.scheme) (ne $port "")) -}}
{{- end -}}
{{- include "sightline.egressRule" (dict "ports" (uniq $ports) "to" $given.to "protocols" (list "TCP")) }}
{{- end -}}
{{- end -}}
