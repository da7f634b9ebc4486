{{/* What pods mount, beside their model. */}}

{{- define "sightline.caMount" -}}
{{- if or .Values.caBundle.configMap .Values.caBundle.secret }}
- {name: ca, mountPath: /etc/sightline/ca, readOnly: true}
{{- end }}
{{- end -}}

{{/* Takes root and of (the block of values). */}}
{{- define "sightline.commonMounts" -}}
- {name: scratch, mountPath: /tmp}
{{- if .root.Values.tls.existingSecret }}
- {name: tls, mountPath: /etc/sightline/tls, readOnly: true}
{{- end }}
{{- include "sightline.caMount" .root }}
{{- with .of.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Takes root, of and size. */}}
{{- define "sightline.commonVolumes" -}}
- name: scratch
  emptyDir: {sizeLimit: {{ .size }}}
{{- with .root.Values.tls.existingSecret }}
- name: tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- include "sightline.caVolume" .root }}
{{- with .of.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sightline.caVolume" -}}
{{- with .Values.caBundle }}
{{- if and .configMap .secret }}
{{- fail "caBundle: give configMap or secret, not both" }}
{{- end }}
{{- $items := list (dict "key" .key "path" "ca.crt") }}
{{- if .configMap }}
- name: ca
  configMap: {name: {{ .configMap }}, items: {{ toJson $items }}}
{{- else if .secret }}
- name: ca
  secret: {secretName: {{ .secret }}, items: {{ toJson $items }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end -}}
