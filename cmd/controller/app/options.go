// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/acnodal/epic/pkg/cli"
	"github.com/acnodal/epic/pkg/cli/kube"
	"github.com/acnodal/epic/pkg/cli/observe"
	"github.com/acnodal/epic/pkg/controller"
)

// options holds the values of the flags.
type options struct {
	client  kube.Client
	workers int
	resync  time.Duration
	// nodeTimeout is how long gateway nodes may be stale.
	nodeTimeout time.Duration

	observe  observe.Options
	election kube.Election
	logs     *cli.Logs
}

func newOptions() *options {
	return &options{
		// The server limits its clients itself; these limits only restrict a controller
		// that malfunctions.
		client:  kube.Client{QPS: 500, Burst: 1000},
		workers: 8, resync: controller.DefaultResync, nodeTimeout: controller.DefaultNodeTimeout, observe: observe.Options{Address: "127.0.0.1:7445"},
		election: kube.NewElection(), logs: cli.NewLogs(),
	}
}

// flags returns the flags by groups.
func (o *options) flags() cliflag.NamedFlagSets {
	var groups cliflag.NamedFlagSets
	o.client.AddFlags(groups.FlagSet("API server"), "the API server", "")

	work := groups.FlagSet("work")
	work.IntVar(&o.workers, "workers", o.workers, "Number of objects of each kind that are reconciled concurrently.")
	work.DurationVar(&o.resync, "resync", o.resync, "How often every object is reconciled without a change; 0 for never.")
	work.DurationVar(&o.nodeTimeout, "node-timeout", o.nodeTimeout, "Time after a gateway node's last heartbeat until it is evicted, which removes its proxies' interfaces, the tunnels to them and its entry in the EPIC object; 0 for never.")

	o.election.AddFlags(groups.FlagSet("leader election"), "Work only while leading, by the lease "+leaseName+". Disable it with a standalone API server, which has no Leases; then run only one controller.",
		"the lease")

	o.observe.AddFlags(groups.FlagSet("observation"))
	o.logs.AddFlags(groups.FlagSet("logs"))
	return groups
}

// validate checks flags that depend on each other.
func (o *options) validate() error {
	switch {
	case o.workers < 1:
		return fmt.Errorf("--workers is %d: set at least 1", o.workers)
	case o.resync < 0:
		return fmt.Errorf("--resync is %s: set a duration, or 0 for never", o.resync)
	case o.nodeTimeout != 0 && o.nodeTimeout < controller.MinNodeTimeout:
		return fmt.Errorf("--node-timeout is %s: set at least %s, or 0 for never", o.nodeTimeout, controller.MinNodeTimeout)
	}
	if err := o.client.Validate(); err != nil {
		return err
	}
	if err := o.observe.Validate(); err != nil {
		return err
	}
	if err := o.election.Validate(); err != nil {
		return err
	}
	if o.election.Enabled && o.election.LeaseDuration%time.Second != 0 {
		return fmt.Errorf("--leader-elect-lease-duration is %s: set whole seconds", o.election.LeaseDuration)
	}
	return nil
}

// clients returns the client configuration of the API server, and the namespace of the
// context.
func (o *options) clients() (*rest.Config, string, error) {
	config, namespace, err := o.client.Load(program)
	if err != nil {
		return nil, "", fmt.Errorf("configure access to the API server: %w: set --kubeconfig", err)
	}
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return config, o.election.In(namespace), nil
}
