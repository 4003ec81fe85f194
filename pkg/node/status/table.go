// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Print prints a report as tables.
func Print(to io.Writer, r *Report) error {
	fmt.Fprintf(to, "epic-node %s %s, node %s, UDP port %d, up %s, state from: %s\n",
		r.Role, r.Version, join(r.Nodes), r.Port, since(r.Now, r.Started), r.Source)
	for _, p := range r.Problems {
		fmt.Fprintf(to, "PROBLEM: %s\n", p)
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nINTERFACE\tINDEX\tMTU\tPROGRAMS\n")
	for _, i := range r.Interfaces {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", i.Name, i.Index, i.MTU, i.Mode)
	}
	if len(r.Proxies) > 0 {
		fmt.Fprint(w, "\nPROXY\tPOD\tINTERFACE\tINDEX\tADDRESSES\n")
		for _, p := range r.Proxies {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", p.Object, p.Pod, p.Interface, p.Index, join(p.Addresses))
		}
	}
	printAnnouncements(w, r)
	fmt.Fprint(w, "\nTUNNEL\tOBJECT\tLOCAL\tREMOTE\tSTATE\tLAST PONG\tROUND TRIP\tCOOKIES\tSERVICES\tMTU\tRECEIVED\tSENT\n")
	for i := range r.Tunnels {
		t := &r.Tunnels[i]
		remote, rtt := "-", "-"
		if t.Remote.IsValid() {
			remote = t.Remote.String()
		}
		if t.RTT > 0 {
			rtt = t.RTT.Round(time.Microsecond).String()
		}
		fmt.Fprintf(w, "%d\t%s %s/%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", t.ID, t.Kind, t.Namespace, t.Object, t.Local, remote, t.State,
			since(r.Now, t.Seen), rtt, t.Cookies, t.Services, t.MTU,
			carried(t.Counters.ReceivedPackets, t.Counters.ReceivedBytes), carried(t.Counters.SentPackets, t.Counters.SentBytes))
	}
	if len(r.Directs) > 0 {
		fmt.Fprint(w, "\nDIRECT ENDPOINT\tPROTOCOL\tOBJECT\tSTATE\n")
		for _, d := range r.Directs {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.Endpoint, map[uint8]string{6: "TCP", 17: "UDP"}[d.Protocol], d.Object, d.State)
		}
	}
	fmt.Fprint(w, "\nDROPPED\tPACKETS\n")
	none := true
	for _, reason := range slices.Sorted(maps.Keys(r.Drops)) {
		if n := r.Drops[reason]; n > 0 {
			none = false
			fmt.Fprintf(w, "%s\t%d\n", reason, n)
		}
	}
	if none {
		fmt.Fprint(w, "none\t0\n")
	}
	fmt.Fprint(w, "\nCONTROL\tPACKETS\n")
	for _, result := range slices.Sorted(maps.Keys(r.Control)) {
		if n := r.Control[result]; n > 0 || result == "ok" {
			fmt.Fprintf(w, "%s\t%d\n", result, n)
		}
	}
	return w.Flush()
}

func join[T fmt.Stringer](all []T) string {
	var out []string
	for _, v := range all {
		out = append(out, v.String())
	}
	return strings.Join(out, ",")
}

func since(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	d := now.Sub(then)
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func carried(packets, bytes uint64) string {
	n := float64(bytes)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if n < 1024 {
			return fmt.Sprintf("%d packets, %s %s", packets, strconv.FormatFloat(n, 'f', -1, 32), unit)
		}
		n = float64(int(n/1024*10)) / 10
	}
	return fmt.Sprintf("%d packets, %s TiB", packets, strconv.FormatFloat(n, 'f', -1, 32))
}
