// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Flags are checked together, and the errors name them.
func TestValidate(t *testing.T) {
	for args, want := range map[string]string{
		"":                                     "",
		"--kube-api-qps=-1 --kube-api-burst=0": "",
		"--kube-api-qps=0":                     "--kube-api-qps=0 and --kube-api-burst=2 allow no request",
		"--kube-api-burst=0":                   "--kube-api-burst=0 allow no request",
		"--leader-elect-retry-period=0s":       "--leader-elect-retry-period=0s",
		"--leader-elect-retry-period=5s":       "--leader-elect-retry-period=5s, --leader-elect-renew-deadline=10s",
		"--leader-elect-lease-duration=10s":    "--leader-elect-lease-duration=10s are inconsistent",
		"--leader-elect=false --leader-elect-lease-duration=10s": "",
	} {
		c, e := Client{QPS: 1, Burst: 2}, NewElection()
		fs := pflag.NewFlagSet("program", pflag.ContinueOnError)
		c.AddFlags(fs, "the API server", "")
		e.AddFlags(fs, "Work only while leading.", "the lease")
		if err := fs.Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		var got string
		for _, err := range []error{c.Validate(), e.Validate()} {
			if err != nil {
				got += err.Error()
			}
		}
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	const content = `{"apiVersion": "v1", "kind": "Config", "current-context": "c",
"contexts": [{"name": "c", "context": {"cluster": "s", "namespace": "epic-one"}}], "clusters": [{"name": "s", "cluster": {"server": "https://192.0.2.1"}}]}`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Client{Kubeconfig: file, QPS: 1, Burst: 2}
	config, namespace, err := c.Load("program")
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://192.0.2.1" || config.QPS != 1 || config.Burst != 2 || !strings.HasSuffix(config.UserAgent, "/program") || namespace != "epic-one" {
		t.Errorf("%+v, namespace %q", config, namespace)
	}
	e := Election{}
	if got := e.In(namespace); got != "epic-one" {
		t.Errorf("the namespace of the lease is %q", got)
	}
	e.Namespace = "own"
	if got := e.In(namespace); got != "own" {
		t.Errorf("the namespace of the lease is %q, and the flag says own", got)
	}
	c.Kubeconfig = file + ".none"
	if _, _, err := c.Load("program"); err == nil || !strings.Contains(err.Error(), file+".none") {
		t.Errorf("a file that is not there: %v", err)
	}
}
