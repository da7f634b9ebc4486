{{/* The pod that applies a run and watches it to its end. Takes root, who, spec and request (its name for the run; where there is
none, each job of a schedule is a request of its own).

The pod bears its specification itself: an object beside it would go with the next upgrade, and a pod that a running Job makes after
that would wait for it for ever. */}}
{{- define "sightline.runPod" -}}
metadata:
  labels: {{- include "sightline.podLabels" .who | nindent 4 }}
  {{- /* JSON is YAML. */}}
  {{- $document := dict "apiVersion" "sightline.dev/v1" "kind" "Run" "spec" .spec | toPrettyJson }}
  annotations: {{- include "sightline.podAnnotations" (dict "given" (dict "sightline.dev/run" $document) "volumes" "scratch") | nindent 4 }}
spec:
  {{- include "sightline.placement" .who | nindent 2 }}
  {{- include "sightline.clientGrace" .root | nindent 2 }}
  restartPolicy: Never
  containers:
    - name: run
      image: {{ include "sightline.image" (dict "root" .root "name" .root.Values.image.names.cli) }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      # Tried again, it finds the run that it made: the coordinator knows it by the request's name.
      args: [apply, --file, /etc/sightline/run/run.yaml, --request-id, {{ .request | default "$(JOB_NAME)" | quote }}]
      env:
        {{- if not .request }}
        - name: JOB_NAME
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['batch.kubernetes.io/job-name']"}}
        {{- end }}
        {{- include "sightline.clientEnv" .root | nindent 8 }}
      resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 512Mi}}
      securityContext: {{- include "sightline.securityContext" .root | nindent 8 }}
      volumeMounts:
        {{- include "sightline.clientMounts" .root | nindent 8 }}
        - {name: run, mountPath: /etc/sightline/run, readOnly: true}
  volumes:
    {{- include "sightline.clientVolumes" .root | nindent 4 }}
    - name: run
      downwardAPI: {items: [{path: run.yaml, fieldRef: {fieldPath: "metadata.annotations['sightline.dev/run']"}}]}
{{- end -}}

{{/* What a Job is beside its pod. Takes root, pod, run (its values), ttl and deadline (seconds that count where the values say none). */}}
{{- define "sightline.runJob" -}}
backoffLimit: {{ dig "backoffLimit" 6 .run | int }}
{{- /* 0 is none. */}}
{{- with dig "activeDeadlineSeconds" .deadline .run | int }}
activeDeadlineSeconds: {{ . }}
{{- end }}
ttlSecondsAfterFinished: {{ dig "ttlSecondsAfterFinished" .ttl .run | int }}
podFailurePolicy: {{- include "sightline.runFailurePolicy" .root | nindent 2 }}
template: {{- toYaml .pod | nindent 2 }}
{{- end -}}

{{/* Exit codes of the client: 2 is a wrong specification, 3 a run that ended with some items failed, and 4 one that failed or was
cancelled: none gets better by trying again, which would find the run as it ended. */}}
{{- define "sightline.runFailurePolicy" -}}
rules:
  - action: FailJob
    onExitCodes: {containerName: run, operator: In, values: [2, 3, 4]}
  - action: Ignore
    onPodConditions: [{type: DisruptionTarget, status: "True"}]
{{- end -}}
