// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	httplimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	networklimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/local_ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/acnodal/epic/pkg/edge"
)

const (
	filterRateLimit = "envoy.filters.http.local_ratelimit"
	// clientKey is the descriptor that contains the address of a client.
	clientKey = "masked_remote_address"
	// maxClients is the maximum number of clients whose requests a listener counts.
	maxClients = 10_000
	// ipv6Client is the prefix length of an IPv6 address that identifies a client, which
	// usually has all addresses with that prefix.
	ipv6Client = 64
	ipv4Client = 32
)

// anyRate exceeds the rate of any listener.
var anyRate = &typev3.TokenBucket{MaxTokens: 1 << 31, TokensPerFill: wrapperspb.UInt32(1 << 31), FillInterval: durationpb.New(time.Second)}

func bucket(r *edge.Rate) *typev3.TokenBucket {
	return &typev3.TokenBucket{MaxTokens: r.Burst, TokensPerFill: wrapperspb.UInt32(r.Count), FillInterval: durationpb.New(r.Interval)}
}

// admission returns the filters that close client connections beyond a rate and beyond a
// number. Chains of the same listener share the rate.
func (t *translation) admission(stat, listener string) []*listenerv3.Filter {
	var filters []*listenerv3.Filter
	if r := t.edge.Connections; r != nil {
		filters = append(filters, networkFilter("envoy.filters.network.local_ratelimit", &networklimitv3.LocalRateLimit{
			StatPrefix: stat, TokenBucket: bucket(r), ShareKey: listener,
		}))
	}
	return append(filters, t.connectionLimit(stat))
}

// requestLimit returns a filter that responds with 429 to requests beyond a rate, or nil
// if there is no limit.
func (t *translation) requestLimit(stat string) *hcmv3.HttpFilter {
	all, client := t.edge.Requests, t.edge.RequestsPerClient
	if all == nil && client == nil {
		return nil
	}
	always := &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{Numerator: 100}}
	config := &httplimitv3.LocalRateLimit{StatPrefix: stat, FilterEnabled: always, FilterEnforced: always, TokenBucket: anyRate}
	if all != nil {
		config.TokenBucket = bucket(all)
	}
	if client != nil {
		config.Descriptors = []*ratelimitv3.LocalRateLimitDescriptor{{
			// Without a value, each address has its own bucket.
			Entries: []*ratelimitv3.RateLimitDescriptor_Entry{{Key: clientKey}}, TokenBucket: bucket(client),
		}}
		config.MaxDynamicDescriptors = wrapperspb.UInt32(maxClients)
		config.RateLimits = []*routev3.RateLimit{{Actions: []*routev3.RateLimit_Action{{
			ActionSpecifier: &routev3.RateLimit_Action_MaskedRemoteAddress_{MaskedRemoteAddress: &routev3.RateLimit_Action_MaskedRemoteAddress{
				V4PrefixMaskLen: wrapperspb.UInt32(ipv4Client), V6PrefixMaskLen: wrapperspb.UInt32(ipv6Client),
			}},
		}}}}
	}
	return httpFilter(filterRateLimit, config, false)
}
