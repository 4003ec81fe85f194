// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// pods returns the pods of a program, except those that are terminating.
func (c *cluster) pods(t *testing.T, name string) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	out := c.run(t, "get", "pods", "--namespace", system, "--selector=app.kubernetes.io/name="+name, "--output=json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

func (c *cluster) readyz(pod string) string {
	out, _ := c.try("", "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/https:%s:7443/proxy/readyz?verbose", system, pod))
	return out
}

func TestInstalled(t *testing.T) {
	c := epic(t)
	for name, count := range map[string]int{"epic-apiserver": 2, "epic-controller": 2, "epic-etcd": 3} {
		pods := c.pods(t, name)
		if len(pods) != count {
			t.Errorf("There are %d pods of %s", len(pods), name)
		}
		nodes := map[string]bool{}
		for _, pod := range pods {
			nodes[pod.Spec.NodeName] = true
			for _, s := range pod.Status.ContainerStatuses {
				if !s.Ready || s.RestartCount > 0 {
					t.Errorf("%s: ready %v, %d restarts: %+v", pod.Name, s.Ready, s.RestartCount, s.LastTerminationState)
				}
			}
		}
		if all := strings.Fields(c.run(t, "get", "nodes", "--output=name")); len(all) > 1 && len(nodes) < 2 {
			t.Errorf("All pods of %s are on one node", name)
		}
	}
	// The server's role contains every permission that it uses.
	for _, pod := range c.pods(t, "epic-apiserver") {
		out := c.readyz(pod.Name)
		wants(t, "readyz of "+pod.Name, out, "[+]permission-list-namespaces ok", "[+]front-proxy ok", "readyz check passed")
		if strings.Contains(out, "[-]") {
			t.Errorf("%s is not well:\n%s", pod.Name, out)
		}
	}
	// A second time changes nothing.
	generations := func() string {
		return c.run(t, "get", "--namespace", system, "deployments,statefulsets,poddisruptionbudgets,networkpolicies", "--output=jsonpath={.items[*].metadata.generation}")
	}
	before := generations()
	c.run(t, "apply", "-k", overlay)
	if after := generations(); after != before {
		t.Errorf("Applied again, the generations are %s, not %s", after, before)
	}
	if out, err := c.try("", "diff", "-k", overlay); err != nil {
		t.Errorf("The cluster differs from the manifests: %v\n%s", err, out)
	}
}

// The pods run under the restricted profile; what is in them is one program.
func TestPodsAreRestricted(t *testing.T) {
	c := epic(t)
	out := c.run(t, "label", "--dry-run=server", "--overwrite", "namespace", system,
		"pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted")
	if strings.Contains(strings.ToLower(out), "violate") {
		t.Error(out)
	}
	for _, name := range []string{"epic-apiserver", "epic-controller", "epic-etcd"} {
		for _, pod := range c.pods(t, name) {
			s, p := pod.Spec.Containers[0].SecurityContext, pod.Spec.SecurityContext
			if !*p.RunAsNonRoot || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation {
				t.Errorf("%s: %+v %+v", pod.Name, p, s)
			}
			if out, err := c.try("", "exec", "--namespace", system, pod.Name, "--", "/bin/sh"); err == nil {
				t.Errorf("%s has a shell:\n%s", pod.Name, out)
			}
		}
	}
	// Another pod in this namespace is held to the same.
	problem := c.refused(t, "", "run", "root", "--namespace", system, "--image=acnodal/epic-etcd:dev", "--dry-run=server", "--privileged")
	wants(t, "a privileged pod", problem, "violates PodSecurity")
}

// A client of etcd without a certificate from etcd's own CA gets nothing.
func TestEtcdWantsCertificates(t *testing.T) {
	c := epic(t)
	address := "127.0.0.1:" + c.forward(t, "pod/epic-etcd-0", 2379)
	for name, own := range map[string][]tls.Certificate{"none": nil, "its own": {selfSigned(t, "epic-apiserver")}} {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, Certificates: own})
		if err == nil {
			// With TLS 1.3, the client learns about this only when it reads.
			_, err = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("With %s, the answer is %v", name, err)
		}
	}
}

// thirdReplica starts another replica and returns its name when it runs.
func (c *cluster) thirdReplica(t *testing.T) string {
	t.Helper()
	known := map[string]bool{}
	for _, pod := range c.pods(t, "epic-apiserver") {
		known[pod.Name] = true
	}
	c.run(t, "scale", "--namespace", system, "--replicas=3", "deployment/epic-apiserver")
	var name string
	eventually(t, time.Minute, func() string {
		for _, pod := range c.pods(t, "epic-apiserver") {
			if !known[pod.Name] && pod.Status.Phase == corev1.PodRunning {
				name = pod.Name
				return ""
			}
		}
		return "no third replica"
	})
	return name
}

// logs returns the logs of a replica, including those from before the last restart.
func (c *cluster) logs(pod string) string {
	now, _ := c.try("", "logs", "--namespace", system, pod)
	before, _ := c.try("", "logs", "--namespace", system, pod, "--previous")
	return now + before
}

// asShipped restores the installation to the state in the manifests.
func (c *cluster) asShipped(t *testing.T) {
	t.Helper()
	c.run(t, "apply", "-k", overlay)
	c.settled(t)
}

// A missing binding is named where an operator looks.
func TestMissingBindings(t *testing.T) {
	c := epic(t)
	restore := func() { c.asShipped(t) }
	for binding, want := range map[string]string{
		"clusterrolebinding/epic-apiserver":                "list namespaces",
		"clusterrolebinding/epic-apiserver:auth-delegator": "subjectaccessreviews",
	} {
		t.Run(binding, func(t *testing.T) {
			defer restore()
			c.run(t, "delete", binding)
			pod := c.thirdReplica(t)
			eventually(t, time.Minute, func() string {
				logs, _ := c.try("", "logs", "--namespace", system, pod)
				if !strings.Contains(logs, "A permission is missing") || !strings.Contains(logs, want) {
					return fmt.Sprintf("The log does not name %q:\n%s", want, logs)
				}
				return ""
			})
			eventually(t, time.Minute, func() string {
				if out := c.readyz(pod); !strings.Contains(out, "[-]permission-") {
					return "readyz names nothing:\n" + out
				}
				return ""
			})
		})
	}
	t.Run("auth-reader", func(t *testing.T) {
		defer restore()
		c.run(t, "delete", "--namespace", "kube-system", "rolebinding", "epic-apiserver:auth-reader")
		pod := c.thirdReplica(t)
		eventually(t, time.Minute, func() string {
			if logs := c.logs(pod); !strings.Contains(logs, "extension-apiserver-authentication-reader") {
				return "The log does not name the role:\n" + logs
			}
			return ""
		})
	})
}

// A wrong authority, and a Service that leads nowhere, show in the APIService.
func TestWrongAPIService(t *testing.T) {
	c := epic(t)
	condition := func() string {
		return c.run(t, "get", "apiservice", apiService, `--output=jsonpath={.status.conditions[?(@.type=="Available")].message}`)
	}
	for _, test := range []struct{ name, patch, undo, want string }{{
		name:  "caBundle",
		patch: `{"spec":{"caBundle":"` + otherAuthority(t) + `"}}`,
		want:  "certificate",
	}, {
		name:  "no caBundle",
		patch: `{"spec":{"caBundle":null}}`,
		want:  "certificate",
	}, {
		name:  "service",
		patch: `{"spec":{"service":{"name":"nobody"}}}`,
		undo:  `{"spec":{"service":{"name":"epic-apiserver"}}}`,
		want:  "nobody",
	}} {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				if test.undo != "" {
					c.run(t, "patch", "apiservice", apiService, "--type=merge", "-p", test.undo)
				}
				if err := c.certificates(); err != nil {
					t.Error(err)
				}
				c.served(t)
			}()
			c.run(t, "patch", "apiservice", apiService, "--type=merge", "-p", test.patch)
			eventually(t, time.Minute, func() string {
				if message := condition(); !strings.Contains(message, test.want) {
					return "the condition says: " + message
				}
				return ""
			})
		})
	}
}
