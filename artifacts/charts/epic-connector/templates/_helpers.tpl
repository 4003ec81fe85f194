{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}

{{- /* The name of an image: (list $ .Values.PROGRAM.image). */ -}}
{{- define "epic.image" -}}
{{- $root := index . 0 }}{{ $image := index . 1 -}}
{{- with $root.Values.image.registry }}{{ . }}/{{ end -}}
{{- $image.repository }}:{{ coalesce $image.tag $root.Values.image.tag $root.Chart.AppVersion -}}
{{- end -}}

{{- /* The nodes' pods restart when their settings change. */ -}}
{{- define "epic.settingsHash" -}}
{{- list .Values.account .Values.cluster | toJson | sha256sum | trunc 10 -}}
{{- end -}}
