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
{{- if int .Values.trustedProxies }}
- name: GATEWAY_TRUSTED_PROXIES
  value: {{ .Values.trustedProxies | quote }}
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
{{- with .Values.aws.existingSecret }}
{{- $secret := . }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ . }}
{{- end }}
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
{{- if .Values.redis.caExistingSecret }}
- name: GATEWAY_REDIS_CA_FILE
  value: /etc/transcribe-gateway-redis/ca.crt
{{- end }}
{{- end }}
{{- end -}}
