{{/* The alerts. Each has its page in docs/runbooks. Takes root and of (monitoring.prometheusRule). */}}
{{- define "sightline.alerts" -}}
{{- $where := printf "release=%q,namespace=%q" .root.Release.Name .root.Release.Namespace -}}
{{- $alerts := list -}}
{{- $called := list "coordinator" -}}
{{- if .root.Values.gateway.enabled }}{{ $called = append $called "gateway" }}{{ end -}}
{{- if .root.Values.encoder.enabled }}{{ $called = append $called "encoder" }}{{ end -}}
{{- range $component := $called -}}
{{- $alerts = append $alerts (dict
  "alert" (printf "Sightline%sDown" (title $component))
  "expr" (printf "absent(sightline_ready{job=%q,%s} == 1)" $component $where)
  "for" "3m" "severity" "critical"
  "summary" (printf "No %s is ready." $component)) -}}
{{- end -}}
{{- $alerts = concat $alerts (list
  (dict "alert" "SightlineSearchesFail"
    "expr" (include "sightline.searchesFail" $where)
    "for" "5m" "severity" "critical"
    "summary" "More than 5 % of searches fail: {{ $value | humanizePercentage }}.")
  (dict "alert" "SightlineSearchesSlow"
    "expr" (printf "histogram_quantile(0.99, sum by (le) (rate(sightline_gateway_search_seconds_bucket{%s,outcome=~\"ok|cancelled|unavailable|internal\"}[10m]))) > 2" $where)
    "for" "15m" "severity" "warning"
    "summary" "One search in a hundred takes longer than {{ $value | humanizeDuration }}.")
  (dict "alert" "SightlineItemsFail"
    "expr" (printf "sum(rate(sightline_worker_items_total{%s,outcome=\"failed\"}[10m])) / sum(rate(sightline_worker_items_total{%s}[10m])) > 0.1" $where $where)
    "for" "10m" "severity" "warning"
    "summary" "More than 10 % of items fail: {{ $value | humanizePercentage }}.")
  (dict "alert" "SightlineWorkersStalled"
    "expr" (printf "sum by (pool, pod) (sightline_worker_shards{%s}) > 0 unless (sum by (pool, pod) (rate(sightline_worker_items_total{%s}[7m])) > 0 or sum by (pool, pod) (rate(sightline_worker_batch_items_count{%s}[7m])) > 0)" $where $where $where)
    "for" "7m" "severity" "critical"
    "summary" "{{ $labels.pod }} of pool {{ $labels.pool }} holds {{ $value }} shards, and neither computes a batch nor ends an item.")
  (dict "alert" "SightlineEngineRestarts"
    "expr" (printf "sum by (pool, pod) (increase(sightline_worker_engine_restarts_total{%s}[15m])) > 3" $where)
    "for" "0m" "severity" "warning"
    "summary" "The engine of {{ $labels.pod }} died {{ $value | humanize }} times in 15 minutes.")
  (dict "alert" "SightlineRunFailed"
    "expr" (printf "sum by (reason) (increase(sightline_coordinator_runs_stopped_total{%s,reason!=\"cancelled\"}[15m])) > 0 or sum by (reason) (increase(sightline_worker_runs_stopped_total{%s}[15m])) > 0" $where $where)
    "for" "0m" "severity" "warning"
    "summary" "A run failed within the last 15 minutes: {{ $labels.reason }}.")
  (dict "alert" "SightlinePlanningWaits"
    "expr" (printf "sum(rate(sightline_coordinator_links_total{%s,outcome=~\"waiting|dataset_unreadable\"}[10m])) > 0 unless sum(rate(sightline_coordinator_links_total{%s,outcome=\"followed\"}[10m])) > 0" $where $where)
    "for" "15m" "severity" "warning"
    "summary" "Runs are not planned: the dataset or the state root cannot be read, or a newer version wrote what is there.")
  (dict "alert" "SightlineCallsRefused"
    "expr" (printf "sum by (job) (rate(rpc_server_call_duration_seconds_count{%s,rpc_response_status_code=\"RESOURCE_EXHAUSTED\"}[5m])) > 0" $where)
    "for" "10m" "severity" "warning"
    "summary" "The {{ $labels.job }} refuses calls because it has too many.")
  (dict "alert" "SightlineVersionsDiffer"
    "expr" (printf "count(count by (version) (sightline_build_info{%s})) > 1" $where)
    "for" "1h" "severity" "warning"
    "summary" "{{ $value }} versions run side by side for an hour.")) -}}
{{- if .of.rabbitmqMetrics -}}
{{- $vhost := include "sightline.vhost" .root -}}
{{- $alerts = concat $alerts (list
  (dict "alert" "SightlineDeadLetters"
    "expr" (printf "max by (vhost, queue) (rabbitmq_queue_messages{vhost=%q,queue=~\"sightline[.].*[.]dead\"}) > 0" $vhost)
    "for" "30m" "severity" "warning"
    "summary" "{{ $value }} messages lie in {{ $labels.queue }}.")
  (dict "alert" "SightlineQueueNotWorked"
    "expr" (include "sightline.queueNotWorked" (dict "root" .root "where" $where "vhost" $vhost))
    "for" "15m" "severity" "critical"
    "summary" "{{ $value }} shards wait in {{ $labels.queue }} and nobody works on them.")) -}}
{{- end -}}
{{- range $alerts }}
{{- $alert := .alert }}
- alert: {{ .alert }}
  expr: |- {{- .expr | trim | nindent 4 }}
  {{- if ne .for "0m" }}
  for: {{ .for }}
  {{- end }}
  {{- /* Sums keep neither release nor namespace: without them alerts of two releases are one to Alertmanager. */}}
  labels: {severity: {{ .severity }}, release: {{ $.root.Release.Name | quote }}, namespace: {{ $.root.Release.Namespace | quote }}}
  annotations:
    summary: {{ printf "%s/%s: %s" $.root.Release.Namespace $.root.Release.Name .summary | squote }}
    {{- with $.of.runbookBase }}
    runbook_url: {{ trimSuffix "/" . }}/{{ $alert }}.md
    {{- end }}
{{- end }}
{{- end -}}

{{/* Searches that failed, as a share of all. One that its caller or the service's time limit ended counts as cancelled, whatever held it up; one
that ended so within a quarter of a second is a caller that thought better of it. Takes what selects the release. */}}
{{- define "sightline.searchesFail" -}}
{{- $seconds := "sightline_gateway_search_seconds" -}}
(
  sum(rate({{ $seconds }}_count{ {{- . }},outcome=~"unavailable|internal|resource_exhausted|cancelled"}[5m]))
  - (sum(rate({{ $seconds }}_bucket{ {{- . }},outcome="cancelled",le="0.256"}[5m])) or vector(0))
) / sum(rate({{ $seconds }}_count{ {{- . }}}[5m])) > 0.05
{{- end -}}

{{/* The broker's virtual host: other releases have queues of the same names in theirs. */}}
{{- define "sightline.vhost" -}}
{{- $given := .Values.monitoring.prometheusRule.vhost -}}
{{- $url := .Values.queue.url | default .Values.queue.management.url -}}
{{- if $given -}}
{{ $given }}
{{- else if and $url (not .Values.queue.existingSecret.name) -}}
{{ (urlParse $url).path | trimPrefix "/" | default "/" }}
{{- else -}}
{{- fail "monitoring.prometheusRule.vhost is needed with rabbitmqMetrics: the broker's virtual host, which the values do not show, its address being in a secret" -}}
{{- end -}}
{{- end -}}

{{/* Queues in which shards wait and that nobody works on, each for itself: that of a model by the items that its pools end; that of imports
by those of all pools; any other in the virtual host, for which this release has no pool (where it has none at all, that of imports, too), by
whether it has a consumer at all. Takes root, where (what selects the release) and vhost. */}}
{{- define "sightline.queueNotWorked" -}}
{{- $root := .root -}}
{{- $pools := dict -}}
{{- if .root.Values.workers }}{{ $_ := set $pools "sightline.shards.any" list }}{{ end -}}
{{- range $pool := keys (.root.Values.workers | default dict) | sortAlpha -}}
{{- $of := include "sightline.pool" (dict "root" $root "pool" $pool) | fromYaml -}}
{{- $queue := include "sightline.queue" $of.model.name -}}
{{- $_ := set $pools $queue (append (get $pools $queue | default list) $pool) -}}
{{- end -}}
{{- $known := list -}}
{{- range $queue, $of := $pools -}}
{{- $known = append $known (replace "." "[.]" $queue) }}
(max by (vhost, queue) (rabbitmq_queue_messages_ready{vhost={{ $.vhost | quote }},queue={{ $queue | quote }}}) > 0
  unless on () sum(rate(sightline_worker_items_total{ {{- $.where }}{{ with $of }},pool=~{{ join "|" . | quote }}{{ end }}}[10m])) > 0)
or
{{- end }}
(max by (vhost, queue) (rabbitmq_queue_messages_ready{vhost={{ .vhost | quote }},queue=~"sightline[.]shards[.].*",queue!~"{{ concat $known (list ".*[.]dead" ".*[.]delay[.].*") | join "|" }}"}) > 0
  unless on (vhost, queue) max by (vhost, queue) (rabbitmq_queue_consumers{vhost={{ .vhost | quote }}}) > 0)
{{- end -}}
