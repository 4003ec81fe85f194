// SPDX-License-Identifier: Apache-2.0

//go:build skew

package skew

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/test/tools/freeport"
	"github.com/acnodal/epic/test/tools/published"
)

// hashAnnotation has a digest of what the connector wrote last.
const hashAnnotation = epic.LabelPrefix + "connector-hash"

// part is the connector as a part of the site, with two replicas, as in its Deployment.
func (c *tenant) part() *part { return &part{name: "connector", roll: c.roll} }

// replica starts a connector and waits until it knows both clusters.
func (c *tenant) replica(v version) *part {
	c.Helper()
	// At most three run at a time, and the first ended first.
	name, address := fmt.Sprintf("connector-%d", c.started%3), freeport.Address(c)
	c.started++
	p := &part{name: name, program: "epic-connector", args: func(version) []string {
		return []string{
			"--kubeconfig=" + c.in("local.kubeconfig"), "--epic-kubeconfig=" + c.in("kubeconfig"), "--epic-namespace=" + namespace,
			"--cluster=" + clusterName, "--secrets-dir=" + c.in("op", "secrets"), "--bind-address=" + address, "--retry-refused=1s",
		}
	}, ready: func() error {
		_, err := get(http.DefaultClient, "http://"+address+"/readyz")
		return err
	}}
	c.start(p, v)
	return p
}

// roll replaces both connectors, one after the other, as the Deployment does: the next one is
// ready before the former one ends. The tenant makes changes before one ends, and while the
// other does, each of which has to arrive. Nothing that was published is deleted in the meantime.
func (c *tenant) roll(v version) {
	c.Helper()
	begun := time.Now()
	c.rolls++
	name := fmt.Sprintf("roll-%d", c.rolls)

	before := c.remote()
	next := c.replica(v)
	for _, s := range c.asked {
		s.add(s.next())
	}
	route, fresh := c.route(name), c.balanced(name)
	c.must(c.connectors[0].process.Stop())
	c.connectors[0] = next
	for _, s := range c.asked {
		s.answered(s.next())
	}
	c.leads(name, true)
	c.addressed(fresh)
	c.kept("the first replica was replaced", before, func(client.Object) bool { return false })

	before = c.remote()
	next = c.replica(v)
	stopped := make(chan error, 1)
	go func() { stopped <- c.connectors[1].process.Stop() }()
	former := c.asked[0].port
	for _, s := range c.asked {
		s.turn()
	}
	c.remove(append(fresh.slices, route, fresh.object)...)
	// Older operators stop serving TLS when they find a certificate whose key is not replaced yet.
	if c.operator().version == newer {
		c.renewCertificate()
	}
	c.must(<-stopped)
	c.connectors[1], c.version = next, v
	for _, s := range c.asked {
		s.answers()
	}
	c.leads(name, false)
	c.presents()
	c.agrees()
	c.kept("both replicas were replaced", before, func(o client.Object) bool {
		if e, ok := o.(*epicv1.RemoteEndpoint); ok {
			return e.Spec.Port.Port == former || e.Labels[epic.OwningLoadBalancerLabel] == string(fresh.object.UID)
		}
		return strings.HasPrefix(o.GetName(), string(route.UID)) || o.GetName() == string(fresh.object.UID)
	})
	c.Logf("%s connector: both replicas were replaced, and changes arrived (%s)", v, time.Since(begun).Round(time.Millisecond))
}

// remote is what the account has in EPIC.
func (c *tenant) remote() map[string]client.Object {
	c.Helper()
	all, err := c.published.Remote(c.Context())
	c.must(err)
	return all
}

// kept fails unless everything that the connector published before is still there as the same
// object, but for what is to be gone.
func (c *tenant) kept(when string, before map[string]client.Object, gone func(client.Object) bool) {
	c.Helper()
	now := c.remote()
	for name, was := range before {
		if was.GetLabels()[epic.OwningClusterLabel] != clusterName || gone(was) {
			continue
		}
		if is := now[name]; is == nil {
			c.Errorf("%s: %s is gone", when, name)
		} else if is.GetUID() != was.GetUID() {
			c.Errorf("%s: %s was deleted and created again", when, name)
		}
	}
	if c.Failed() {
		c.FailNow()
	}
}

// agrees waits until EPIC has what the client cluster says. A connector of the old version may
// write other contents than this tree would: of these it has to write what it did at first.
func (c *tenant) agrees() {
	c.Helper()
	c.until("the connector has published everything", func() error {
		if c.version == newer {
			return c.published.Compare(c.Context())
		}
		if err := c.published.Objects(c.Context()); err != nil {
			return err
		}
		now, err := c.published.Remote(c.Context())
		if err != nil {
			return err
		}
		var differences []error
		for name, was := range c.lasting {
			// A slice differs by its endpoints.
			if is := now[name]; is != nil && published.Kind(was) != "GWEndpointSlice" && is.GetAnnotations()[hashAnnotation] != was.GetAnnotations()[hashAnnotation] {
				differences = append(differences, fmt.Errorf("%s is not what the old connector wrote at first", name))
			}
		}
		return errors.Join(differences...)
	})
	c.kept("compared with the start", c.lasting, func(client.Object) bool { return false })
}
