{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}

{{- /* The name of an image: (list $ .Values.PROGRAM.image). */ -}}
{{- define "epic.image" -}}
{{- $root := index . 0 }}{{ $image := index . 1 -}}
{{- with $root.Values.image.registry }}{{ . }}/{{ end -}}
{{- $image.repository }}:{{ coalesce $image.tag $root.Values.image.tag $root.Chart.AppVersion -}}
{{- end -}}

{{- /* A Job can't be changed: with other values it gets another name. */ -}}
{{- define "epic.hash" -}}
{{- list .Values .Chart.AppVersion | toJson | sha256sum | trunc 8 -}}
{{- end -}}

{{- /* Another audit policy is another ConfigMap. */ -}}
{{- define "epic.auditHash" -}}
{{- list .Values.audit .Chart.AppVersion | toJson | sha256sum | trunc 10 -}}
{{- end -}}
