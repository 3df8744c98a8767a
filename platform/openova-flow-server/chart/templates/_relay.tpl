{{- define "flow-relay.fullname" -}}
{{- printf "%s-relay" (include "flow-server.fullname" . | trunc 57 | trimSuffix "-") -}}
{{- end -}}

{{/* The labels differ from those of the server's pods, which the Service selects. */}}
{{- define "flow-relay.selectorLabels" -}}
app.kubernetes.io/name: {{ printf "%s-relay" (include "flow-server.name" . | trunc 57 | trimSuffix "-") | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "flow-relay.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "flow-relay.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: relay
app.kubernetes.io/part-of: openova-flow
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* The whole image reference. Unless set, the tag is the server's. */}}
{{- define "flow-relay.image" -}}
{{- $image := .Values.flowRelay.image -}}
{{- $repository := default (printf "%s/proxy-ghcr/openova-io/openova/openova-flow-relay" (default "harbor.openova.io" .Values.global.imageRegistry)) $image.repository -}}
{{- if and $image.repository (or (not (regexMatch (printf "^%s(/[a-z0-9]+((\\.|__?|-+)[a-z0-9]+)*)+$" (include "flow-server.host" .)) $image.repository)) (gt (len $image.repository) 255)) -}}
{{- fail (printf "flowRelay.image.repository is %q: set it to the image's whole name without tag, such as registry.example.com/openova/openova-flow-relay, or leave it empty." $image.repository) -}}
{{- end -}}
{{- $tag := toString (default .Values.flowServer.image.tag $image.tag) -}}
{{- if or (eq $tag "latest") (not (regexMatch "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$" $tag)) -}}
{{- fail (printf "flowRelay.image.tag is %q: set it to the version of the image to run, such as %s." $tag .Chart.AppVersion) -}}
{{- end -}}
{{- if and $image.digest (not (regexMatch "^sha256:[0-9a-f]{64}$" $image.digest)) -}}
{{- fail (printf "flowRelay.image.digest is %q: set it to sha256: and 64 hexadecimal digits, or leave it empty." $image.digest) -}}
{{- end -}}
{{- printf "%s:%s" $repository $tag -}}{{- with $image.digest -}}@{{ . }}{{- end -}}
{{- end -}}

{{/* The configuration file: the values, with the server that the chart installs. */}}
{{- define "flow-relay.config" -}}
{{- $v := .Values.flowServer -}}
{{- $r := .Values.flowRelay -}}
{{- if not (and $r.config.channels $r.config.rules) -}}
{{- fail "flowRelay.config needs channels and rules, otherwise the relay sends nothing: docs/notifications.md has examples." -}}
{{- end -}}
{{- if and $v.tokens.existingSecret (not $r.token.existingSecret) -}}
{{- fail "flowRelay.token.existingSecret is empty: set it to the name of a Secret with a token whose scope is read." -}}
{{- end -}}
{{- if and $v.tls.existingSecret (not $r.serverURL) -}}
{{- fail "flowRelay.serverURL is empty while flowServer.tls.existingSecret is set: set it to an https address of the server that its certificate is valid for." -}}
{{- end -}}
{{- $url := default (printf "http://%s.%s.svc.cluster.local:%d%s" (include "flow-server.fullname" .) .Release.Namespace (int64 $v.service.port) $v.basePath) $r.serverURL -}}
{{- $server := dict "url" $url -}}
{{- if $r.token.existingSecret -}}
{{- $_ := set $server "tokenFile" (printf "/etc/openova-flow-relay/token/%s" $r.token.key) -}}
{{- end -}}
{{- merge (dict "server" $server) $r.config | toYaml -}}
{{- end -}}
