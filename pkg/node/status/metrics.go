// SPDX-License-Identifier: Apache-2.0

package status

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/acnodal/epic/pkg/node/announce"
)

// metric is a metric, as docs/dataplane.md lists it.
type metric struct {
	*prometheus.Desc
	kind prometheus.ValueType
}

const prefix = "epic_node_"

// roleGateway is the role of a program that announces.
const roleGateway = "gateway"

func newMetric(kind prometheus.ValueType, name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc(prefix+name, help, labels, nil), kind}
}

var tunnelLabels = []string{"tunnel", "kind", "namespace", "object"}

var (
	mTunnels    = newMetric(prometheus.GaugeValue, "tunnels", "Tunnels that end on this node, by state: up, down, opening or no-key.", "state")
	mCookies    = newMetric(prometheus.GaugeValue, "tunnels_by_cookies", "Tunnels that end on this node, by how their packets use cookies: required, sent or none.", "cookies")
	mObjects    = newMetric(prometheus.GaugeValue, "objects", "Load balancers and gateway proxies that concern this node, by whether they are programmed: applied or failed.", "state")
	mProxies    = newMetric(prometheus.GaugeValue, "proxies", "Proxies on this node.")
	mInterfaces = newMetric(prometheus.GaugeValue, "underlay_interfaces", "Interfaces that carry tunnels, by how programs are attached to them.", "mode")
	mProblems   = newMetric(prometheus.GaugeValue, "problems", "Problems that epic-node status lists.")
	mSynced     = newMetric(prometheus.GaugeValue, "synced", "1 if the state is the API's and is up to date, 0 if the API can't be watched or not everything has been read from it yet.")
	mSaved      = newMetric(prometheus.GaugeValue, "state_saved_timestamp_seconds", "Time when the state was last written to disk, in seconds since 1970.")
	mCredential = newMetric(prometheus.GaugeValue, "credential_expiry_timestamp_seconds", "Time when the node's credential for the API expires, in seconds since 1970.")
	mDrops      = newMetric(prometheus.CounterValue, "dropped_packets_total", "Dropped packets, by reason.", "reason")
	mNoted      = newMetric(prometheus.CounterValue, "flows_noted_total", "Flows that were recorded for an address that several pods of a proxy on this node have.", "address")
	mUnknown    = newMetric(prometheus.CounterValue, "flows_unknown_total", "Packets from endpoints to an address that several pods of a proxy on this node have, whose flow was not known.", "address")
	mFirsts     = newMetric(prometheus.CounterValue, "fragments_noted_total", "Packets to or from a proxy's address whose first fragment was recorded.", "address")
	mRests      = newMetric(prometheus.CounterValue, "fragments_unknown_total", "Fragments to or from a proxy's address whose first fragment was not known.", "address")
	mControl    = newMetric(prometheus.CounterValue, "control_packets_total", "Received control packets, by result.", "result")
	mSendErrors = newMetric(prometheus.CounterValue, "control_send_errors_total", "Control packets that could not be sent.")
	mRepairs    = newMetric(prometheus.CounterValue, "repairs_total", "Map entries, programs, routes and other settings that were restored.")
	mUp         = newMetric(prometheus.GaugeValue, "tunnel_up", "1 if the tunnel's far end answers.", tunnelLabels...)
	mRTT        = newMetric(prometheus.GaugeValue, "tunnel_round_trip_seconds", "The last measured round trip of a tunnel.", tunnelLabels...)
	mSeen       = newMetric(prometheus.GaugeValue, "tunnel_last_seen_timestamp_seconds", "Time when the tunnel's far end last answered, in seconds since 1970.", tunnelLabels...)
	mRxPackets  = newMetric(prometheus.CounterValue, "tunnel_received_packets_total", "Inner packets received through a tunnel.", tunnelLabels...)
	mRxBytes    = newMetric(prometheus.CounterValue, "tunnel_received_bytes_total", "Bytes of inner packets received through a tunnel.", tunnelLabels...)
	mTxPackets  = newMetric(prometheus.CounterValue, "tunnel_sent_packets_total", "Inner packets sent through a tunnel.", tunnelLabels...)
	mTxBytes    = newMetric(prometheus.CounterValue, "tunnel_sent_bytes_total", "Bytes of inner packets sent through a tunnel.", tunnelLabels...)
	mSession    = newMetric(prometheus.GaugeValue, "bgp_session_up", "1 if the session with the BGP peer is established.", "peer", "address")
	mRefused    = newMetric(prometheus.GaugeValue, "bgp_refused_routes", "Routes received from the BGP peer, all of which are ignored.", "peer", "address")
	mBFD        = newMetric(prometheus.GaugeValue, "bfd_session_up", "1 if the BFD session with the BGP peer is up.", "peer", "address")
	mLayer2     = newMetric(prometheus.GaugeValue, "layer2_addresses", "Public addresses for which this node answers on layer 2.")
	mTakeovers  = newMetric(prometheus.CounterValue, "layer2_takeovers_total", "Public addresses that this node took over on layer 2.")
	mRoutes     = newMetric(prometheus.GaugeValue, "announced_routes", "Routes of public addresses that are announced by BGP, by family: ipv4 or ipv6.", "family")
	mWaiting    = newMetric(prometheus.GaugeValue, "waiting_addresses", "Public addresses that are not announced yet because the tunnels of their proxies do not carry packets.")

	all = []metric{
		mTunnels, mCookies, mObjects, mProxies, mInterfaces, mProblems, mSynced, mSaved, mCredential, mDrops, mNoted, mUnknown, mFirsts, mRests, mControl, mSendErrors, mRepairs,
		mUp, mRTT, mSeen, mRxPackets, mRxBytes, mTxPackets, mTxBytes,
		mSession, mRefused, mBFD, mRoutes, mWaiting, mLayer2, mTakeovers,
	}
)

// Collector exports reports as metrics.
type Collector struct {
	source    Source
	perTunnel bool
	// Delay is the time from a change until it is programmed.
	Delay prometheus.Histogram
}

// NewCollector returns a collector. perTunnel enables series for each tunnel.
func NewCollector(source Source, perTunnel bool) *Collector {
	return &Collector{source: source, perTunnel: perTunnel, Delay: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: prefix + "apply_seconds", Help: "Time from a change in the API to the programmed maps.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 30},
	})}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range all {
		out <- m.Desc
	}
	c.Delay.Describe(out)
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	r := c.source.Report()
	send := func(m metric, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(m.Desc, m.kind, value, labels...)
	}
	cookies := map[Cookies]int{CookiesRequired: 0, CookiesSent: 0, CookiesNone: 0}
	states := map[string]int{Up: 0, Down: 0, Opening: 0, NoKey: 0}
	for i := range r.Tunnels {
		t := &r.Tunnels[i]
		states[t.State]++
		cookies[t.Cookies]++
		if c.perTunnel {
			sendTunnel(send, t)
		}
	}
	for state, n := range states {
		send(mTunnels, float64(n), state)
	}
	for use, n := range cookies {
		send(mCookies, float64(n), string(use))
	}
	send(mObjects, float64(r.Applied), "applied")
	send(mObjects, float64(r.Failed), "failed")
	send(mProxies, float64(len(r.Proxies)))
	modes := map[string]int{}
	for _, i := range r.Interfaces {
		modes[i.Mode]++
	}
	for mode, n := range modes {
		send(mInterfaces, float64(n), mode)
	}
	send(mProblems, float64(len(r.Problems)))
	send(mSynced, number(r.Synced))
	if !r.Saved.IsZero() {
		send(mSaved, float64(r.Saved.UnixMilli())/1000)
	}
	if !r.CredentialExpires.IsZero() {
		send(mCredential, float64(r.CredentialExpires.Unix()))
	}
	for reason, n := range r.Drops {
		send(mDrops, float64(n), string(reason))
	}
	for _, flows := range r.Flows {
		send(mNoted, float64(flows.Noted), flows.Address.String())
		send(mUnknown, float64(flows.Unknown), flows.Address.String())
	}
	for _, fragments := range r.Fragments {
		send(mFirsts, float64(fragments.Noted), fragments.Address.String())
		send(mRests, float64(fragments.Unknown), fragments.Address.String())
	}
	for result, n := range r.Control {
		send(mControl, float64(n), result)
	}
	send(mSendErrors, float64(r.SendErrors))
	send(mRepairs, float64(r.Repairs))
	if r.Role == roleGateway {
		sendAnnouncements(send, r.Announcements)
	}
	c.Delay.Collect(out)
}

func sendAnnouncements(send func(m metric, value float64, labels ...string), a announce.Status) {
	for _, p := range a.Peers {
		send(mSession, number(p.Up), p.Name, p.Address.String())
		send(mRefused, float64(p.Refused), p.Name, p.Address.String())
		if p.HasBFD {
			send(mBFD, number(p.BFDUp), p.Name, p.Address.String())
		}
	}
	send(mLayer2, float64(a.Answered()))
	send(mTakeovers, float64(a.Takeovers))
	send(mWaiting, float64(len(a.Waiting)))
	routes := map[string]int{"ipv4": 0, "ipv6": 0}
	for _, route := range a.Routes {
		if route.Addr().Is4() {
			routes["ipv4"]++
		} else {
			routes["ipv6"]++
		}
	}
	for family, n := range routes {
		send(mRoutes, float64(n), family)
	}
}

// number returns 1 for true and 0 for false.
func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func sendTunnel(send func(m metric, value float64, labels ...string), t *Tunnel) {
	labels := []string{strconv.FormatUint(uint64(t.ID), 10), t.Kind, t.Namespace, t.Object}
	send(mUp, number(t.State == Up), labels...)
	if t.RTT > 0 {
		send(mRTT, t.RTT.Seconds(), labels...)
	}
	if !t.Seen.IsZero() {
		send(mSeen, float64(t.Seen.UnixMilli())/1000, labels...)
	}
	send(mRxPackets, float64(t.Counters.ReceivedPackets), labels...)
	send(mRxBytes, float64(t.Counters.ReceivedBytes), labels...)
	send(mTxPackets, float64(t.Counters.SentPackets), labels...)
	send(mTxBytes, float64(t.Counters.SentBytes), labels...)
}
