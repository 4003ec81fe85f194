// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/operator/processes"
)

// laptop shows the sample load balancer without root: the same operator starts an Envoy
// on a loopback address, and no tunnel leads to the endpoint, which is this program.
func (d *demo) laptop(ctx context.Context) error {
	address, err := ownAddress()
	if err != nil {
		return err
	}
	lb, err := d.loadBalancer(ctx)
	if err != nil {
		return err
	}
	if err := d.operator(ctx); err != nil {
		return fmt.Errorf("the operator: %w", err)
	}
	port, err := backend(ctx, address)
	if err != nil {
		return err
	}
	if err := d.endpoint(ctx, epicv1.RemoteEndpointSpec{
		Cluster: cluster, Address: address.String(), Port: epicv1.EndpointPort{Port: port, Protocol: "TCP"},
	}); err != nil {
		return fmt.Errorf("the endpoint: %w", err)
	}
	public, err := netip.ParseAddr(lb.Spec.PublicAddress)
	if err != nil {
		return fmt.Errorf("load balancer %s: spec.public-address: %w", lb.Name, err)
	}
	url := fmt.Sprintf("http://%s:%d", processes.LoopbackAddress(public), processes.LoopbackPort(uint16(lb.Spec.PublicPorts[0].Port)))
	body, err := d.ask(ctx, url, "")
	if err != nil {
		return err
	}
	fmt.Printf(laptopUsage, public, url, body)
	return nil
}

const laptopUsage = `
Without root there are no tunnels and no public addresses. Envoy listens on a loopback
address that stands for %[1]s, and passes requests to a server of this machine:
  curl %[2]s
  %[3]sSee Envoy:
  kubectl -n ` + namespace + ` get lb ` + sample + `
` + last

// ownAddress is an address of this machine to which a proxy may connect: loopback
// addresses are no endpoints.
func ownAddress() (netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() && p.Addr().Is4() {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, errors.New("this machine has no IPv4 address but loopback ones, and those are no endpoints: run it as root to see a request")
}

// backend responds to requests until the context ends.
func backend(ctx context.Context, address netip.Addr) (port int32, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		return 0, err
	}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(answer, "Hello from %s.\n", listener.Addr())
		}),
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	at, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("%s is no TCP address", listener.Addr())
	}
	return int32(at.Port), nil
}
