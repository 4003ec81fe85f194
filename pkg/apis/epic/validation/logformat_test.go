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
		"%ENVIRONMENT(HOME)%":                         "has the operator %ENVIRONMENT(HOME)%",
		"%FILE_CONTENT(/var/run/secrets/epic/token)%": "not known here",
		"%UPSTREAM_METADATA(envoy.lb:x)%":             "not known here",
		"%DYNAMIC_METADATA(a:b)%":                     "not known here",
		"%FILTER_STATE(a)%":                           "not known here",
		"%COALESCE({\"operators\":[]})%":              "not known here",
		"%REQ(a b)%":                                  "not known here",
		"%REQ()%":                                     "not known here",
		"%REQ(A):0%":                                  "not known here",
		"%REQ(A?B?C)%":                                "not known here",
		"%REQ(A)":                                     "does not end",
		"%":                                           "does not end",
		"a%b":                                         "does not end",
		"% %":                                         "not known here",
		"%%%":                                         "does not end",
		"%START_TIME(%Q)%":                            "not known here",
		"%START_TIME(%)%":                             "not known here",
		"%START_TIME()%":                              "not known here",
		"%START_TIME(%Y)%ENVIRONMENT(A)%":             "does not end",
		"%RESPONSE_CODE(%)% %ENVIRONMENT(A)%":         "not known here",
		"%REQ(A%)%ENVIRONMENT(A)%":                    "not known here",
		"%duration%":                                  "not known here",
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
