// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// gatewayManifest has the objects of the second demonstration.
//
//go:embed gateway.yaml
var gatewayManifest []byte

const (
	gatewayName = "demo-gateway"
	// hostname is the one of its route.
	hostname = "shop.example.com"
)

// gateway creates a Gateway with a route by hostname and sends it a request.
func (d *demo) gateway(ctx context.Context) error {
	file := d.in("gateway.yaml")
	if err := os.WriteFile(file, gatewayManifest, 0o600); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, d.program("kubectl"), "--kubeconfig", d.kubeconfig, "apply", "-f", file).CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply -f %s: %w: %s", file, err, out)
	}
	gw, err := d.client.EpicV1().GWProxies(namespace).Get(ctx, gatewayName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	url := fmt.Sprintf("http://%s:%d", gw.Spec.PublicAddress, gw.Spec.PublicPorts[0].Port)
	body, err := d.ask(ctx, url, hostname)
	if err != nil {
		return err
	}
	fmt.Printf(gatewayUsage, url, d.world.Visitor.Name, file, body, hostname)
	return nil
}

const gatewayUsage = `
%[3]s has a Gateway, and a route for the hostname %[5]s. A visitor asks for it,
and the answer is:
  %[4]s
Ask again, and for a hostname that no route has:
  ip netns exec %[2]s curl --header 'Host: %[5]s' %[1]s
  ip netns exec %[2]s curl --include %[1]s
See it:
  kubectl -n ` + namespace + ` get gwp,gwr,gwes
` + last
