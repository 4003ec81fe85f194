// SPDX-License-Identifier: Apache-2.0

package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	clientset "github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

func TestNodeKubeconfig(t *testing.T) {
	dir := tempDir(t)
	_, _, url := serving(t, dir)
	data := "--data-dir=" + filepath.Join(dir, "data")
	file := filepath.Join(dir, "node.kubeconfig")
	if code, stdout, stderr := run(t, "node-kubeconfig", "192.0.2.1", data, "--server="+url, "--file="+file); code != 0 || stdout != "" {
		t.Fatalf("%d, %s, %s", code, stdout, stderr)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("The file: %v, %v", info, err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clientset.NewForConfigOrDie(config).EpicV1().GWProxies("").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("A gateway node can't read: %v", err)
	}
	code, stdout, stderr := run(t, "node-kubeconfig", "2001:db8::16", data, "--server="+url, "--account=acme")
	if code != 0 {
		t.Fatal(stderr)
	}
	if config, err = clientcmd.RESTConfigFromKubeConfig([]byte(stdout)); err != nil {
		t.Fatal(err)
	}
	tenants := clientset.NewForConfigOrDie(config).EpicV1()
	if _, err := tenants.GWProxies("epic-acme").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("A tenant's node can't read: %v", err)
	}
	if _, err := tenants.GWProxies("epic-other").List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("A tenant's node reads what is another's")
	}

	for want, args := range map[string][]string{
		"0 arguments":                   {data},
		"not an IP address":             {"host", data},
		"write 192.0.2.1":               {"::ffff:192.0.2.1", data},
		"is not the name of an account": {"192.0.2.1", data, "--account=A/b"},
		"--server":                      {"192.0.2.1", data, "--server=localhost"},
		"has no certificate authority":  {"192.0.2.1", "--data-dir=" + filepath.Join(dir, "none")},
		"is not set":                    {"192.0.2.1"},
	} {
		if code, stdout, stderr := run(t, append([]string{"node-kubeconfig"}, args...)...); code != 1 || stdout != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: %d, %s, want %q", args, code, stderr, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("A directory was made")
	}
}
