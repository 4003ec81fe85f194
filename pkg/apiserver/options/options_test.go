// SPDX-License-Identifier: Apache-2.0

package options

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	basecompatibility "k8s.io/component-base/compatibility"
)

// parse reads a command line as the program does.
func parse(t *testing.T, args ...string) (*Options, error) {
	t.Helper()
	registry := basecompatibility.NewComponentGlobalsRegistry()
	if err := registry.Register(basecompatibility.DefaultKubeComponent, compatibility.DefaultBuildEffectiveVersion(), utilfeature.DefaultMutableFeatureGate.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	o, err := NewOptions(registry)
	if err != nil {
		t.Fatal(err)
	}
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, group := range o.Flags().FlagSets {
		fs.AddFlagSet(group)
	}
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := o.Complete(fs); err != nil {
		return nil, err
	}
	return o, o.Validate()
}

var (
	alone   = []string{"--standalone", "--data-dir=/d"}
	cluster = []string{"--etcd-servers=http://e:2379", "--tls-cert-file=c", "--tls-private-key-file=k"}
)

func TestValidation(t *testing.T) {
	for name, test := range map[string]struct {
		base []string
		args []string
		want []string // parts of the error; none if it is valid
	}{
		"standalone":                      {base: alone},
		"standalone with an etcd":         {base: alone, args: []string{"--etcd-servers=http://e:2379"}},
		"cluster":                         {base: cluster},
		"cluster with embedded etcd":      {args: []string{"--data-dir=/d", "--tls-cert-file=c", "--tls-private-key-file=k"}},
		"standalone without a directory":  {args: []string{"--standalone"}, want: []string{"--standalone requires --data-dir"}},
		"standalone with a certificate":   {base: alone, args: []string{"--tls-cert-file=c", "--tls-private-key-file=k"}, want: []string{"--tls-cert-file", "--standalone"}},
		"no storage":                      {args: []string{"--tls-cert-file=c", "--tls-private-key-file=k"}, want: []string{"--etcd-servers", "--data-dir"}},
		"no certificate":                  {args: []string{"--etcd-servers=http://e:2379"}, want: []string{"--tls-cert-file", "--standalone"}},
		"half a certificate":              {args: []string{"--etcd-servers=http://e:2379", "--tls-cert-file=c"}, want: []string{"--tls-private-key-file"}},
		"kubeconfig-out in a cluster":     {base: cluster, args: []string{"--kubeconfig-out=f"}, want: []string{"--kubeconfig-out", "--standalone"}},
		"etcd server without a scheme":    {base: cluster, args: []string{"--etcd-servers=e:2379"}, want: []string{"--etcd-servers", "https://e:2379"}},
		"etcd certificate without key":    {base: cluster, args: []string{"--etcd-certfile=c"}, want: []string{"--etcd-certfile", "--etcd-keyfile"}},
		"prefix without a slash":          {base: alone, args: []string{"--etcd-prefix=epic"}, want: []string{"--etcd-prefix"}},
		"prefix that is the root":         {base: alone, args: []string{"--etcd-prefix=/"}, want: []string{"--etcd-prefix"}},
		"no patience":                     {base: alone, args: []string{"--etcd-start-timeout=0s"}, want: []string{"--etcd-start-timeout"}},
		"negative audit interval":         {base: alone, args: []string{"--claims-audit-interval=-1s"}, want: []string{"--claims-audit-interval"}},
		"negative cooling period":         {base: alone, args: []string{"--address-cooling-period=-1s"}, want: []string{"--address-cooling-period"}},
		"quota in the wrong unit":         {base: alone, args: []string{"--embedded-etcd-quota-bytes=8"}, want: []string{"--embedded-etcd-quota-bytes"}},
		"port too large":                  {base: alone, args: []string{"--secure-port=70000"}, want: []string{"--secure-port"}},
		"unknown media type":              {base: alone, args: []string{"--storage-media-type=text/plain"}, want: []string{"--storage-media-type", "text/plain"}},
		"unknown plugin":                  {base: cluster, args: []string{"--enable-admission-plugins=Nothing"}, want: []string{"enable-admission-plugins", "Nothing"}},
		"quota plugin switched off":       {base: cluster, args: []string{"--disable-admission-plugins=ResourceQuota"}},
		"unknown feature":                 {base: alone, args: []string{"--feature-gates=Nothing=true"}, want: []string{"--feature-gates", "Nothing"}},
		"feature of a component":          {base: alone, args: []string{"--feature-gates=kube:APIResponseCompression=false"}},
		"emulated version of the future":  {base: alone, args: []string{"--emulated-version=epic=9.9"}, want: []string{"9.9"}},
		"negative limit":                  {base: alone, args: []string{"--max-requests-inflight=-1"}, want: []string{"--max-requests-inflight"}},
		"goaway chance above the maximum": {base: alone, args: []string{"--goaway-chance=1"}, want: []string{"--goaway-chance"}},
		"audit mode":                      {base: alone, args: []string{"--audit-log-path=/d/a", "--audit-log-mode=sometimes"}, want: []string{"audit", "sometimes"}},
		"tracing file missing":            {base: alone, args: []string{"--tracing-config-file=/nothing"}, want: []string{"tracing-config-file", "/nothing"}},
		"encryption reload without file":  {base: alone, args: []string{"--encryption-provider-config-automatic-reload"}, want: []string{"--encryption-provider-config"}},
		"no such flag":                    {base: alone, args: []string{"--nothing"}, want: []string{"--nothing"}},
		"flag that makes no sense here":   {base: alone, args: []string{"--etcd-servers-overrides=x"}, want: []string{"unknown flag"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, append(append([]string(nil), test.base...), test.args...)...)
			if len(test.want) == 0 {
				if err != nil {
					t.Errorf("Valid options are refused: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("It is accepted")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("The error does not have %q: %v", want, err)
				}
			}
		})
	}
}

// All faults are told at once, so nobody repairs them one start at a time.
func TestAllFaultsAreTold(t *testing.T) {
	_, err := parse(t, "--etcd-prefix=x", "--goaway-chance=1")
	if err == nil {
		t.Fatal("It is accepted")
	}
	for _, want := range []string{"--etcd-prefix", "--goaway-chance", "--tls-cert-file", "--data-dir"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("The error does not have %q: %v", want, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	o, err := parse(t, alone...)
	if err != nil {
		t.Fatal(err)
	}
	if !o.Serving.BindAddress.Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("A standalone server listens on %v", o.Serving.BindAddress)
	}
	if o.Features.EnablePriorityAndFairness {
		t.Error("A standalone server wants flow schemas, which nobody has")
	}
	if o.Run.ShutdownWatchTerminationGracePeriod == 0 {
		t.Error("A shutdown waits for clients to end their watches")
	}
	if !o.EmbedsEtcd() {
		t.Error("A standalone server does not run its own etcd")
	}
	o, err = parse(t, append([]string{"--bind-address=192.0.2.1"}, alone...)...)
	if err != nil || !o.Serving.BindAddress.Equal(net.IPv4(192, 0, 2, 1)) {
		t.Errorf("The address that was asked for is ignored: %v, %v", o.Serving.BindAddress, err)
	}
	o, err = parse(t, append([]string{"--kubeconfig=/k"}, cluster...)...)
	if err != nil || o.Kube.Authentication.RemoteKubeConfigFile != "/k" || o.Kube.Authorization.RemoteKubeConfigFile != "/k" {
		t.Errorf("One kubeconfig does not serve all: %+v, %v", o.Kube, err)
	}
	if !o.Features.EnablePriorityAndFairness || o.EmbedsEtcd() || !o.Serving.BindAddress.IsUnspecified() {
		t.Error("A server in a cluster has a standalone server's defaults")
	}
}

// Every flag has help. That of EPIC's own flags is one line.
func TestEveryFlagIsDescribed(t *testing.T) {
	o, err := parse(t, alone...)
	if err != nil {
		t.Fatal(err)
	}
	ownGroups := []string{"standalone mode", "embedded etcd", "scheduled snapshots", "nodes and tunnels", "limits of accounts"}
	own := []string{"etcd-start-timeout", "claims-audit-interval", "address-cooling-period"}
	groups := o.Flags()
	found := 0
	for _, name := range groups.Order {
		groups.FlagSets[name].VisitAll(func(f *pflag.Flag) {
			_, text := pflag.UnquoteUsage(f)
			if text == "" {
				t.Errorf("--%s has no help", f.Name)
			}
			if !slices.Contains(ownGroups, name) && !slices.Contains(own, f.Name) {
				return
			}
			found++
			if strings.Contains(text, "\n") || len(text) > 90 {
				t.Errorf("--%s: the help is not a single line: %q", f.Name, text)
			}
		})
	}
	if found < len(ownGroups)+len(own) {
		t.Errorf("There are %d flags of EPIC's own: this test no longer finds them", found)
	}
}
