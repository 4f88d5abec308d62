{{/* Up at once, because people wait; down slowly, because each pod that goes has its clients connect anew. */}}
{{- define "gateway.scalingBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  selectPolicy: Max
  policies:
    - type: Percent
      value: 100
      periodSeconds: 60
    - type: Pods
      value: 2
      periodSeconds: 60
scaleDown:
  # The highest number that was wanted in this time is kept.
  stabilizationWindowSeconds: {{ .Values.autoscaling.scaleDown.stabilizationSeconds }}
  selectPolicy: Max
  policies:
    - type: Pods
      value: 1
      periodSeconds: {{ .Values.autoscaling.scaleDown.secondsPerPod }}
{{- end -}}

{{/*
The number of pods for the Deployment; empty where it is not to say one. With autoscaling the number is the autoscaler's. To say
none would be right, were it not that Kubernetes puts 1 for a number that an earlier version of the manifest had and this one has
not: an upgrade that turns autoscaling on would end all pods but one. So the number that there is at the moment is kept. Where
the cluster cannot be asked (`helm template`, as Argo CD calls it) none is said.
*/}}
{{- define "gateway.replicas" -}}
{{- if include "gateway.isScaled" . -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace (include "gateway.fullname" .) -}}
{{- .spec.replicas -}}
{{- end -}}
{{- else -}}
{{- .Values.replicaCount -}}
{{- end -}}
{{- end -}}
