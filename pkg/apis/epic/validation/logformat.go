// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// logOperators are the command operators of Envoy that take no argument and describe a
// request or connection. Others read files, the environment, or the state of filters.
var logOperators = sets.New(
	"BYTES_RECEIVED", "BYTES_SENT", "CONNECTION_ID", "CONNECTION_TERMINATION_DETAILS", "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_HEADER_BYTES_RECEIVED", "DOWNSTREAM_HEADER_BYTES_SENT",
	"DOWNSTREAM_LOCAL_ADDRESS", "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_LOCAL_PORT", "DOWNSTREAM_PEER_FINGERPRINT_256",
	"DOWNSTREAM_PEER_ISSUER", "DOWNSTREAM_PEER_SERIAL", "DOWNSTREAM_PEER_SUBJECT", "DOWNSTREAM_PEER_URI_SAN", "DOWNSTREAM_REMOTE_ADDRESS",
	"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_REMOTE_PORT", "DOWNSTREAM_TLS_CIPHER", "DOWNSTREAM_TLS_VERSION",
	"DOWNSTREAM_TRANSPORT_FAILURE_REASON", "DOWNSTREAM_WIRE_BYTES_RECEIVED", "DOWNSTREAM_WIRE_BYTES_SENT", "DURATION", "GRPC_STATUS",
	"GRPC_STATUS_NUMBER", "PROTOCOL", "REQUESTED_SERVER_NAME", "REQUEST_DURATION", "REQUEST_TX_DURATION", "RESPONSE_CODE",
	"RESPONSE_CODE_DETAILS", "RESPONSE_DURATION", "RESPONSE_FLAGS", "RESPONSE_FLAGS_LONG", "RESPONSE_TX_DURATION", "ROUTE_NAME",
	"START_TIME", "STREAM_ID", "UPSTREAM_CLUSTER", "UPSTREAM_CLUSTER_RAW", "UPSTREAM_CONNECTION_ID", "UPSTREAM_HOST",
	"UPSTREAM_LOCAL_ADDRESS", "UPSTREAM_PROTOCOL", "UPSTREAM_REMOTE_ADDRESS", "UPSTREAM_REQUEST_ATTEMPT_COUNT", "UPSTREAM_TLS_VERSION",
	"UPSTREAM_TRANSPORT_FAILURE_REASON", "UPSTREAM_WIRE_BYTES_RECEIVED", "UPSTREAM_WIRE_BYTES_SENT",
)

var (
	// logHeaderForm is an operator that reads a header, or else another one, and perhaps
	// cuts it short.
	logHeaderForm = regexp.MustCompile(`^(REQ|RESP|TRAILER)\(:?[A-Za-z0-9_.-]{1,128}(\?:?[A-Za-z0-9_.-]{1,128})?\)(:[1-9][0-9]{0,3})?$`)
	// logTimeForm is the start of a request in a form of strftime, with Envoy's fractions
	// of a second.
	logTimeForm = regexp.MustCompile(`^START_TIME\((%[YmdHMSTFZzeabAByjs]|%[1-9]?f|%[369]s|[-A-Za-z0-9 :./_+,]){1,64}\)$`)
	// logMetadataForm is what the metadata of an endpoint has.
	logMetadataForm = regexp.MustCompile(`^UPSTREAM_METADATA\(epic:(node|cluster)\)$`)
)

// LogOperators returns the command operators that do not need an argument, in order.
func LogOperators() []string { return sets.List(logOperators) }

// logFormat checks a text with command operators of Envoy.
func logFormat(path *field.Path, s string, most int) field.ErrorList {
	if errs := text(path, s, most); len(errs) > 0 {
		return errs
	}
	for rest := s; ; {
		_, after, found := strings.Cut(rest, "%")
		if !found {
			return nil
		}
		if next, escaped := strings.CutPrefix(after, "%"); escaped {
			rest = next
			continue
		}
		operator, next, closed := cutOperator(after)
		if !closed {
			return field.ErrorList{field.Invalid(path, quoted(s), "has an unterminated command operator: write %% for a percent sign, or end the operator with %")}
		}
		if !logOperators.Has(operator) && !logHeaderForm.MatchString(operator) && !logTimeForm.MatchString(operator) && !logMetadataForm.MatchString(operator) {
			return field.ErrorList{field.Invalid(path, quoted(s), fmt.Sprintf(
				"has the command operator %%%s%%, which is not supported: use those about the request, its response and its connections, such as %%REQ(:METHOD)%%, %%RESP(CONTENT-TYPE)%%, %%RESPONSE_CODE%%, %%DURATION%% or %%START_TIME%%", quoted(operator)))}
		}
		rest = next
	}
}

// cutOperator returns the operator at the start of a text and what follows its percent
// sign. An argument in parentheses may have percent signs of its own.
func cutOperator(s string) (operator, rest string, closed bool) {
	end := strings.IndexByte(s, '%')
	if open := strings.IndexByte(s, '('); open >= 0 && open < end {
		end = -1
		if n := strings.IndexByte(s[open:], ')'); n >= 0 {
			if m := strings.IndexByte(s[open+n:], '%'); m >= 0 {
				end = open + n + m
			}
		}
	}
	if end < 0 {
		return "", "", false
	}
	return s[:end], s[end+1:], true
}
