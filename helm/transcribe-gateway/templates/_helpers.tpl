{{/* The name of everything: that of the release, with the chart's unless it says so already. */}}
{{- define "gateway.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 57 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 57 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 57 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What pods are selected by. Never changed: the selector of a Deployment is fixed. */}}
{{- define "gateway.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "gateway.originLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "gateway.labels" -}}
{{ include "gateway.selectorLabels" . }}
{{ include "gateway.originLabels" . }}
{{- end -}}

{{- define "gateway.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- if .Values.image.digest -}}
{{- printf "%s:%s@%s" .Values.image.repository $tag .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}

{{- define "gateway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "gateway.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "gateway.hasRedis" -}}
{{- if or .Values.redis.url .Values.redis.existingSecret }}yes{{ end -}}
{{- end -}}

{{- define "gateway.isScaled" -}}
{{- if ne .Values.autoscaling.mode "none" }}yes{{ end -}}
{{- end -}}

{{/* The most pods that there may be, but for the one more of a rollout. */}}
{{- define "gateway.maxPods" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicaCount (eq (include "gateway.isScaled" .) "yes") -}}
{{- end -}}

{{/* What holds the API keys. */}}
{{- define "gateway.keysSecret" -}}
{{- .Values.auth.existingSecret | default (printf "%s-api-key" (include "gateway.fullname" .)) -}}
{{- end -}}

{{/* What every pod of the chart has in common: the restricted standard of pod security, and nothing of Kubernetes in it. */}}
{{- define "gateway.podSecurity" -}}
# Nothing here talks to Kubernetes; IRSA and Pod Identity bring tokens of their own.
automountServiceAccountToken: false
# The variables of a Service of this name would look like settings of the gateway.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- with .Values.runAsUser }}
  runAsUser: {{ . }}
  runAsGroup: {{ . }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "gateway.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop:
      - ALL
{{- end -}}

{{/* The port in a URL: the one that it names, or the default. Takes a dict of url and default. */}}
{{- define "gateway.portOf" -}}
{{- regexFind ":[0-9]+(/|$)" .url | trimAll ":/" | default .default -}}
{{- end -}}
