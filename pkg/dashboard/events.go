// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"fmt"
	"net/http"
	"time"

	"github.com/acnodal/epic/pkg/overview"
)

const (
	// mostStreams is the maximum number of pages that may wait for changes at the same
	// time.
	mostStreams = 64
	// aliveEvery is the interval at which a stream shows that the program still runs.
	aliveEvery = 15 * time.Second
)

// serveEvents notifies a page of changes: the number of problems, and whether the API
// responds. The page then reloads itself.
func (p *pages) serveEvents(w http.ResponseWriter, r *http.Request) {
	select {
	case p.streams <- struct{}{}:
		defer func() { <-p.streams }()
	default:
		refuse(w, http.StatusServiceUnavailable, "Too many pages of this dashboard are open. Close some.")
		return
	}
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "retry: 2000\n\n")
	sent := uint64(0)
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		now, changed := p.Feed.Now()
		if now.Sequence != sent {
			sent = now.Sequence
			bad := 0
			for i := range now.Model.Faults {
				if now.Model.Faults[i].State == overview.Bad {
					bad++
				}
			}
			fmt.Fprintf(w, "event: change\ndata: {\"sequence\":%d,\"connected\":%t,\"problems\":%d,\"bad\":%d}\n\n", now.Sequence, now.Connected, len(now.Model.Faults), bad)
		}
		if control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-alive.C:
			fmt.Fprint(w, ": alive\n\n")
		}
	}
}
