// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// The bounds of edge settings that docs/limits.md lists.
const (
	maxRate         = 1_000_000
	maxThreshold    = 10
	maxErrorsInARow = 1000
	maxCheckPath    = 1024
)

// checkPathForm is a path of printable ASCII, perhaps with a query.
var checkPathForm = regexp.MustCompile(`^/[!-"$-~]*$`)

// overrides checks which parts of edge settings a group leaves to its proxies.
func overrides(path *field.Path, parts []epic.EdgePart) field.ErrorList {
	var errs field.ErrorList
	seen := map[epic.EdgePart]bool{}
	for i, p := range parts {
		if full(errs) {
			break
		}
		errs = append(errs, oneOf(path.Index(i), p, epic.EdgeAccessLog, epic.EdgeHealthCheck, epic.EdgeHTTP3, epic.EdgeOutlierDetection, epic.EdgeProxyProtocol, epic.EdgeTracing)...)
		if seen[p] {
			errs = append(errs, field.Duplicate(path.Index(i), quoted(string(p))))
		}
		seen[p] = true
	}
	return errs
}

// edge checks edge settings.
func edge(path *field.Path, e *epic.EdgeSpec) field.ErrorList {
	if e == nil {
		return nil
	}
	errs := connectionLimit(path.Child("connectionLimit"), e.ConnectionLimit)
	errs = append(errs, rateLimit(path.Child("rateLimit"), e.RateLimit)...)
	if p := e.ProxyProtocol; p != nil {
		at := path.Child("proxyProtocol")
		errs = append(errs, oneOfOrNone(at.Child("clients"), p.Clients, epic.ProxyProtocolNotExpected, epic.ProxyProtocolRequired)...)
		errs = append(errs, oneOfOrNone(at.Child("backends"), p.Backends, epic.ProxyProtocolNone, epic.ProxyProtocolV1, epic.ProxyProtocolV2)...)
	}
	if h := e.HTTP3; h != nil {
		at := path.Child("http3")
		errs = append(errs, mode(at.Child("mode"), h.Mode)...)
		errs = append(errs, timeFrom(at.Child("maxAge"), h.MaxAge, time.Second, 8760*time.Hour)...)
		if h.Mode != epic.EdgeDisabled && e.ProxyProtocol != nil && e.ProxyProtocol.Clients == epic.ProxyProtocolRequired {
			errs = append(errs, field.Invalid(at.Child("mode"), string(h.Mode), "can't be combined with proxyProtocol.clients Required, because HTTP/3 has no such header: set mode to Disabled, or proxyProtocol.clients to None"))
		}
	}
	errs = append(errs, healthCheck(path.Child("healthCheck"), e.HealthCheck)...)
	errs = append(errs, outlierDetection(path.Child("outlierDetection"), e.OutlierDetection)...)
	errs = append(errs, accessLog(path.Child("accessLog"), e.AccessLog)...)
	return append(errs, tracing(path.Child("tracing"), e.Tracing)...)
}

// groupEdge checks edge settings of a group, which names the collector of traces.
func groupEdge(path *field.Path, e *epic.EdgeSpec) field.ErrorList {
	errs := edge(path, e)
	if e != nil && e.Tracing != nil && e.Tracing.Mode != epic.EdgeDisabled && e.Tracing.Collector == nil {
		errs = append(errs, field.Required(path.Child("tracing", "collector"), "traces need a server: set it, or set mode to Disabled"))
	}
	return errs
}

// streamEdge checks edge settings of a load balancer, which knows connections and no
// requests.
func streamEdge(path *field.Path, e *epic.EdgeSpec) field.ErrorList {
	errs := edge(path, e)
	if e == nil {
		return errs
	}
	const why = "applies to HTTP, and a load balancer forwards connections: remove it, or use a gateway proxy"
	if e.HTTP3 != nil {
		errs = append(errs, field.Forbidden(path.Child("http3"), why))
	}
	if e.Tracing != nil {
		errs = append(errs, field.Forbidden(path.Child("tracing"), why))
	}
	if r := e.RateLimit; r != nil {
		if r.Requests != nil {
			errs = append(errs, field.Forbidden(path.Child("rateLimit", "requests"), why))
		}
		if r.RequestsPerClient != nil {
			errs = append(errs, field.Forbidden(path.Child("rateLimit", "requestsPerClient"), why))
		}
	}
	if h := e.HealthCheck; h != nil && (h.Type == epic.HealthCheckHTTP || h.Type == epic.HealthCheckGRPC) {
		errs = append(errs, field.Invalid(path.Child("healthCheck", "type"), string(h.Type), "applies to HTTP, and a load balancer forwards connections: use TCP or None"))
	}
	return errs
}

func mode(path *field.Path, m epic.EdgeMode) field.ErrorList {
	return oneOfOrNone(path, m, epic.EdgeEnabled, epic.EdgeDisabled)
}

// numberFrom checks a number that may be left out.
func numberFrom(path *field.Path, n *int32, least, most int32) field.ErrorList {
	if n == nil {
		return nil
	}
	return between(path, *n, least, most)
}

// timeFrom checks a time that may be left out.
func timeFrom(path *field.Path, d epic.Duration, least, most time.Duration) field.ErrorList {
	if d == "" {
		return nil
	}
	if durationForm.MatchString(string(d)) {
		if v, err := time.ParseDuration(string(d)); err == nil && v >= least && v <= most {
			return nil
		}
	}
	return field.ErrorList{field.Invalid(path, quoted(string(d)), fmt.Sprintf("must be a duration from %s to %s, such as 10s, 500ms or 1h30m: choose one in that range", short(least), short(most)))}
}

// short is a time without parts that are zero.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func connectionLimit(path *field.Path, l *epic.ConnectionLimit) field.ErrorList {
	if l == nil {
		return nil
	}
	errs := numberFrom(path.Child("perListener"), l.PerListener, 1, epic.MaxListenerConnections)
	return append(errs, numberFrom(path.Child("perBackend"), l.PerBackend, 1, epic.MaxBackendConnections)...)
}

func rateLimit(path *field.Path, l *epic.RateLimit) field.ErrorList {
	if l == nil {
		return nil
	}
	errs := rate(path.Child("requests"), l.Requests)
	errs = append(errs, rate(path.Child("requestsPerClient"), l.RequestsPerClient)...)
	return append(errs, rate(path.Child("connections"), l.Connections)...)
}

func rate(path *field.Path, r *epic.Rate) field.ErrorList {
	if r == nil {
		return nil
	}
	errs := between(path.Child("count"), r.Count, 1, maxRate)
	errs = append(errs, timeFrom(path.Child("interval"), r.Interval, 100*time.Millisecond, time.Hour)...)
	if len(errs) == 0 {
		errs = append(errs, numberFrom(path.Child("burst"), r.Burst, r.Count, maxRate)...)
	}
	return errs
}

func healthCheck(path *field.Path, h *epic.HealthCheck) field.ErrorList {
	if h == nil {
		return nil
	}
	errs := oneOfOrNone(path.Child("type"), h.Type, epic.HealthCheckHTTP, epic.HealthCheckGRPC, epic.HealthCheckTCP, epic.HealthCheckNone)
	if h.HTTP != nil {
		errs = append(errs, httpCheck(path.Child("http"), h.HTTP)...)
		errs = append(errs, settingOf(path.Child("http"), h.Type, epic.HealthCheckHTTP)...)
	}
	if h.GRPC != nil {
		at := path.Child("grpc")
		errs = append(errs, word(at.Child("service"), h.GRPC.Service, maxName)...)
		errs = append(errs, settingOf(at, h.Type, epic.HealthCheckGRPC)...)
	}
	errs = append(errs, timeFrom(path.Child("interval"), h.Interval, time.Second, time.Hour)...)
	errs = append(errs, timeFrom(path.Child("timeout"), h.Timeout, 100*time.Millisecond, time.Minute)...)
	errs = append(errs, numberFrom(path.Child("unhealthyThreshold"), h.UnhealthyThreshold, 1, maxThreshold)...)
	return append(errs, numberFrom(path.Child("healthyThreshold"), h.HealthyThreshold, 1, maxThreshold)...)
}

// settingOf checks that settings of one type of check go with that type.
func settingOf(path *field.Path, is, of epic.HealthCheckType) field.ErrorList {
	if is == "" || is == of {
		return nil
	}
	return field.ErrorList{field.Forbidden(path, fmt.Sprintf("is for type %s, and the type is %s: remove it, or change the type", of, is))}
}

func httpCheck(path *field.Path, h *epic.HTTPHealthCheck) field.ErrorList {
	var errs field.ErrorList
	if h.Path != "" && (len(h.Path) > maxCheckPath || !checkPathForm.MatchString(h.Path)) {
		errs = append(errs, field.Invalid(path.Child("path"), quoted(h.Path), fmt.Sprintf("must be a path such as /healthz, of at most %d printable ASCII characters without spaces and #: correct it", maxCheckPath)))
	}
	if h.Host != "" {
		errs = append(errs, preciseHostname(path.Child("host"), h.Host)...)
	}
	errs = append(errs, numberFrom(path.Child("minStatus"), h.MinStatus, 100, 599)...)
	errs = append(errs, numberFrom(path.Child("maxStatus"), h.MaxStatus, 100, 599)...)
	if h.MinStatus != nil && h.MaxStatus != nil && *h.MinStatus > *h.MaxStatus {
		errs = append(errs, field.Invalid(path.Child("maxStatus"), *h.MaxStatus, fmt.Sprintf("is below minStatus, which is %d, so no response would pass: raise it", *h.MinStatus)))
	}
	return errs
}

func outlierDetection(path *field.Path, o *epic.OutlierDetection) field.ErrorList {
	if o == nil {
		return nil
	}
	errs := mode(path.Child("mode"), o.Mode)
	errs = append(errs, oneOfOrNone(path.Child("errors"), o.Errors, epic.OutlierGatewayErrors, epic.OutlierServerErrors)...)
	errs = append(errs, numberFrom(path.Child("consecutiveErrors"), o.ConsecutiveErrors, 1, maxErrorsInARow)...)
	errs = append(errs, timeFrom(path.Child("interval"), o.Interval, time.Second, time.Hour)...)
	errs = append(errs, timeFrom(path.Child("baseEjectionTime"), o.BaseEjectionTime, time.Second, 24*time.Hour)...)
	errs = append(errs, timeFrom(path.Child("maxEjectionTime"), o.MaxEjectionTime, time.Second, 24*time.Hour)...)
	base, baseErr := time.ParseDuration(string(o.BaseEjectionTime))
	most, mostErr := time.ParseDuration(string(o.MaxEjectionTime))
	if baseErr == nil && mostErr == nil && most < base {
		errs = append(errs, field.Invalid(path.Child("maxEjectionTime"), quoted(string(o.MaxEjectionTime)), fmt.Sprintf("is below baseEjectionTime, which is %s: raise it", quoted(string(o.BaseEjectionTime)))))
	}
	return append(errs, numberFrom(path.Child("maxEjectionPercent"), o.MaxEjectionPercent, 1, 100)...)
}

func tracing(path *field.Path, t *epic.Tracing) field.ErrorList {
	if t == nil {
		return nil
	}
	errs := mode(path.Child("mode"), t.Mode)
	if c := t.Collector; c != nil {
		at := path.Child("collector")
		if _, err := netip.ParseAddr(c.Host); err != nil {
			errs = append(errs, preciseHostname(at.Child("host"), c.Host)...)
		}
		errs = append(errs, numberFrom(at.Child("port"), c.Port, 1, maxPort)...)
	}
	return append(errs, numberFrom(path.Child("requestsPerMillion"), t.RequestsPerMillion, 0, 1_000_000)...)
}

const (
	maxLogFields = 64
	maxLogValue  = 1024
)

// logFieldForm is the name of a field in a line of an access log.
var logFieldForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.@-]{0,62}$`)

// reservedLogFields identify the proxy that wrote a line. Tenants can't set them.
var reservedLogFields = []string{"account", "proxy"}

func accessLog(path *field.Path, l *epic.AccessLog) field.ErrorList {
	if l == nil {
		return nil
	}
	errs := oneOfOrNone(path.Child("format"), l.Format, epic.AccessLogJSON, epic.AccessLogText, epic.AccessLogNone)
	at := path.Child("text")
	switch {
	case l.Text != "" && l.Format != epic.AccessLogText:
		errs = append(errs, field.Forbidden(at, "is for format Text: remove it, or set format to Text"))
	case l.Text == "" && l.Format == epic.AccessLogText:
		errs = append(errs, field.Required(at, "format Text requires text: set the line to write"))
	case l.Text != "":
		errs = append(errs, logFormat(at, l.Text, maxText)...)
	}
	at = path.Child("fields")
	if len(l.Fields) > 0 && l.Format != epic.AccessLogJSON && l.Format != "" {
		return append(errs, field.Forbidden(at, "is for format JSON: remove it, or set format to JSON"))
	}
	if more := atMost(at, len(l.Fields), maxLogFields); len(more) > 0 {
		return append(errs, more...)
	}
	seen := map[string]bool{}
	for i, f := range l.Fields {
		if full(errs) {
			break
		}
		name := at.Index(i).Child("name")
		switch {
		case !logFieldForm.MatchString(f.Name):
			errs = append(errs, field.Invalid(name, quoted(f.Name), "must be 1 to 63 letters, digits and _ . @ -, starting with a letter or _: correct it"))
		case slices.Contains(reservedLogFields, f.Name):
			errs = append(errs, field.Invalid(name, f.Name, "is always set to the line's account and proxy: use another name"))
		case seen[f.Name]:
			errs = append(errs, field.Duplicate(name, f.Name))
		}
		seen[f.Name] = true
		errs = append(errs, logFormat(at.Index(i).Child("value"), f.Value, maxLogValue)...)
	}
	return errs
}
