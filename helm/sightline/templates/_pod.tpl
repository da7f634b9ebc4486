{{/* Configuration as environment: a nested map becomes SIGHTLINE_BLOCK__KEY. Takes config (user's) and own (the chart's). */}}
{{- define "sightline.configEnv" -}}
{{- include "sightline.variables" (dict "prefix" "" "of" (mergeOverwrite (deepCopy .config) .own)) }}
{{- end -}}

{{/* Takes prefix and of, a map however deep. */}}
{{- define "sightline.variables" -}}
{{- range $key, $value := .of }}
{{- if kindIs "map" $value }}
{{- include "sightline.variables" (dict "prefix" (printf "%s%s__" $.prefix $key) "of" $value) }}
{{- else }}
{{ include "sightline.variable" (dict "name" (printf "%s%s" $.prefix $key) "value" $value) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* One variable. Numbers come from YAML as floats, and would be printed as 1.34e+08. */}}
{{- define "sightline.variable" -}}
{{- $text := toString .value -}}
{{- if kindIs "float64" .value -}}
{{- if eq (floor .value) .value }}{{ $text = toString (int64 .value) }}{{ end -}}
{{- else if kindIs "slice" .value -}}
{{- $text = join "," .value -}}
{{- end -}}
- name: SIGHTLINE_{{ upper .name }}
  value: {{ $text | quote }}
{{- end -}}

{{/* Threads of what computes on processors: as many as the pod may have cores, or is promised, which is rounded up. libtorch would take one for
each core of the node, and they would wait for each other. Takes of (the block of values) and keys (numbers of threads). */}}
{{- define "sightline.threads" -}}
{{- $resources := .of.resources | default dict -}}
{{- $from := "" -}}
{{- if hasKey ($resources.limits | default dict) "cpu" -}}
{{- $from = "limits.cpu" -}}
{{- else if hasKey ($resources.requests | default dict) "cpu" -}}
{{- $from = "requests.cpu" -}}
{{- end -}}
{{- $given := list -}}
{{- range .of.extraEnv -}}
{{- $given = append $given .name -}}
{{- end -}}
{{- if and $from (ne .of.device "cuda") -}}
{{- range $key := .keys -}}
{{- $path := splitList "." $key -}}
{{- $variable := printf "SIGHTLINE_%s" ($key | replace "." "__" | upper) -}}
{{- if not (or (hasKey (get $.of.config (first $path) | default dict) (last $path)) (has $variable $given)) }}
- name: {{ $variable }}
  valueFrom: {resourceFieldRef: {resource: {{ $from }}, divisor: "1"}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What every service is told. Takes root, port and drain (seconds); storeless where it reads no object store. */}}
{{- define "sightline.ownConfig" -}}
listen:
  address: 0.0.0.0:{{ .port }}
{{- if .root.Values.tls.existingSecret }}
  tls_cert: /etc/sightline/tls/tls.crt
  tls_key: /etc/sightline/tls/tls.key
{{- else }}
  insecure: true
{{- end }}
observability:
  address: 0.0.0.0:9090
  insecure: true
shutdown:
  drain_seconds: {{ .drain }}
telemetry:
  log: {{ .root.Values.telemetry.log | quote }}
  log_format: {{ .root.Values.telemetry.logFormat }}
  trace_ratio: {{ .root.Values.telemetry.traceRatio }}
{{- with .root.Values.telemetry.otlpEndpoint }}
  otlp_endpoint: {{ . | quote }}
  otlp_logs: {{ $.root.Values.telemetry.otlpLogs }}
  otlp_metrics: {{ $.root.Values.telemetry.otlpMetrics }}
{{- end }}
{{- if not .storeless }}
{{- with .root.Values.s3 }}
{{- if or .endpoint .region .pathStyle }}
s3:
  {{- with .endpoint }}
  endpoint: {{ . | quote }}
  {{- end }}
  {{- with .region }}
  region: {{ . | quote }}
  {{- end }}
  {{- if .pathStyle }}
  path_style: true
  {{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* An address from a secret or as it is. Takes variable and source (url, existingSecret). */}}
{{- define "sightline.address" -}}
- name: {{ .variable }}
{{- if .source.existingSecret.name }}
  valueFrom:
    secretKeyRef: {name: {{ .source.existingSecret.name }}, key: {{ .source.existingSecret.key }}}
{{- else }}
  value: {{ .source.url | quote }}
{{- end }}
{{- end -}}

{{- define "sightline.s3Env" -}}
{{- with .Values.s3.existingSecret }}
{{- if .name }}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef: {name: {{ .name }}, key: {{ .accessKeyIdKey }}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef: {name: {{ .name }}, key: {{ .secretAccessKeyKey }}}
- name: AWS_SESSION_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ .name }}, key: {{ .sessionTokenKey }}, optional: true}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sightline.podSecurityContext" -}}
runAsNonRoot: true
{{- with .Values.podSecurity.runAsUser }}
runAsUser: {{ . }}
runAsGroup: {{ . }}
{{- end }}
{{- with .Values.podSecurity.fsGroup }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "sightline.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "sightline.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: observe}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: observe}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: observe}
  periodSeconds: 5
  timeoutSeconds: 3
{{- end -}}

{{/* An image with CUDA, a node for it and a model from the hub take longer than the ten minutes after which Kubernetes calls a rollout
failed, and `helm --wait` with it. */}}
{{- define "sightline.patience" -}}
progressDeadlineSeconds: 3600
{{- end -}}

{{/* Annotations of a pod. Cluster autoscalers keep nodes up for volumes that lie on them: nothing in ours is missed. Takes given and volumes. */}}
{{- define "sightline.podAnnotations" -}}
{{- merge (deepCopy (.given | default dict)) (dict "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes" .volumes) | toYaml -}}
{{- end -}}

{{/* Where a pod runs. Takes root, component, pool and of (the block of values). */}}
{{- define "sightline.placement" -}}
serviceAccountName: {{ include "sightline.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .of.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with merge (deepCopy (.of.nodeSelector | default dict)) (.root.Values.nodeSelector | default dict) }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.dnsConfig | default .root.Values.dnsConfig }}
dnsConfig: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "sightline.selector" $ | nindent 8 }}
  {{- end }}
securityContext: {{- include "sightline.podSecurityContext" .root | nindent 2 }}
{{- end -}}

{{/* What the collector is told of a pod, and the headers that it wants. */}}
{{- define "sightline.collectorEnv" -}}
{{- $headers := .Values.telemetry.otlpHeaders.existingSecret -}}
{{- if .Values.telemetry.otlpEndpoint }}
{{- if $headers.name }}
- name: SIGHTLINE_TELEMETRY__OTLP_HEADERS
  valueFrom:
    secretKeyRef: {name: {{ $headers.name }}, key: {{ $headers.key }}}
{{- end }}
{{- range $name, $path := dict "K8S_POD_NAME" "metadata.name" "K8S_POD_UID" "metadata.uid" "K8S_NODE_NAME" "spec.nodeName" }}
- name: {{ $name }}
  valueFrom: {fieldRef: {fieldPath: {{ $path }}}}
{{- end }}
{{- $attributes := list (printf "k8s.namespace.name=%s" .Release.Namespace) "k8s.pod.name=$(K8S_POD_NAME)" "k8s.pod.uid=$(K8S_POD_UID)" "k8s.node.name=$(K8S_NODE_NAME)" -}}
{{- range $name, $value := .Values.telemetry.resourceAttributes -}}
{{- $attributes = append $attributes (printf "%s=%s" $name (urlquery $value | replace "+" "%20")) -}}
{{- end }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ join "," $attributes | quote }}
{{- else if $headers.name }}
{{- fail "telemetry.otlpHeaders needs telemetry.otlpEndpoint: it says where they are sent" }}
{{- end }}
{{- end -}}

{{/* Where the authorities of `caBundle` are found by whatever reads the system's: rustls, OpenSSL, Go. */}}
{{- define "sightline.caEnv" -}}
{{- if or .Values.caBundle.configMap .Values.caBundle.secret }}
- name: SSL_CERT_FILE
  value: /etc/sightline/ca/ca.crt
{{- end }}
{{- end -}}

{{/* Refuses pods that compute on devices and ask for none: they would go to any node, and fail where there is no device. A device of which 0
are asked for is one that comes in another way. Takes what (the name of the block of values) and of. */}}
{{- define "sightline.asksForDevice" -}}
{{- $devices := list -}}
{{- range $resource, $_ := (.of.resources | default dict).limits | default dict -}}
{{- if contains "/" $resource }}{{ $devices = append $devices $resource }}{{ end -}}
{{- end -}}
{{- if and (eq .of.device "cuda") (not $devices) -}}
{{- fail (printf "%s: device is cuda and %s.resources.limits names no device: ask for nvidia.com/gpu: 1, or say with nvidia.com/gpu: 0 that pods get one in another way" .what .what) -}}
{{- end -}}
{{- end -}}
