{{/* The parts that the daemon's pod and the test's pod share.

     Numbers go through int64: Helm holds them as floats, and would write a large one as 1.00065e+09. */}}
{{- define "flashback-rotator.podSecurityContext" -}}
runAsNonRoot: true
{{- with .Values.podSecurityContext.runAsUser }}
runAsUser: {{ int64 . }}
{{- end }}
{{- with .Values.podSecurityContext.runAsGroup }}
runAsGroup: {{ int64 . }}
{{- end }}
{{- with .Values.podSecurityContext.fsGroup }}
fsGroup: {{ int64 . }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
{{- with .Values.podSecurityContext.supplementalGroups }}
supplementalGroups:
  {{- range . }}
  - {{ int64 . }}
  {{- end }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "flashback-rotator.securityContext" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop:
    - ALL
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "flashback-rotator.env" -}}
# So that `kubectl exec … -- flashback-rotator status` needs no arguments.
- name: FLASHBACK_ROTATOR_CONFIG
  value: /etc/flashback-rotator
- name: RUST_LIB_BACKTRACE
  value: "0"
{{- if .Values.ca.replaceSystem }}
- name: SSL_CERT_FILE
  value: /run/ca/ca.crt
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What is needed to sign in to PostgreSQL, as sources of one projected volume. */}}
{{- define "flashback-rotator.postgresqlFiles" -}}
{{- if eq .Values.state.type "postgresql" }}
{{- with .Values.state.postgresql }}
{{- if .passwordSecret.name }}
- secret:
    name: {{ .passwordSecret.name }}
    items:
      - key: {{ .passwordSecret.key }}
        path: password
{{- end }}
{{- if or .ca.existingConfigMap .ca.existingSecret }}
- {{ ternary "configMap" "secret" (not (empty .ca.existingConfigMap)) }}:
    name: {{ default .ca.existingSecret .ca.existingConfigMap }}
    items:
      - key: {{ .ca.key }}
        path: ca.crt
{{- end }}
{{- with .clientCertificate.existingSecret }}
- secret:
    name: {{ . }}
    items:
      - key: tls.crt
        path: tls.crt
      - key: tls.key
        path: tls.key
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "flashback-rotator.volumeMounts" -}}
# Whole directories: a file mounted by subPath would never be updated.
- name: config
  mountPath: /etc/flashback-rotator
  readOnly: true
{{- range $directory, $_ := .Values.secrets }}
- name: secret-{{ $directory }}
  mountPath: /run/secrets/{{ $directory }}
  readOnly: true
{{- end }}
{{- if include "flashback-rotator.postgresqlFiles" . }}
- name: postgresql
  mountPath: /run/secrets/postgresql
  readOnly: true
{{- end }}
{{- if or .Values.ca.existingConfigMap .Values.ca.existingSecret }}
- name: ca
  mountPath: /run/ca
  readOnly: true
{{- end }}
{{- if .Values.serviceAccount.vaultToken.enabled }}
- name: vault-token
  mountPath: /run/vault
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "flashback-rotator.volumes" -}}
- name: config
  projected:
    sources:
      - configMap:
          name: {{ include "flashback-rotator.fullname" . }}
      {{- with .Values.existingConfigMap }}
      - configMap:
          name: {{ . }}
      {{- end }}
{{- range $directory, $secret := .Values.secrets }}
- name: secret-{{ $directory }}
  secret:
    secretName: {{ $secret.existingSecret }}
    # The kubelet gives the files to fsGroup.
    defaultMode: 0440
    {{- if $secret.optional }}
    optional: true
    {{- end }}
    {{- with $secret.items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- with include "flashback-rotator.postgresqlFiles" . }}
- name: postgresql
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- with .Values.ca.existingConfigMap }}
- name: ca
  configMap:
    name: {{ . }}
    items:
      - key: {{ $.Values.ca.key }}
        path: ca.crt
{{- end }}
{{- with .Values.ca.existingSecret }}
- name: ca
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - key: {{ $.Values.ca.key }}
        path: ca.crt
{{- end }}
{{- if .Values.serviceAccount.vaultToken.enabled }}
- name: vault-token
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          audience: {{ .Values.serviceAccount.vaultToken.audience }}
          expirationSeconds: {{ int64 .Values.serviceAccount.vaultToken.expirationSeconds }}
          path: token
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The user's affinity, and unless it has an anti-affinity of its own, one that keeps replicas apart. It is the
     same for one replica and for many, so that scaling replaces no pod. Topology spread constraints would not do:
     a node that lacks the label of one of them, such as the zone's, is left out of them all. */}}
{{- define "flashback-rotator.affinity" -}}
{{- $apart := list }}
{{- range $topology := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
{{- $labels := include "flashback-rotator.selector" $ | fromYaml | merge (dict "app.kubernetes.io/component" "daemon") }}
{{- $term := dict "topologyKey" $topology "labelSelector" (dict "matchLabels" $labels) }}
{{- $weight := ternary 100 50 (eq $topology "kubernetes.io/hostname") }}
{{- $apart = append $apart (dict "weight" $weight "podAffinityTerm" $term) }}
{{- end }}
{{- $default := dict "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" $apart) }}
{{- toYaml (merge (dict) .Values.affinity (ternary dict $default (hasKey .Values.affinity "podAntiAffinity"))) }}
{{- end }}

{{/* Where and how it is scheduled. */}}
{{- define "flashback-rotator.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
affinity:
  {{- include "flashback-rotator.affinity" . | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
