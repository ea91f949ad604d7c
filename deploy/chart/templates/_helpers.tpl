{{/* The name of the objects. */}}
{{- define "vsecm-scout.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels that select the pods, and never change. */}}
{{- define "vsecm-scout.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels of every object. */}}
{{- define "vsecm-scout.labels" -}}
{{ include "vsecm-scout.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "vsecm-scout.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "vsecm-scout.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The Secret that cert-manager writes. */}}
{{- define "vsecm-scout.issuedSecretName" -}}
{{- printf "%s-tls" (include "vsecm-scout.fullname" .) -}}
{{- end -}}

{{/* Not empty where the certificate is made by hand. */}}
{{- define "vsecm-scout.madeByHand" -}}
{{- if or .Values.tls.existingSecret (not .Values.tls.certManager.enabled) }}yes{{ end -}}
{{- end -}}

{{/* The Secret that the pods mount. One that tls.existingSecret names has a name of its own: else an
     upgrade that forgets the value would let cert-manager write over it where `lookup` sees no cluster. */}}
{{- define "vsecm-scout.tlsSecretName" -}}
{{- $issued := include "vsecm-scout.issuedSecretName" . -}}
{{- if and .Values.tls.certManager.enabled (eq .Values.tls.existingSecret $issued) -}}
{{- fail (printf "tls.existingSecret: %s is the name that the chart gives to cert-manager's Secret. Store your certificate in a Secret of another name." $issued) -}}
{{- end -}}
{{- default $issued .Values.tls.existingSecret -}}
{{- end -}}

{{- define "vsecm-scout.tokenNamespace" -}}
{{- default .Release.Namespace .Values.token.namespace -}}
{{- end -}}

{{/* The name that callers in this cluster know the service by. */}}
{{- define "vsecm-scout.host" -}}
{{- printf "%s.%s.svc.cluster.local" (include "vsecm-scout.fullname" .) .Release.Namespace -}}
{{- end -}}

{{/* What Pod Security "restricted" demands of a container, and a root filesystem that is read-only. */}}
{{- define "vsecm-scout.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The same of a pod. The user is that of the image. */}}
{{- define "vsecm-scout.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* The labels of the pod of `helm test`, which is none of the Service's. */}}
{{- define "vsecm-scout.testLabels" -}}
app.kubernetes.io/name: {{ include "vsecm-scout.fullname" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
