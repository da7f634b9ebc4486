{{/* Workers of a pool that KEDA scales, as helm may say them: nothing where the number is KEDA's alone. Takes root, name and of (the pool).

A Deployment without a number has one worker until KEDA has looked, and that one may start a node. So a new pool begins with the fewest that it may
have. Later the number is the live one, and only as long as helm would take it away by leaving it out: where helm applies on its side
(Helm 3), or applied it on the server's and nobody has changed it since. Where there is no cluster to ask (`helm template`, and so Argo CD) a
number would be set again and again. */}}
{{- define "sightline.kedaReplicas" -}}
{{- $there := lookup "apps/v1" "Deployment" .root.Release.Namespace "" -}}
{{- $live := dict -}}
{{- range $there.items -}}
{{- if eq .metadata.name $.name }}{{ $live = . }}{{ end -}}
{{- end -}}
{{- if $live -}}
{{- $applied := false -}}
{{- $ours := false -}}
{{- range $live.metadata.managedFields -}}
{{- if eq .operation "Apply" -}}
{{- $applied = true -}}
{{- if hasKey (dig "fieldsV1" "f:spec" dict .) "f:replicas" }}{{ $ours = true }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if or $ours (not $applied) -}}
replicas: {{ $live.spec.replicas }}
{{- end -}}
{{- else if and $there .of.autoscaling.startAtMinimum -}}
replicas: {{ .of.autoscaling.minReplicas }}
{{- end -}}
{{- end -}}
