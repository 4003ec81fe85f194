// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Operators that describe a request are accepted. Operators that read anything else are
// refused, however they are written.
func TestLogFormat(t *testing.T) {
	for s, message := range map[string]string{
		"":                      "",
		"plain":                 "",
		"100%%":                 "",
		"%%ENVIRONMENT(PATH)%%": "",
		"%START_TIME%":          "",
		"[%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%\" %RESPONSE_CODE%": "",
		"%REQ(USER-AGENT):64% %RESP(content-type)% %TRAILER(grpc-status)%":                                             "",
		"%UPSTREAM_METADATA(epic:node)%":              "",
		"%DURATION%%DURATION%":                        "",
		"%ENVIRONMENT(HOME)%":                         "has the command operator %ENVIRONMENT(HOME)%",
		"%FILE_CONTENT(/var/run/secrets/epic/token)%": "not supported",
		"%UPSTREAM_METADATA(envoy.lb:x)%":             "not supported",
		"%DYNAMIC_METADATA(a:b)%":                     "not supported",
		"%FILTER_STATE(a)%":                           "not supported",
		"%COALESCE({\"operators\":[]})%":              "not supported",
		"%REQ(a b)%":                                  "not supported",
		"%REQ()%":                                     "not supported",
		"%REQ(A):0%":                                  "not supported",
		"%REQ(A?B?C)%":                                "not supported",
		"%REQ(A)":                                     "unterminated",
		"%":                                           "unterminated",
		"a%b":                                         "unterminated",
		"% %":                                         "not supported",
		"%%%":                                         "unterminated",
		"%START_TIME(%Q)%":                            "not supported",
		"%START_TIME(%)%":                             "not supported",
		"%START_TIME()%":                              "not supported",
		"%START_TIME(%Y)%ENVIRONMENT(A)%":             "unterminated",
		"%RESPONSE_CODE(%)% %ENVIRONMENT(A)%":         "not supported",
		"%REQ(A%)%ENVIRONMENT(A)%":                    "not supported",
		"%duration%":                                  "not supported",
		"a\nb":                                        "control characters",
	} {
		t.Run(s, func(t *testing.T) {
			path := ""
			if message != "" {
				path = "text"
			}
			expect(t, logFormat(field.NewPath("text"), s, maxText), path, message)
		})
	}
}
