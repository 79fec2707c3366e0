{{- define "sojourn.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "sojourn.labels" -}}
app.kubernetes.io/name: sojourn
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* What finds the pods of this release. */}}
{{- define "sojourn.selector" -}}
app.kubernetes.io/name: sojourn
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sojourn.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* A path as a key of a config map. */}}
{{- define "sojourn.key" -}}
{{- . | replace "/" "..." -}}
{{- end -}}

{{- define "sojourn.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "sojourn.mounts" -}}
- { name: workspace, mountPath: /workspace, readOnly: true }
- { name: data, mountPath: /data }
- { name: tmp, mountPath: /tmp }
{{- if .Values.tls.existingSecret }}
- { name: tls, mountPath: /etc/sojourn/tls, readOnly: true }
{{- end }}
{{- end -}}

{{- define "sojourn.environment" -}}
- { name: KAFKA_BROKERS, value: {{ .Values.kafka.brokers | quote }} }
- { name: REDIS_URL, value: {{ .Values.redis.url | quote }} }
- { name: SOJOURN_DATA, value: /data }
- { name: SOJOURN_LISTEN, value: "0.0.0.0:8080" }
{{- end -}}
