{{/* What cert-manager is asked for, and what it is not to replace. `lookup` sees no cluster in `helm
     template`, `--dry-run=client` and Argo CD: nothing is refused there. */}}

{{/* The issuer that signs with the chart's own CA. */}}
{{- define "vsecm-scout.ownIssuer" -}}
name: {{ include "vsecm-scout.fullname" . }}-ca
kind: Issuer
group: cert-manager.io
{{- end -}}

{{/* Fails where the Secret of a Certificate is there and was not made for it, given
     (dict "namespace" … "certificate" … "secret" …): cert-manager would write over it. */}}
{{- define "vsecm-scout.takeOverNoSecret" -}}
{{- $secret := lookup "v1" "Secret" .namespace .secret -}}
{{- $annotations := dig "metadata" "annotations" dict $secret -}}
{{- if and $secret (ne (get $annotations "cert-manager.io/certificate-name") .certificate) -}}
{{- fail (printf "the Secret %s/%s is not from this chart's Certificate, and cert-manager would replace what it holds. Store what was made by hand under another name; for the service's own certificate, set tls.existingSecret to that name." .namespace .secret) -}}
{{- end -}}
{{- end -}}

{{/* Fails where the release has a certificate of another origin, and no value asks for a change to the
     chart's own CA: callers trust the CA of the one in use. */}}
{{- define "vsecm-scout.keepOrigin" -}}
{{- $issued := include "vsecm-scout.issuedSecretName" . -}}
{{- $own := fromYaml (include "vsecm-scout.ownIssuer" .) -}}
{{- $origin := "" -}}
{{- with lookup "v1" "Secret" .Release.Namespace $issued -}}
{{- $annotations := dig "metadata" "annotations" dict . -}}
{{- $issuer := dict "name" (get $annotations "cert-manager.io/issuer-name") -}}
{{- $_ := set $issuer "kind" (get $annotations "cert-manager.io/issuer-kind" | default $own.kind) -}}
{{- $_ := set $issuer "group" (get $annotations "cert-manager.io/issuer-group" | default $own.group) -}}
{{- if ne (toJson $issuer) (toJson $own) -}}
{{- $origin = printf "from the %s %s" $issuer.kind $issuer.name -}}
{{- end -}}
{{- end -}}
{{- range (lookup "apps/v1" "Deployment" .Release.Namespace "").items -}}
{{- $labels := dig "metadata" "labels" dict . -}}
{{- if and (eq (get $labels "app.kubernetes.io/name") $.Chart.Name) (eq (get $labels "app.kubernetes.io/instance") $.Release.Name) -}}
{{- range .spec.template.spec.volumes -}}
{{- if and (eq .name "tls") (ne (dig "secret" "secretName" "" .) $issued) -}}
{{- $origin = printf "in the Secret %s" (dig "secret" "secretName" "" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $origin -}}
{{- fail (printf "the certificate in use is %s. With these values cert-manager would make another, from a CA that callers may not trust. Set what was set before, which helm upgrade --reset-then-reuse-values does; or, to change to the chart's own CA, set tls.certManager.issuerRef.name=%s." $origin $own.name) -}}
{{- end -}}
{{- end -}}
