// SPDX-License-Identifier: Apache-2.0

// Command frp publishes a TCP port behind NAT by frp, another reverse tunnel, for a
// benchmark next to EPIC. It is a module of its own, so nothing else depends on frp.
//
//	frp server ADDRESS:PORT
//	frp client SERVER:PORT LOCAL:PORT REMOTE-PORT
package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"github.com/fatedier/frp/client"
	v1 "github.com/fatedier/frp/pkg/config/v1"
	"github.com/fatedier/frp/pkg/util/log"
	"github.com/fatedier/frp/server"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "frp:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	log.InitLogger("console", "warn", 0, true)
	switch {
	case len(args) == 2 && args[0] == "server":
		return serve(args[1])
	case len(args) == 4 && args[0] == "client":
		return connect(args[1], args[2], args[3])
	}
	return fmt.Errorf("usage: frp server ADDRESS:PORT, or frp client SERVER:PORT LOCAL:PORT REMOTE-PORT")
}

func serve(at string) error {
	address, err := netip.ParseAddrPort(at)
	if err != nil {
		return err
	}
	// Visitors come to any address of the host.
	config := &v1.ServerConfig{BindAddr: address.Addr().String(), BindPort: int(address.Port()), ProxyBindAddr: netip.IPv4Unspecified().String()}
	config.Complete()
	s, err := server.NewService(config)
	if err != nil {
		return err
	}
	s.Run(context.Background())
	return nil
}

func connect(to, local, remote string) error {
	address, err := netip.ParseAddrPort(to)
	if err != nil {
		return err
	}
	pod, err := netip.ParseAddrPort(local)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(remote)
	if err != nil {
		return err
	}
	config := &v1.ClientCommonConfig{ServerAddr: address.Addr().String(), ServerPort: int(address.Port())}
	// EPIC's tunnels do not encrypt either.
	off := false
	config.Transport.TLS.Enable = &off
	// The server may start later.
	config.LoginFailExit = &off
	config.Complete()
	proxy := &v1.TCPProxyConfig{RemotePort: port}
	proxy.Name, proxy.Type, proxy.LocalIP, proxy.LocalPort = "pod", string(v1.ProxyTypeTCP), pod.Addr().String(), int(pod.Port())
	proxy.Complete("")
	s, err := client.NewService(client.ServiceOptions{Common: config, ProxyCfgs: []v1.ProxyConfigurer{proxy}})
	if err != nil {
		return err
	}
	return s.Run(context.Background())
}
