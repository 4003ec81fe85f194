// SPDX-License-Identifier: Apache-2.0

package rates

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
)

const (
	// queryTimeout limits the time for a query.
	queryTimeout = 10 * time.Second
	// mostBytes limits the size of a response.
	mostBytes = 16 << 20
)

// Source identifies a Prometheus.
type Source struct {
	// Namespace, Service and Port identify a Service in the cluster.
	Namespace, Service string
	Port               int
	// URL is the address of a Prometheus on this machine.
	URL string
}

// ParseSource parses NAMESPACE/SERVICE:PORT or an http URL of this machine, and returns
// nil for an empty text.
func ParseSource(text string) (*Source, error) {
	if text == "" {
		return nil, nil
	}
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("--prometheus %q is not a URL such as http://127.0.0.1:9090", text)
		}
		// A host name could resolve to another machine.
		address, err := netip.ParseAddr(u.Hostname())
		if err != nil || !address.IsLoopback() {
			return nil, fmt.Errorf("--prometheus %q is not on this machine: use an address such as http://127.0.0.1:9090, or NAMESPACE/SERVICE:PORT to query it through the kube-apiserver", text)
		}
		return &Source{URL: strings.TrimSuffix(text, "/")}, nil
	}
	namespace, rest, _ := strings.Cut(text, "/")
	service, number, _ := strings.Cut(rest, ":")
	port, err := strconv.Atoi(number)
	if err != nil || port < 1 || port > 65535 || len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1035Label(service)) > 0 {
		return nil, fmt.Errorf("--prometheus %q is not of the form NAMESPACE/SERVICE:PORT, such as monitoring/prometheus-operated:9090", text)
	}
	return &Source{Namespace: namespace, Service: service, Port: port}, nil
}

// String formats the source for people.
func (s *Source) String() string {
	if s.URL != "" {
		return s.URL
	}
	return fmt.Sprintf("%s/%s:%d", s.Namespace, s.Service, s.Port)
}

// ask sends a query.
type ask func(ctx context.Context, query string) ([]byte, error)

// asker returns a function that queries a source.
func (s *Source) asker(kube kubernetes.Interface) (ask, error) {
	if s.URL != "" {
		return s.direct(), nil
	}
	if kube == nil {
		return nil, errors.New("this standalone server has no Services: set --prometheus to the URL of a Prometheus on this machine")
	}
	path := fmt.Sprintf("/api/v1/namespaces/%s/services/http:%s:%d/proxy/api/v1/query", s.Namespace, s.Service, s.Port)
	return func(ctx context.Context, query string) ([]byte, error) {
		body, err := kube.CoreV1().RESTClient().Get().AbsPath(path).Param("query", query).Do(ctx).Raw()
		if apierrors.IsForbidden(err) {
			return nil, fmt.Errorf("you may not get services/proxy in namespace %s", s.Namespace)
		}
		return body, err
	}, nil
}

// direct returns a function that queries without a proxy, and follows no redirect to
// another machine.
func (s *Source) direct() ask {
	client := &http.Client{
		Transport:     &http.Transport{DialContext: (&net.Dialer{Timeout: queryTimeout}).DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, query string) ([]byte, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/query?"+url.Values{"query": {query}}.Encode(), nil)
		if err != nil {
			return nil, err
		}
		response, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close() //nolint:errcheck // read only
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("it answers %s", response.Status)
		}
		return io.ReadAll(io.LimitReader(response.Body, mostBytes))
	}
}
