// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"maps"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"google.golang.org/protobuf/types/known/structpb"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Fields of every line of an access log, and those that only requests have.
var (
	connectionFields = map[string]string{
		"time":           "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
		"client":         "%DOWNSTREAM_REMOTE_ADDRESS%",
		"local_address":  "%DOWNSTREAM_LOCAL_ADDRESS%",
		"sni":            "%REQUESTED_SERVER_NAME%",
		"tls_version":    "%DOWNSTREAM_TLS_VERSION%",
		"endpoint":       "%UPSTREAM_HOST%",
		"client_node":    "%UPSTREAM_METADATA(" + MetadataKey + ":node)%",
		"client_cluster": "%UPSTREAM_METADATA(" + MetadataKey + ":cluster)%",
		"backend":        "%UPSTREAM_CLUSTER_RAW%",
		"duration_ms":    "%DURATION%",
		"bytes_received": "%BYTES_RECEIVED%",
		"bytes_sent":     "%BYTES_SENT%",
		"flags":          "%RESPONSE_FLAGS%",
		"failure":        "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
		"tls_failure":    "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
	}
	requestFields = map[string]string{
		"method":     "%REQ(:METHOD)%",
		"authority":  "%REQ(:AUTHORITY)%",
		"path":       "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
		"protocol":   "%PROTOCOL%",
		"status":     "%RESPONSE_CODE%",
		"details":    "%RESPONSE_CODE_DETAILS%",
		"request_id": "%REQ(X-REQUEST-ID)%",
		"user_agent": "%REQ(USER-AGENT)%",
		"forwarded":  "%REQ(X-FORWARDED-FOR)%",
		"grpc":       "%GRPC_STATUS%",
		"attempts":   "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
	}
)

// accessLog writes a line to standard output for each request or connection, in JSON
// unless the edge settings specify another format. route is the name of the route for
// connections; for requests, Envoy knows it.
func (t *translation) accessLog(route string, requests bool) []*accesslogv3.AccessLog {
	var format *corev3.SubstitutionFormatString
	switch log := &t.edge.AccessLog; log.Format {
	case epicv1.AccessLogNone:
		return nil
	case epicv1.AccessLogText:
		format = &corev3.SubstitutionFormatString{Format: &corev3.SubstitutionFormatString_TextFormatSource{
			TextFormatSource: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: log.Text + "\n"}},
		}}
	default:
		format = t.jsonLine(route, requests, log.Fields)
	}
	return []*accesslogv3.AccessLog{{
		Name: "envoy.access_loggers.stdout",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(&streamv3.StdoutAccessLog{
			AccessLogFormat: &streamv3.StdoutAccessLog_LogFormat{LogFormat: format},
		})},
	}}
}

// jsonLine returns the format of a JSON line with the default fields and further ones.
func (t *translation) jsonLine(route string, requests bool, further []epicv1.AccessLogField) *corev3.SubstitutionFormatString {
	fields := maps.Clone(connectionFields)
	if requests {
		maps.Copy(fields, requestFields)
		route = "%ROUTE_NAME%"
	}
	fields["route"] = route
	for _, f := range further {
		if f.Value == "" {
			delete(fields, f.Name)
		} else {
			fields[f.Name] = f.Value
		}
	}
	fields["account"] = literal(t.account)
	fields["proxy"] = literal(t.proxy.Kind + "/" + t.proxy.Name)
	format := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for name, value := range fields {
		format.Fields[name] = structpb.NewStringValue(value)
	}
	return &corev3.SubstitutionFormatString{
		Format:          &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: format},
		OmitEmptyValues: true,
	}
}
