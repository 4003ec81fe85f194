// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An existing cluster is neither changed nor stopped when another one is requested.
func TestAClusterThatIsThereStays(t *testing.T) {
	c := epic(t)
	c.onThisMachine(t)
	pids := func() string {
		t.Helper()
		var all strings.Builder
		files, err := filepath.Glob(filepath.Join(filepath.Dir(c.kubeconfig), "pid/*"))
		if err != nil || len(files) < 6 {
			t.Fatalf("%v: %v", files, err)
		}
		for _, file := range files {
			pid, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.WriteString(filepath.Base(file) + " " + string(pid))
		}
		return all.String()
	}
	before := pids()
	for name, env := range map[string][]string{
		"the same folder": os.Environ(),
		"another folder":  append(os.Environ(), "EPIC_E2E_CACHE="+t.TempDir()),
	} {
		other := &cluster{}
		err := other.up(env)
		if err == nil {
			t.Fatalf("%s: it worked", name)
		}
		wants(t, name, err.Error(), "A cluster is already running", "export KUBECONFIG="+c.kubeconfig, "hack/cluster.sh down")
		if other.own {
			t.Errorf("%s: the tests would end it", name)
		}
	}
	down := script("hack/cluster.sh", "down")
	down.Env = append(os.Environ(), "EPIC_E2E_CACHE="+t.TempDir())
	if out, err := down.CombinedOutput(); err == nil {
		t.Errorf("a cluster of another folder was ended:\n%s", out)
	}
	if after := pids(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	c.run(t, "get", "--raw", "/readyz")
}

// cgroups runs a function of hack/cluster-cgroups.sh.
func cgroups(t *testing.T, function string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", append([]string{"-euo", "pipefail", "-c",
		"source hack/cluster-cgroups.sh; " + function + ` "$@"`, "bash"}, args...)...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", function, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// machine creates a directory laid out like /sys/fs/cgroup.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Nodes run on machines with control groups of either version.
func TestControlGroups(t *testing.T) {
	one := map[string]string{"memory/tasks": "", "pids/tasks": "", "cpu/tasks": "", "cpuset/cpuset.cpus": "0-3\n", "cpuset/cpuset.mems": "0\n"}
	for name, m := range map[string]struct {
		files            map[string]string
		version, missing string
	}{
		"version 2":        {files: map[string]string{"cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma\n"}, version: "2"},
		"too little of it": {files: map[string]string{"cgroup.controllers": "cpu io memory\n"}, version: "2", missing: "cpuset pids"},
		"version 1":        {files: one, version: "1"},
		"both, as systemd has it in its hybrid mode": {
			files: map[string]string{"memory/tasks": "", "pids/tasks": "", "cpu/tasks": "", "cpuset/tasks": "", "unified/cgroup.controllers": "\n"}, version: "1",
		},
		"neither": {files: map[string]string{"other/file": ""}, missing: "version"},
	} {
		dir := machine(t, m.files)
		if version := cgroups(t, "cgroup_version", dir); version != m.version {
			t.Errorf("%s: version %q", name, version)
		}
		missing := cgroups(t, "cgroup_missing", dir)
		if lines := strings.Fields(m.missing); (missing == "") != (m.missing == "") {
			t.Errorf("%s: missing is %q", name, missing)
		} else {
			wants(t, name, missing, lines...)
		}
	}

	// The real files take any write; these keep the last one.
	dir := machine(t, map[string]string{"cgroup.controllers": "cpu memory\n", "cgroup.subtree_control": ""})
	cgroups(t, "cgroup_join", dir, "epic-node1", "17")
	for file, want := range map[string]string{
		"cgroup.subtree_control":            "+memory\n",
		"epic-node1/cgroup.subtree_control": "+memory\n",
		"epic-node1/system/cgroup.procs":    "17\n",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
	dir = machine(t, one)
	cgroups(t, "cgroup_join", filepath.Join(dir, "cpuset"), "epic-node1", "17")
	cgroups(t, "cgroup_join", filepath.Join(dir, "pids"), "epic-node1", "17")
	for file, want := range map[string]string{
		"cpuset/epic-node1/cpuset.cpus":         "0-3\n",
		"cpuset/epic-node1/system/cpuset.mems":  "0\n",
		"cpuset/epic-node1/system/cgroup.procs": "17\n",
		"pids/epic-node1/system/cgroup.procs":   "17\n",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}

	mounts := filepath.Join(machine(t, map[string]string{"mounts": "cgroup /sys/fs/cgroup/pids cgroup rw 0 0\n" +
		"cgroup /elsewhere/pids cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\ncgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw 0 0\n"}), "mounts")
	if got := cgroups(t, "cgroup_hierarchies", "/sys/fs/cgroup", mounts); got != "/sys/fs/cgroup/pids\n/sys/fs/cgroup/cpu,cpuacct" {
		t.Errorf("hierarchies: %q", got)
	}

	dir = machine(t, map[string]string{"keep/file": ""})
	for _, group := range []string{"epic-node1/system", "epic-node1/kubepods/pod1", "pids/epic-node1/system"} {
		if err := os.MkdirAll(filepath.Join(dir, group), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cgroups(t, "cgroup_remove", dir, "epic-node1")
	for _, group := range []string{"epic-node1", "pids/epic-node1"} {
		if _, err := os.Stat(filepath.Join(dir, group)); !os.IsNotExist(err) {
			t.Errorf("%s: %v", group, err)
		}
	}
}
