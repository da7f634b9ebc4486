{{/* What pods of the client have in common: those of runs and of `helm test`. */}}

{{/* As process 1 of its container the client does not end at SIGTERM, and it holds nothing: a run goes on without it. */}}
{{- define "sightline.clientGrace" -}}
terminationGracePeriodSeconds: 2
{{- end -}}

{{/* What the client needs to find the services of this release. */}}
{{- define "sightline.clientEnv" -}}
{{- $full := include "sightline.fullname" . -}}
{{- $scheme := include "sightline.scheme" . -}}
- name: SIGHTLINE_COORDINATOR
  value: {{ $scheme }}://{{ $full }}-coordinator.{{ .Release.Namespace }}.svc:{{ .Values.coordinator.service.port }}
- name: SIGHTLINE_GATEWAY
  value: {{ $scheme }}://{{ $full }}-gateway.{{ .Release.Namespace }}.svc:{{ .Values.gateway.service.port }}
{{- if and .Values.tls.existingSecret .Values.tls.ca }}
- name: SIGHTLINE_CA_CERT
  value: /etc/sightline/tls/ca.crt
{{- end }}
{{- include "sightline.caEnv" . }}
{{- end -}}

{{/* What the client is told of a service's certificate where it comes through a forwarded port, after a space. Takes root and component. */}}
{{- define "sightline.certificateFlags" -}}
{{- if .root.Values.tls.existingSecret }}{{ if .root.Values.tls.ca }} --ca-cert ca.crt{{ end }} --tls-name {{ include "sightline.fullname" .root }}-{{ .component }}.{{ .root.Release.Namespace }}.svc
{{- end }}
{{- end -}}

{{/* It checks certificates and shows none: of the services' it is given the authority alone, never the key. */}}
{{- define "sightline.clientMounts" -}}
- {name: scratch, mountPath: /tmp}
{{- if and .Values.tls.existingSecret .Values.tls.ca }}
- {name: tls, mountPath: /etc/sightline/tls, readOnly: true}
{{- end }}
{{- include "sightline.caMount" . }}
{{- end -}}

{{- define "sightline.clientVolumes" -}}
- name: scratch
  emptyDir: {sizeLimit: 64Mi}
{{- if and .Values.tls.existingSecret .Values.tls.ca }}
- name: tls
  secret: {secretName: {{ .Values.tls.existingSecret }}, items: [{key: ca.crt, path: ca.crt}], defaultMode: 0440}
{{- end }}
{{- include "sightline.caVolume" . }}
{{- end -}}
