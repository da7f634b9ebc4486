{{/* A service of a component. Takes root, who, name and of (port, annotations; type and what belongs to it). */}}
{{- define "sightline.service" -}}
{{- $outside := ne (.of.type | default "ClusterIP") "ClusterIP" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  labels: {{- include "sightline.labels" .who | nindent 4 }}
  {{- with .of.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if .headless }}
  clusterIP: None
  {{- end }}
  {{- if $outside }}
  type: {{ .of.type }}
  {{- with .of.externalTrafficPolicy }}
  externalTrafficPolicy: {{ . }}
  {{- end }}
  {{- with .of.loadBalancerClass }}
  loadBalancerClass: {{ . }}
  {{- end }}
  {{- with .of.loadBalancerSourceRanges }}
  loadBalancerSourceRanges: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  selector: {{- include "sightline.selector" .who | nindent 4 }}
  ports:
    # By this ingress controllers, gateways and meshes know what to speak to the pods.
    - {name: grpc, port: {{ .of.port }}, targetPort: grpc, appProtocol: {{ ternary "https" "kubernetes.io/h2c" (ne .root.Values.tls.existingSecret "") }}}
    {{- if $outside }}
---
# Metrics are nobody's outside.
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}-observe
  labels: {{- include "sightline.labels" .who | nindent 4 }}
spec:
  clusterIP: None
  selector: {{- include "sightline.selector" .who | nindent 4 }}
  ports:
    {{- end }}
    - {name: observe, port: 9090, targetPort: observe}
{{- end -}}

{{/* An HPA by CPU for services that are called. Takes who, name and of (minReplicas, maxReplicas, target). */}}
{{- define "sightline.cpuScaler" -}}
{{- if gt (int .of.minReplicas) (int .of.maxReplicas) -}}
{{- fail (printf "%s.autoscaling: minReplicas is above maxReplicas" .who.component) -}}
{{- end -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ .name }}
  labels: {{- include "sightline.labels" .who | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ .name }}}
  minReplicas: {{ .of.minReplicas }}
  maxReplicas: {{ .of.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ .of.targetCPUUtilizationPercentage }}}
{{- end -}}

{{/* A disruption budget, where one is wanted. Takes who and name. */}}
{{- define "sightline.budget" }}
{{- if not (kindIs "invalid" .who.of.maxUnavailable) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  labels: {{- include "sightline.labels" .who | nindent 4 }}
spec:
  maxUnavailable: {{ .who.of.maxUnavailable }}
  # A pod that never became ready keeps nobody from draining a node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "sightline.selector" .who | nindent 6 }}
{{- end }}
{{- end -}}
