{{/* Names. A release called flashback-rotator needs no doubled name. */}}
{{- define "flashback-rotator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "flashback-rotator.fullname" -}}
{{- $name := include "flashback-rotator.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "flashback-rotator.serviceAccountName" -}}
{{- default (ternary (include "flashback-rotator.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{/* Labels. The selector never changes during the life of a release. */}}
{{- define "flashback-rotator.selector" -}}
app.kubernetes.io/name: {{ include "flashback-rotator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "flashback-rotator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "flashback-rotator.selector" . }}
app.kubernetes.io/version: {{ default .Chart.AppVersion .Values.image.tag | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Without the chart's version: a new chart with the same image restarts nothing. */}}
{{- define "flashback-rotator.podLabels" -}}
{{ include "flashback-rotator.selector" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "flashback-rotator.image" -}}
{{- $repository := required "image.repository is not set: push the image to your registry, and name it here" .Values.image.repository }}
{{- $tag := default .Chart.AppVersion .Values.image.tag }}
{{- $repository }}:{{ $tag }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* What a running daemon cannot take over without a restart, and so the one part of the configuration
     that the chart writes. */}}
{{- define "flashback-rotator.kubernetesToml" -}}
# Written by the chart: [http] from `http`, [state] from `state`.
[http]
listen = "{{ .Values.http.address }}:{{ int .Values.http.port }}"

[state]
{{- if eq .Values.state.type "sqlite" }}
url = "sqlite:///var/lib/flashback-rotator/state.db"
{{- else }}
url = "{{ required "state.postgresql.url is not set" .Values.state.postgresql.url }}"
{{- if .Values.state.postgresql.passwordSecret.name }}
password = { file = "/run/secrets/postgresql/password" }
{{- end }}
{{- with .Values.state.postgresql.lease }}
lease = "{{ . }}"
{{- end }}
{{- end }}
{{- end }}

{{/* Where PostgreSQL listens, by the URL: a number for each host that it names. */}}
{{- define "flashback-rotator.postgresqlPorts" -}}
{{- $rest := regexReplaceAll "^[a-z]+://([^/@?]*@)?" .Values.state.postgresql.url "" }}
{{- $hosts := index (regexSplit "[/?]" $rest -1) 0 }}
{{- $ports := list }}
{{- range splitList "," $hosts }}
{{- $ports = append $ports (regexFind "[0-9]+$" (regexFind ":[0-9]+$" .) | default "5432") }}
{{- end }}
{{- $ports | uniq | join "," }}
{{- end }}

{{/* Mistakes that the schema cannot see, or has no good words for. */}}
{{- define "flashback-rotator.refuse" -}}
{{- if and (eq .Values.state.type "sqlite") (gt (int .Values.replicaCount) 1) }}
{{- fail (printf "replicaCount is %d, and a SQLite file is one process's: set state.type=postgresql and state.postgresql.url, or replicaCount=1" (int .Values.replicaCount)) }}
{{- end }}
{{- with .Values.state.postgresql.ca }}
{{- if and .existingConfigMap .existingSecret }}
{{- fail "state.postgresql.ca.existingConfigMap and state.postgresql.ca.existingSecret are both set: use one of them" }}
{{- end }}
{{- end }}
{{- if and .Values.config .Values.existingConfigMap }}
{{- fail "config and existingConfigMap are both set: use one of them" }}
{{- end }}
{{- if not (or .Values.config .Values.existingConfigMap) }}
{{- fail "there is no configuration: write one and add --set-file config=config.toml, or name an existingConfigMap" }}
{{- end }}
{{- range $table, $value := dict "http" "http.port" "state" "state" }}
{{- if regexMatch (printf "(?m)^[ \\t]*(\\[[ \\t]*%s[ \\t]*[].]|%s[ \\t]*[.=])" $table $table) $.Values.config }}
{{- fail (printf "config has a table [%s], which the chart writes itself: take it out, and see the value `%s`" $table $value) }}
{{- end }}
{{- end }}
{{- if and .Values.restartOnConfigChange (eq .Values.state.type "sqlite") }}
{{- fail "restartOnConfigChange would stop the one pod before a new one has read `config`, and a mistake there would leave none: leave it out, as a running daemon takes a changed `config` over and refuses a broken one, or set state.type=postgresql" }}
{{- end }}
{{- if and .Values.restartOnConfigChange .Values.existingConfigMap }}
{{- fail "restartOnConfigChange needs config: the chart cannot see into existingConfigMap" }}
{{- end }}
{{- if and .Values.ca.existingConfigMap .Values.ca.existingSecret }}
{{- fail "ca.existingConfigMap and ca.existingSecret are both set: use one of them" }}
{{- end }}
{{- if and .Values.ca.replaceSystem (not (or .Values.ca.existingConfigMap .Values.ca.existingSecret)) }}
{{- fail "ca.replaceSystem needs ca.existingConfigMap or ca.existingSecret" }}
{{- end }}
{{- if and .Values.serviceAccount.awsRoleArn (not .Values.serviceAccount.create) }}
{{- fail "serviceAccount.awsRoleArn needs serviceAccount.create: annotate your own service account yourself" }}
{{- end }}
{{- end }}
