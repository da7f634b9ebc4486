{{/* The volume that holds a model, mounted at /models. Takes root, model, and of (what asks for it, for messages). */}}
{{- define "sightline.modelVolume" -}}
{{- $volume := .model.volume | default dict -}}
- name: model
{{- if $volume.persistentVolumeClaim }}
  persistentVolumeClaim: {claimName: {{ $volume.persistentVolumeClaim.claimName }}, readOnly: true}
{{- else if $volume.image }}
  {{- if not (semverCompare ">=1.31.0-0" .root.Capabilities.KubeVersion.Version) }}
  {{- fail (printf "%s.model.volume.image needs Kubernetes 1.31 (with the feature gate ImageVolume) and this is %s: use persistentVolumeClaim or download" .of .root.Capabilities.KubeVersion.Version) }}
  {{- end }}
  image: {reference: {{ $volume.image.reference }}, pullPolicy: {{ $volume.image.pullPolicy | default "IfNotPresent" }}}
{{- else if $volume.download }}
  emptyDir: {sizeLimit: {{ $volume.download.size | default "10Gi" }}}
{{- else if not .model.hub }}
  {{- fail (printf "%s.model.volume is needed: persistentVolumeClaim, image or download; or name a model of the hub, %s.model.hub" .of .of) }}
{{- else if .root.Values.modelCache.create }}
  persistentVolumeClaim: {claimName: {{ include "sightline.fullname" .root }}-models}
{{- else }}
  emptyDir: {sizeLimit: {{ .root.Values.modelCache.size }}}
{{- end }}
{{- end -}}

{{/* Where a service finds it. Takes the model. */}}
{{- define "sightline.modelMount" -}}
- name: model
  mountPath: /models
  {{- /* What comes from the hub the service writes itself. */}}
  {{- if not .hub }}
  readOnly: true
  {{- end }}
  {{- with ((.volume | default dict).persistentVolumeClaim | default dict).subPath }}
  subPath: {{ . }}
  {{- end }}
{{- end -}}

{{- define "sightline.modelDownload" -}}
{{- with (.model.volume | default dict).download }}
initContainers:
  - name: model
    image: {{ .image }}
    imagePullPolicy: {{ $.root.Values.image.pullPolicy }}
    command: {{- toYaml .command | nindent 6 }}
    {{- with .args }}
    args: {{- toYaml . | nindent 6 }}
    {{- end }}
    env:
      - {name: HOME, value: /tmp}
      {{- include "sightline.s3Env" $.root | nindent 6 }}
      {{- include "sightline.caEnv" $.root | nindent 6 }}
      {{- with .env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    resources: {{- toYaml (.resources | default (dict "requests" (dict "cpu" "100m" "memory" "256Mi") "limits" (dict "memory" "1Gi"))) | nindent 6 }}
    securityContext: {{- include "sightline.securityContext" $.root | nindent 6 }}
    volumeMounts:
      - {name: model, mountPath: /models}
      - {name: scratch, mountPath: /tmp}
      {{- include "sightline.caMount" $.root | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "sightline.modelConfig" -}}
model:
  folder: {{ .hub | default (clean (printf "/models/%s" (.path | default ""))) | quote }}
  name: {{ .name | quote }}
{{- if .hub }}
hub:
  cache: /models
{{- end }}
{{- end -}}

{{/* What a gateway is told of the release's encoders. */}}
{{- define "sightline.encoderConfig" -}}
encoder:
  url: {{ include "sightline.scheme" . }}://{{ include "sightline.fullname" . }}-encoder.{{ .Release.Namespace }}.svc:{{ .Values.encoder.service.port }}
  {{- if and .Values.tls.existingSecret .Values.tls.ca }}
  ca_cert: /etc/sightline/tls/ca.crt
  {{- end }}
{{- end -}}
