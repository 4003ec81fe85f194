// SPDX-License-Identifier: Apache-2.0

package envoytest

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// settle is how long Envoy may take to request resources to which its configuration
// refers, after it has accepted everything else.
const settle = 5 * time.Second

// command sets the configuration and reports the outcome.
type command struct {
	set  resource.Set
	done chan error
}

// server is a delta ADS server for one Envoy.
type server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	commands chan command
}

func newServer() *server { return &server{commands: make(chan command)} }

// DeltaAggregatedResources serves one stream.
func (s *server) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	requests := make(chan *discoveryv3.DeltaDiscoveryRequest)
	go func() {
		defer close(requests)
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			select {
			case requests <- r:
			case <-stream.Context().Done():
				return
			}
		}
	}()
	c := &conversation{stream: stream, subscribed: map[resource.Key]bool{}, sent: map[resource.Key]string{}, waiting: map[resource.Type]string{}, asked: map[resource.Type]bool{}, answered: map[resource.Type]bool{}}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case r, ok := <-requests:
			if !ok {
				return nil
			}
			c.hear(r)
		case cmd := <-s.commands:
			c.begin(cmd)
		case <-tick.C:
		}
		if err := c.push(); err != nil {
			return err
		}
	}
}

// conversation is the state of a stream.
type conversation struct {
	stream     discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	subscribed map[resource.Key]bool
	// sent holds the version of each resource that was sent to Envoy and not removed.
	sent  map[resource.Key]string
	nonce int
	// waiting holds the nonce of each type whose acknowledgment is awaited. Envoy only
	// acknowledges a cluster when it has the cluster's endpoints.
	waiting map[resource.Type]string
	// asked holds the types that Envoy has requested. It does not acknowledge others.
	asked map[resource.Type]bool
	// answered holds the types for which something was sent.
	answered map[resource.Type]bool

	// set is the configuration to send, from the first command on.
	set      resource.Set
	command  *command
	deadline time.Time
	refused  []error
}

func (c *conversation) begin(cmd command) {
	c.command, c.deadline, c.refused = &cmd, time.Now().Add(settle), nil
	if c.set = cmd.set; c.set == nil {
		c.set = resource.Set{}
	}
}

func (c *conversation) hear(r *discoveryv3.DeltaDiscoveryRequest) {
	typ, ok := resource.TypeOf(r.TypeUrl)
	if !ok {
		c.refused = append(c.refused, fmt.Errorf("the Envoy asks for %s, which EPIC does not deliver", r.TypeUrl))
		return
	}
	c.asked[typ] = true
	for _, name := range r.ResourceNamesSubscribe {
		k := resource.Key{Type: typ, Name: name}
		c.subscribed[k] = true
		delete(c.sent, k)
	}
	for _, name := range r.ResourceNamesUnsubscribe {
		k := resource.Key{Type: typ, Name: name}
		delete(c.subscribed, k)
		delete(c.sent, k)
	}
	if r.ResponseNonce != "" && r.ResponseNonce == c.waiting[typ] {
		delete(c.waiting, typ)
		if r.ErrorDetail != nil {
			c.refused = append(c.refused, errors.New(r.ErrorDetail.Message))
		}
	}
}

// wildcard reports whether Envoy gets all resources of a type.
func wildcard(t resource.Type) bool { return t == resource.Listener || t == resource.Cluster }

// push sends missing resources, and completes a command when Envoy has everything.
func (c *conversation) push() error {
	if c.set == nil {
		return nil
	}
	for _, typ := range resource.Types() {
		if _, ok := c.waiting[typ]; ok || !c.asked[typ] {
			continue
		}
		if _, ok := c.waiting[resource.Cluster]; ok && typ > resource.Endpoint {
			return nil
		}
		if err := c.send(typ); err != nil {
			return err
		}
	}
	if c.command == nil || len(c.waiting) > 0 {
		return nil
	}
	var missing error
	for k := range c.set {
		if wildcard(k.Type) && !c.asked[k.Type] || !wildcard(k.Type) && !c.subscribed[k] {
			missing = fmt.Errorf("the Envoy does not ask for the %s %q", k.Type, k.Name)
		}
	}
	switch {
	case len(c.refused) > 0:
		c.command.done <- errors.Join(c.refused...)
	case missing == nil:
		c.command.done <- nil
	case time.Now().After(c.deadline):
		c.command.done <- missing
	default:
		return nil
	}
	c.command = nil
	return nil
}

// send sends the differences of one type.
func (c *conversation) send(typ resource.Type) error {
	response := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typ.URL()}
	for k, r := range c.set {
		if k.Type == typ && c.sent[k] != r.Version && (wildcard(typ) || c.subscribed[k]) {
			response.Resources = append(response.Resources, &discoveryv3.Resource{
				Name: k.Name, Version: r.Version, Resource: &anypb.Any{TypeUrl: typ.URL(), Value: r.Body},
			})
			c.sent[k] = r.Version
		}
	}
	for k := range c.sent {
		if _, ok := c.set[k]; !ok && k.Type == typ {
			response.RemovedResources = append(response.RemovedResources, k.Name)
			delete(c.sent, k)
		}
	}
	// Envoy waits for a first response with clusters and listeners, even if there are
	// none.
	if len(response.Resources)+len(response.RemovedResources) == 0 && (!wildcard(typ) || c.answered[typ]) {
		return nil
	}
	c.answered[typ] = true
	c.nonce++
	response.Nonce = strconv.Itoa(c.nonce)
	c.waiting[typ] = response.Nonce
	return c.stream.Send(response)
}
