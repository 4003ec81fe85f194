// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/test/world"
)

// show sends a visitor's request to the load balancer, and shows what both ends of the
// tunnel say.
func (d *demo) show(ctx context.Context, lb *epicv1.LoadBalancer) error {
	url := fmt.Sprintf("http://%s:%d", lb.Spec.PublicAddress, lb.Spec.PublicPorts[0].Port)
	body, err := d.ask(ctx, url, "")
	if err != nil {
		return err
	}
	// For commands that are to be run there.
	if err := os.WriteFile(d.in("visitor"), []byte(d.world.Visitor.Name+"\n"), 0o600); err != nil {
		return err
	}
	fmt.Printf("\nA visitor asks %s. Envoy passes it through the tunnel, and the answer is:\n  %s", url, body)
	for _, end := range d.ends() {
		fmt.Printf("\n%s\n", end.title)
		cmd := exec.CommandContext(ctx, d.program("epic-node"), "status", "--status-socket", end.socket)
		cmd.Stdout, cmd.Stderr = &indent{to: os.Stdout}, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("epic-node status: %w", err)
		}
	}
	fmt.Printf(usage, url, d.world.Visitor.Name, d.ends()[0].socket)
	return nil
}

// ask sends requests until one succeeds and returns the response.
func (d *demo) ask(ctx context.Context, url, host string) (string, error) {
	var body string
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		for _, p := range d.processes {
			if err := p.Err(); err != nil {
				return false, err
			}
		}
		var err error
		body, err = get(ctx, d.visitor(), url, host)
		return err == nil, nil
	})
	if err != nil {
		return "", fmt.Errorf("no answer from %s; the logs are in %s: %w", url, d.dir, err)
	}
	return body, nil
}

// last is what comes last: everything is there.
const last = "Everything is ready now.\n"

const usage = `
Ask again:
  ip netns exec %[2]s curl %[1]s
Add an endpoint, and watch Envoy send requests there too:
  kubectl apply -f - <<END
  apiVersion: epic.acnodal.io/v1
  kind: RemoteEndpoint
  metadata:
    namespace: ` + namespace + `
    name: another
    labels: {epic.acnodal.io/owning-loadbalancer: ` + sample + `}
  spec: {cluster: ` + cluster + `, address: ` + world.PodAddress + `, node-address: ` + world.NodeAddress + `, port: {port: 8081, protocol: TCP}}
  END
See Envoy and the tunnels:
  kubectl -n ` + namespace + ` get lb ` + sample + `
  kubectl -n ` + namespace + ` get lb ` + sample + ` -o jsonpath='{.status.gue-tunnel-endpoints}'
  epic-node status --status-socket %[3]s
`

// visitor is an HTTP client where visitors are.
func (d *demo) visitor() *http.Client {
	if d.loopback {
		return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	}
	return world.Client(d.world.Visitor)
}

func get(ctx context.Context, client *http.Client, url, host string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	if host != "" {
		request.Host = host
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", answer.Status, body)
	}
	return string(body), nil
}
