{{/*
Names that values do not have here: those of earlier versions, and those that other charts have for the same. The schema lets
them pass, so that whoever uses one is told the right one.
*/}}
{{- define "gateway.renamedValues" -}}
replicas: replicaCount
env: extraEnv
image.name: image.repository
redis.uri: redis.url
autoscaling.enabled: autoscaling.mode
ingress.ingressClassName: ingress.className
httpRoute.hosts: httpRoute.hostnames
serviceAccount.roleArn: serviceAccount.annotations
metrics.serviceMonitor: serviceMonitor
{{- end -}}

{{- define "gateway.checkRenamed" -}}
{{- $values := .Values -}}
{{- range $old, $new := include "gateway.renamedValues" . | fromYaml -}}
{{- $place := $values -}}
{{- range splitList "." $old -}}
{{- if kindIs "map" $place -}}
{{- $place = get $place . -}}
{{- else -}}
{{- $place = "" -}}
{{- end -}}
{{- end -}}
{{- if ne (toString $place) "" -}}
{{- fail (printf "%s is called %s here. Rename it." $old $new) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "gateway.checkScale" -}}
{{- $name := ternary "autoscaling.maxReplicas" "replicaCount" (eq (include "gateway.isScaled" .) "yes") -}}
{{- if not (include "gateway.hasRedis" .) -}}
{{- range $name, $count := dict $name (include "gateway.maxPods" . | int) "workers" (int .Values.workers) -}}
{{- if gt $count 1 -}}
{{- fail (printf "%s is %d, which needs Redis: a client that returns may meet another process, which finds its session there. Set redis.existingSecret or redis.url." $name $count) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if include "gateway.isScaled" . -}}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas is %d, more than autoscaling.maxReplicas, which is %d." (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if and (eq .Values.autoscaling.mode "keda") (not .Values.autoscaling.keda.serverAddress) -}}
{{- fail "autoscaling.mode is keda, which needs autoscaling.keda.serverAddress: the Prometheus that KEDA asks for the sessions." -}}
{{- end -}}
{{- end -}}
{{- if and .Values.autoscaling.prometheusAdapter.createConfigMap (ne .Values.autoscaling.mode "prometheus-adapter") -}}
{{- fail (printf "autoscaling.prometheusAdapter.createConfigMap does nothing while autoscaling.mode is %s." .Values.autoscaling.mode) -}}
{{- end -}}
{{- end -}}

{{/* How clients get in, and who else does. */}}
{{- define "gateway.checkDoors" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.enabled needs ingress.hosts: without a host it would take the traffic of everybody else." -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs: the Gateway that it belongs to." -}}
{{- end -}}
{{- if and (ne .Values.httpRoute.implementation "other") (not .Values.httpRoute.enabled) -}}
{{- fail "httpRoute.implementation does nothing without httpRoute.enabled." -}}
{{- end -}}
{{- with .Values.networkPolicy -}}
{{- if and .enabled (not .admin) -}}
{{- if or $.Values.serviceMonitor.enabled (include "gateway.isScaled" $) -}}
{{- fail "networkPolicy.admin is empty, so that Prometheus cannot scrape the pods. Name where it is." -}}
{{- end -}}
{{- end -}}
{{- if and .egress.enabled (not .enabled) -}}
{{- fail "networkPolicy.egress.enabled does nothing without networkPolicy.enabled." -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "gateway.checkProbe" -}}
{{- if and .Values.probe.enabled (eq (include "gateway.probeHasDoor" .) "") -}}
{{- fail (printf "probe.enabled needs probe.existingSecret: a Secret with %s that lets the probe in." (ternary "a token" "an API key" (eq .Values.auth.mode "jwt"))) -}}
{{- end -}}
{{- if and .Values.probe.existingSecret (eq .Values.auth.mode "none") -}}
{{- fail "probe.existingSecret does nothing while auth.mode is none." -}}
{{- end -}}
{{- end -}}

{{/* Refuses what values.schema.json cannot: values that do not go together. */}}
{{- define "gateway.checkValues" -}}
{{- $values := .Values -}}
{{- include "gateway.checkRenamed" . -}}
{{- include "gateway.checkScale" . -}}
{{- include "gateway.checkDoors" . -}}
{{- include "gateway.checkProbe" . -}}
{{- if and .Values.redis.url .Values.redis.existingSecret -}}
{{- fail "redis.url and redis.existingSecret are both set. Keep one." -}}
{{- end -}}
{{- if and .Values.redis.caExistingSecret (not (include "gateway.hasRedis" .)) -}}
{{- fail "redis.caExistingSecret does nothing without redis.existingSecret or redis.url." -}}
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
