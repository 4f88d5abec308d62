{{/* The name of everything: that of the release, with the chart's unless it says so already. */}}
{{- define "gateway.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
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

{{- define "gateway.labels" -}}
{{ include "gateway.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
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

{{/* What holds the API keys. */}}
{{- define "gateway.keysSecret" -}}
{{- .Values.auth.existingSecret | default (printf "%s-api-key" (include "gateway.fullname" .)) -}}
{{- end -}}

{{/* The environment that values stand for, but for `extraEnv`. */}}
{{- define "gateway.env" -}}
- name: NODE_ENV
  value: production
- name: GATEWAY_AUTH
  value: {{ .Values.auth.mode }}
{{- if eq .Values.auth.mode "none" }}
- name: GATEWAY_AUTH_NONE_IN_PRODUCTION
  value: "yes"
{{- else if eq .Values.auth.mode "api_key" }}
- name: GATEWAY_API_KEYS_FILE
  value: /etc/transcribe-gateway/keys.json
- name: GATEWAY_TOKEN_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ include "gateway.keysSecret" . }}
      key: tokenSecret
      # Without it no tokens are minted.
      optional: true
{{- else }}
{{- with .Values.auth.existingSecret }}
- name: GATEWAY_JWT_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: jwtSecret
{{- end }}
{{- with .Values.auth.jwt.jwksUrl }}
- name: GATEWAY_JWT_JWKS_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.auth.jwt.issuer }}
- name: GATEWAY_JWT_ISSUER
  value: {{ . | quote }}
{{- end }}
{{- with .Values.auth.jwt.audience }}
- name: GATEWAY_JWT_AUDIENCE
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- with .Values.allowedOrigins }}
- name: GATEWAY_ALLOWED_ORIGINS
  value: {{ join "," . | quote }}
{{- end }}
- name: PORT
  value: {{ .Values.ports.http | quote }}
- name: GATEWAY_ADMIN_PORT
  value: {{ .Values.ports.admin | quote }}
- name: GATEWAY_WORKERS
  value: {{ .Values.workers | quote }}
- name: GATEWAY_DRAIN_TIMEOUT_MS
  value: {{ mul .Values.drain.timeoutSeconds 1000 | quote }}
- name: GATEWAY_ENGINE
  value: {{ .Values.engine }}
{{- with .Values.aws.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .Values.aws.endpoint }}
- name: GATEWAY_AWS_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- with .Values.aws.pool }}
- name: GATEWAY_AWS_POOL
  value: {{ toJson . | quote }}
{{- end }}
{{- if include "gateway.hasRedis" . }}
- name: REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.redis.existingSecret | default (printf "%s-redis" (include "gateway.fullname" .)) }}
      key: {{ if .Values.redis.existingSecret }}{{ .Values.redis.existingSecretKey }}{{ else }}url{{ end }}
{{- end }}
{{- end -}}

{{/* Refuses what values.schema.json cannot: values that do not go together. */}}
{{- define "gateway.checkValues" -}}
{{- $values := .Values -}}
{{- if not (include "gateway.hasRedis" .) -}}
{{- range $name := list "replicaCount" "workers" -}}
{{- if gt (int (get $values $name)) 1 -}}
{{- fail (printf "%s is %d, which needs Redis: a client that returns may meet another process, which finds its session there. Set redis.existingSecret or redis.url." $name (int (get $values $name))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.redis.url .Values.redis.existingSecret -}}
{{- fail "redis.url and redis.existingSecret are both set. Keep one." -}}
{{- end -}}
{{- if and (eq .Values.engine "aws") (not (or .Values.aws.region .Values.aws.pool)) -}}
{{- fail "engine is aws, which needs aws.region or aws.pool." -}}
{{- end -}}
{{- with .Values.auth.jwt -}}
{{- if eq $values.auth.mode "jwt" -}}
{{- if eq (empty .jwksUrl) (empty $values.auth.existingSecret) -}}
{{- fail "auth.mode is jwt, which needs one of auth.jwt.jwksUrl and auth.existingSecret." -}}
{{- end -}}
{{- if and .jwksUrl (not .audience) -}}
{{- fail "auth.jwt.jwksUrl needs auth.jwt.audience, or tokens for other applications of the issuer pass." -}}
{{- end -}}
{{- else if or .jwksUrl .issuer .audience -}}
{{- fail (printf "auth.jwt does nothing while auth.mode is %s." $values.auth.mode) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.auth.mode "none") .Values.auth.existingSecret -}}
{{- fail "auth.existingSecret does nothing while auth.mode is none." -}}
{{- end -}}
{{- if eq .Values.image.tag "latest" -}}
{{- fail "image.tag is latest: pods of one release would run different versions, and a roll-back would change nothing. Name a version." -}}
{{- end -}}
{{- if eq (int .Values.ports.http) (int .Values.ports.admin) -}}
{{- fail "ports.http and ports.admin are the same. The admin port must stay apart from the one for clients." -}}
{{- end -}}
{{- $taken := dict -}}
{{- range include "gateway.env" . | fromYamlArray -}}
{{- $_ := set $taken .name true -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if hasKey $taken .name -}}
{{- fail (printf "extraEnv sets %s, which another value sets. Use that one." .name) -}}
{{- end -}}
{{- $_ := set $taken .name true -}}
{{- end -}}
{{- end -}}
