// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation/field"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const (
	maxListenerKinds = 8
	maxHostname      = 253
	maxProtocol      = 255
)

var (
	// hostnameForm is that of the Gateway API: a DNS name, perhaps with a
	// wildcard in front.
	hostnameForm = regexp.MustCompile(`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	// protocolForm is that of the Gateway API: a word, or one in a domain.
	protocolForm = regexp.MustCompile(`^([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]+)$`)
	ipv4Form     = regexp.MustCompile(`^[0-9]+(\.[0-9]+){3}$`)
)

// gateway checks the spec of a Gateway.
func gateway(path *field.Path, spec *gatewayv1.GatewaySpec) field.ErrorList {
	errs := atMost(path.Child("listeners"), len(spec.Listeners), epic.MaxListeners)
	errs = append(errs, atMost(path.Child("addresses"), len(spec.Addresses), epic.MaxGatewayAddresses)...)
	if len(errs) > 0 {
		return errs
	}
	errs = append(errs, bounded(path, spec)...)
	class := path.Child("gatewayClassName")
	if spec.GatewayClassName == "" {
		errs = append(errs, field.Required(class, "must name a gateway class"))
	}
	errs = append(errs, word(class, string(spec.GatewayClassName), maxName)...)
	if len(spec.Listeners) == 0 {
		errs = append(errs, field.Required(path.Child("listeners"), "a gateway must have a listener: add one"))
	}
	seen := map[gatewayv1.SectionName]bool{}
	for i := range spec.Listeners {
		if full(errs) {
			break
		}
		l := &spec.Listeners[i]
		at := path.Child("listeners").Index(i)
		errs = append(errs, listener(at, l)...)
		if seen[l.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), quoted(string(l.Name))))
		}
		seen[l.Name] = true
	}
	for i := range spec.Addresses {
		if full(errs) {
			break
		}
		at := path.Child("addresses").Index(i)
		errs = append(errs, word(at.Child("value"), spec.Addresses[i].Value, maxName)...)
	}
	return errs
}

func listener(path *field.Path, l *gatewayv1.Listener) field.ErrorList {
	errs := dnsName(path.Child("name"), string(l.Name))
	errs = append(errs, port(path.Child("port"), l.Port)...)
	errs = append(errs, listenerProtocol(path.Child("protocol"), string(l.Protocol))...)
	if l.Hostname != nil && *l.Hostname != "" {
		errs = append(errs, hostname(path.Child("hostname"), string(*l.Hostname))...)
	}
	if l.TLS != nil && l.TLS.Mode != nil {
		errs = append(errs, oneOf(path.Child("tls", "mode"), *l.TLS.Mode, gatewayv1.TLSModeTerminate, gatewayv1.TLSModePassthrough)...)
	}
	if r := l.AllowedRoutes; r != nil {
		at := path.Child("allowedRoutes")
		if r.Namespaces != nil && r.Namespaces.From != nil {
			errs = append(errs, oneOf(at.Child("namespaces", "from"), *r.Namespaces.From,
				gatewayv1.NamespacesFromAll, gatewayv1.NamespacesFromSelector, gatewayv1.NamespacesFromSame, gatewayv1.NamespacesFromNone)...)
		}
		errs = append(errs, atMost(at.Child("kinds"), len(r.Kinds), maxListenerKinds)...)
	}
	return errs
}

// listenerProtocol checks the form of a listener's protocol, as the Gateway API
// does. A Gateway with a listener of a protocol that is not served here is
// accepted; the listener is skipped, and a condition of the proxy says so.
func listenerProtocol(path *field.Path, s string) field.ErrorList {
	const known = "use one of HTTP, HTTPS, TLS, TCP, UDP"
	switch {
	case s == "":
		return field.ErrorList{field.Required(path, known)}
	case len(s) > maxProtocol || !protocolForm.MatchString(s):
		return field.ErrorList{field.Invalid(path, quoted(s), fmt.Sprintf(
			"must be at most %d letters, digits and dashes, optionally after a domain and a slash: %s", maxProtocol, known))}
	}
	return nil
}

// hostname checks a name for which requests come.
func hostname(path *field.Path, s string) field.ErrorList {
	if len(s) > maxHostname || !hostnameForm.MatchString(s) {
		return field.ErrorList{field.Invalid(path, quoted(s),
			fmt.Sprintf("must be a DNS name of at most %d lowercase characters, such as www.example.com or *.example.com", maxHostname))}
	}
	if ipv4Form.MatchString(s) {
		return field.ErrorList{field.Invalid(path, s, "must be a DNS name, not an IP address: write a name, or leave it out")}
	}
	return nil
}

// preciseHostname is hostname without a wildcard.
func preciseHostname(path *field.Path, s string) field.ErrorList {
	if errs := hostname(path, s); len(errs) > 0 {
		return errs
	}
	if s[0] == '*' {
		return field.ErrorList{field.Invalid(path, s, "must be one DNS name: write it without the wildcard")}
	}
	return nil
}
