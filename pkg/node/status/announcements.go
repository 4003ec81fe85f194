// SPDX-License-Identifier: Apache-2.0

package status

import (
	"cmp"
	"fmt"
	"io"
)

// printAnnouncements prints a gateway node's announcements as tables.
func printAnnouncements(w io.Writer, r *Report) {
	a := &r.Announcements
	if len(a.Peers) > 0 {
		fmt.Fprint(w, "\nBGP PEER\tADDRESS\tSTATE\tBFD\tSINCE\tREFUSED ROUTES\tMESSAGE\n")
		for _, p := range a.Peers {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", p.Name, p.Address, p.State(), cmp.Or(p.BFD(), "-"), since(r.Now, p.Since), p.Refused, p.Message)
		}
	}
	if len(a.Layer2) > 0 {
		fmt.Fprint(w, "\nLAYER 2 ADDRESS\tINTERFACE\tROLE\tHOLDER\n")
		for _, l := range a.Layer2 {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Address, l.Interface, l.Role, cmp.Or(l.Holder, "-"))
		}
	}
	if len(a.Routes) > 0 {
		fmt.Fprint(w, "\nANNOUNCED ROUTE\n")
		for _, route := range a.Routes {
			fmt.Fprintf(w, "%s\n", route)
		}
	}
	if len(a.Waiting) > 0 {
		fmt.Fprint(w, "\nADDRESS WAITING FOR TUNNELS\n")
		for _, address := range a.Waiting {
			fmt.Fprintf(w, "%s\n", address)
		}
	}
}
