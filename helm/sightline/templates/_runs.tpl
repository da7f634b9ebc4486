{{/* The pod that applies a run and watches it to its end. Takes root, who and file (the ConfigMap's name). */}}
{{- define "sightline.runPod" -}}
metadata:
  labels: {{- include "sightline.labels" .who | nindent 4 }}
spec:
  {{- include "sightline.placement" .who | nindent 2 }}
  restartPolicy: Never
  containers:
    - name: run
      image: {{ include "sightline.image" (dict "root" .root "name" .root.Values.image.names.cli) }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      # Tried again, it finds the run that it made: a job's name is the request's.
      args: [apply, --file, /etc/sightline/run/run.yaml, --request-id, "$(JOB_NAME)"]
      env:
        - name: JOB_NAME
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['batch.kubernetes.io/job-name']"}}
        {{- include "sightline.clientEnv" .root | nindent 8 }}
      resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 512Mi}}
      securityContext: {{- include "sightline.securityContext" .root | nindent 8 }}
      volumeMounts:
        {{- include "sightline.commonMounts" .root | nindent 8 }}
        - {name: run, mountPath: /etc/sightline/run, readOnly: true}
  volumes:
    {{- include "sightline.commonVolumes" (dict "root" .root "size" "64Mi") | nindent 4 }}
    - name: run
      configMap: {name: {{ .file }}}
{{- end -}}

{{/* Exit codes of the client: 2 is a wrong specification, and 3 a run that ended with some items failed: neither gets better
by trying again. */}}
{{- define "sightline.runFailurePolicy" -}}
rules:
  - action: FailJob
    onExitCodes: {containerName: run, operator: In, values: [2, 3]}
  - action: Ignore
    onPodConditions: [{type: DisruptionTarget, status: "True"}]
{{- end -}}
