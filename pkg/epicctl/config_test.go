// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func TestConfig(t *testing.T) {
	pod := func(name, label, owner string, phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "epic-a", Name: name, Labels: map[string]string{
				epic.PartOfLabel: epic.ProductName, epic.ComponentLabel: epic.EnvoyComponent, label: owner,
			}},
			Status: corev1.PodStatus{Phase: phase},
		}
	}
	client := fake.NewClientset(
		pod("a", epic.OwningLoadBalancerLabel, "shop", corev1.PodRunning), pod("b", epic.OwningLoadBalancerLabel, "shop", corev1.PodRunning),
		pod("c", epic.OwningLoadBalancerLabel, "shop", corev1.PodPending), pod("d", epic.OwningProxyLabel, "shop", corev1.PodRunning))
	for name, test := range map[string]struct {
		arg, namespace, pod string
		bodies              bool
		out, err            string
	}{
		"both pods":        {arg: "lb/shop", namespace: "epic-a", out: "a [/epic/bin/epic-proxy config]\nb [/epic/bin/epic-proxy config]\n"},
		"another kind":     {arg: "gwproxies.epic.acnodal.io/shop", namespace: "epic-a", out: "d [/epic/bin/epic-proxy config]\n"},
		"one, with bodies": {arg: "LoadBalancer/shop", namespace: "epic-a", pod: "b", bodies: true, out: "b [/epic/bin/epic-proxy config --bodies]\n"},
		"one can't answer": {arg: "lb/shop", namespace: "epic-a", pod: "a-fails", err: "no pod of shop runs"},
		"none":             {arg: "lb/other", namespace: "epic-a", err: "no pod of other runs in namespace epic-a"},
		"no kind":          {arg: "shop", namespace: "epic-a", err: "KIND/NAME"},
		"a kind without":   {arg: "gwr/shop", namespace: "epic-a", err: "not a kind with Envoys"},
		"no namespace":     {arg: "lb/shop", err: "with -n"},
	} {
		var out bytes.Buffer
		tl := newTool(genericclioptions.IOStreams{Out: &out, ErrOut: io.Discard, In: strings.NewReader("")})
		tl.flags.Namespace = &test.namespace
		tl.kube = func() (kubernetes.Interface, error) { return client, nil }
		o := &config{tool: tl, pod: test.pod, bodies: test.bodies}
		o.exec = func(_ context.Context, _, pod string, command []string, out, _ io.Writer) error {
			fmt.Fprintln(out, pod, command)
			return nil
		}
		var err error
		if o.kind, o.name, err = proxyArgument(test.arg); err == nil {
			err = o.run(t.Context())
		}
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) || out.String() != test.out {
			t.Errorf("%s: %q, %v", name, out.String(), err)
		}
	}
	tl := newTool(genericclioptions.IOStreams{Out: io.Discard, ErrOut: io.Discard, In: strings.NewReader("")})
	tl.flags.Namespace = new("epic-a")
	tl.kube = func() (kubernetes.Interface, error) { return client, nil }
	o := &config{tool: tl, kind: epic.OwningProxyLabel, name: "shop", exec: func(_ context.Context, _, _ string, _ []string, _, errOut io.Writer) error {
		fmt.Fprintln(errOut, "no such file")
		return errors.New("exit code 1")
	}}
	if err := o.run(t.Context()); err == nil || !strings.Contains(err.Error(), "pod d: exit code 1: no such file") {
		t.Errorf("%v", err)
	}
}
