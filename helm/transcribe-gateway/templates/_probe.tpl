{{/*
The name of the CronJob, which rules/probe.yaml finds it by: it ends in that of the chart and `-probe`, and is no longer than
the 52 characters that Kubernetes grants.
*/}}
{{- define "gateway.probeName" -}}
{{- $name := include "gateway.fullname" . -}}
{{- if and (hasSuffix .Chart.Name $name) (le (len $name) 46) -}}
{{- printf "%s-probe" $name -}}
{{- else -}}
{{- printf "%s-%s-probe" (.Release.Name | trunc 27 | trimSuffix "-") .Chart.Name -}}
{{- end -}}
{{- end -}}

{{/* Not those of the pods that serve: no Service may find a probe. */}}
{{- define "gateway.probeSelectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-probe
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "gateway.probeLabels" -}}
{{ include "gateway.probeSelectorLabels" . }}
app.kubernetes.io/component: probe
{{ include "gateway.originLabels" . }}
{{- end -}}

{{/* The Secret whose token lets the probe in; that with the key that the chart has made, if no other is named. */}}
{{- define "gateway.probeSecret" -}}
{{- if .Values.probe.existingSecret -}}
{{- .Values.probe.existingSecret -}}
{{- else if and (eq .Values.auth.mode "api_key") (not .Values.auth.existingSecret) -}}
{{- include "gateway.keysSecret" . -}}
{{- end -}}
{{- end -}}

{{- define "gateway.probeHasDoor" -}}
{{- if or (eq .Values.auth.mode "none") (include "gateway.probeSecret" .) }}yes{{ end -}}
{{- end -}}

{{/* Behind a Service without an address of its own are the ports of the pods. */}}
{{- define "gateway.serviceUrl" -}}
{{- printf "http://%s.%s:%d" (include "gateway.fullname" .) .Release.Namespace (ternary .Values.ports.http .Values.service.port .Values.service.headless | int) -}}
{{- end -}}

{{- define "gateway.probeUrl" -}}
{{- .Values.probe.url | default (include "gateway.serviceUrl" .) -}}
{{- end -}}

{{/* A pod that speaks the bundled sample to the gateway, and succeeds when words come back. */}}
{{- define "gateway.probePod" -}}
{{ include "gateway.podSecurity" . }}
restartPolicy: Never
containers:
  - name: probe
    image: {{ include "gateway.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args:
      - probe
      - --url
      - {{ include "gateway.probeUrl" . | quote }}
      - --timeout-ms
      - {{ mul .Values.probe.timeoutSeconds 1000 | quote }}
    {{- with include "gateway.probeSecret" . }}
    env:
      - name: TRANSCRIBE_GATEWAY_TOKEN
        valueFrom:
          secretKeyRef:
            name: {{ . }}
            key: {{ if $.Values.probe.existingSecret }}{{ $.Values.probe.existingSecretKey }}{{ else }}key{{ end }}
    {{- end }}
    resources:
      {{- toYaml .Values.probe.resources | nindent 6 }}
    {{- include "gateway.containerSecurity" . | nindent 4 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
