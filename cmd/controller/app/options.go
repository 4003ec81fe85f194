// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/acnodal/epic/pkg/cli"
	"github.com/acnodal/epic/pkg/controller"
	"github.com/acnodal/epic/pkg/controller/leader"
)

// options are what the flags set.
type options struct {
	kubeconfig string
	qps        float32
	burst      int
	workers    int
	resync     time.Duration
	// nodeTimeout is how long gateway nodes may be silent.
	nodeTimeout time.Duration
	address     string

	elect                                     bool
	namespace                                 string
	leaseDuration, renewDeadline, retryPeriod time.Duration

	logs *cli.Logs
}

func newOptions() *options {
	return &options{
		// The server keeps order among its clients by itself; these only bound a
		// controller that has gone mad.
		qps: 500, burst: 1000,
		workers: 8, resync: controller.DefaultResync, nodeTimeout: controller.DefaultNodeTimeout, address: "127.0.0.1:7445",
		elect: true, leaseDuration: leader.DefaultLeaseDuration, renewDeadline: leader.DefaultRenewDeadline, retryPeriod: leader.DefaultRetryPeriod,
		logs: cli.NewLogs(),
	}
}

// flags are the flags by groups.
func (o *options) flags() cliflag.NamedFlagSets {
	var groups cliflag.NamedFlagSets
	api := groups.FlagSet("API server")
	api.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig, "How to reach the API server. Without it: the environment's KUBECONFIG, the home directory's, or this pod's service account.")
	api.Float32Var(&o.qps, "kube-api-qps", o.qps, "Requests a second at most; -1 for no limit.")
	api.IntVar(&o.burst, "kube-api-burst", o.burst, "Requests at once at most.")

	work := groups.FlagSet("work")
	work.IntVar(&o.workers, "workers", o.workers, "How many objects of each kind are worked on at once.")
	work.DurationVar(&o.resync, "resync", o.resync, "How often every object is looked at though nothing changed; 0 for never.")
	work.DurationVar(&o.nodeTimeout, "node-timeout", o.nodeTimeout, "After how long without a sign of life a gateway node is given up: its proxies' interfaces, the tunnels to them and its entry in the EPIC object go; 0 for never.")

	election := groups.FlagSet("leader election")
	election.BoolVar(&o.elect, "leader-elect", o.elect, "Work only while leading, by the lease "+leader.LeaseName+". Switch it off beside an API server that runs alone, which has no leases; then run one controller.")
	election.StringVar(&o.namespace, "leader-elect-namespace", o.namespace, "The namespace of the lease. Without it: this pod's, or the kubeconfig's.")
	election.DurationVar(&o.leaseDuration, "leader-elect-lease-duration", o.leaseDuration, "How long others wait for a leader that is silent.")
	election.DurationVar(&o.renewDeadline, "leader-elect-renew-deadline", o.renewDeadline, "After how long without success a leader gives up; shorter than the lease's duration.")
	election.DurationVar(&o.retryPeriod, "leader-elect-retry-period", o.retryPeriod, "How often to try to get or to renew the lease; shorter than the deadline.")

	observe := groups.FlagSet("observation")
	observe.StringVar(&o.address, "bind-address", o.address, "Where to serve /metrics, /healthz, /livez and /readyz over HTTP; empty for nowhere.")
	o.logs.AddFlags(groups.FlagSet("logs"))
	return groups
}

// validate checks what only the flags together say.
func (o *options) validate() error {
	switch {
	case o.workers < 1:
		return fmt.Errorf("--workers is %d: give at least 1", o.workers)
	case o.resync < 0:
		return fmt.Errorf("--resync is %s: give a time, or 0 for never", o.resync)
	case o.nodeTimeout != 0 && o.nodeTimeout < controller.MinNodeTimeout:
		return fmt.Errorf("--node-timeout is %s: give at least %s, or 0 for never", o.nodeTimeout, controller.MinNodeTimeout)
	case o.qps == 0 || o.qps > 0 && o.burst < 1:
		return fmt.Errorf("--kube-api-qps=%v and --kube-api-burst=%d let no request pass: give more, or --kube-api-qps=-1 for no limit", o.qps, o.burst)
	case !o.elect:
		return nil
	case o.retryPeriod <= 0 || o.renewDeadline <= o.retryPeriod*2 || o.leaseDuration <= o.renewDeadline:
		return fmt.Errorf("--leader-elect-retry-period=%s, --leader-elect-renew-deadline=%s and --leader-elect-lease-duration=%s do not fit: "+
			"the deadline must be more than twice the period, and the duration more than the deadline", o.retryPeriod, o.renewDeadline, o.leaseDuration)
	case o.leaseDuration%time.Second != 0:
		return fmt.Errorf("--leader-elect-lease-duration is %s: give whole seconds", o.leaseDuration)
	}
	return nil
}

// clients returns how to reach the API server, and the namespace that goes with
// it.
func (o *options) clients() (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("how to reach the API server: %w: give --kubeconfig", err)
	}
	namespace := o.namespace
	if namespace == "" {
		if namespace, _, err = loader.Namespace(); err != nil {
			return nil, "", fmt.Errorf("the namespace of the lease: %w: give --leader-elect-namespace", err)
		}
	}
	config = rest.AddUserAgent(config, program)
	config.QPS, config.Burst = o.qps, o.burst
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return config, namespace, nil
}
