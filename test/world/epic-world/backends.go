// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/test/netlab"
	"github.com/acnodal/epic/test/world"
)

// backends are the endpoints of one load balancer, which get requests in turn.
type backends struct {
	client                  versioned.Interface
	namespace, loadBalancer string
	turn                    atomic.Uint64
}

// forwarder passes each request from a namespace to the next endpoint.
func (b *backends) forwarder(n *netlab.Namespace) http.Handler {
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		list, err := b.client.EpicV1().RemoteEndpoints(b.namespace).List(request.Context(), metav1.ListOptions{
			LabelSelector: "epic.acnodal.io/owning-loadbalancer=" + b.loadBalancer,
		})
		switch {
		case err != nil:
			http.Error(answer, err.Error(), http.StatusBadGateway)
			return
		case len(list.Items) == 0:
			http.Error(answer, "the load balancer has no endpoint: create a RemoteEndpoint", http.StatusServiceUnavailable)
			return
		}
		next := &list.Items[int(b.turn.Add(1))%len(list.Items)].Spec
		to := net.JoinHostPort(next.Address, strconv.Itoa(int(next.Port.Port)))
		world.Forwarder(n, to).ServeHTTP(answer, request)
	})
}

// indent writes lines with two spaces before each.
type indent struct {
	to io.Writer
	// within says that the last write ended within a line.
	within bool
}

func (w *indent) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if !w.within {
			line = "  " + line
		}
		w.within = !strings.HasSuffix(line, "\n")
		if _, err := io.WriteString(w.to, line); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
