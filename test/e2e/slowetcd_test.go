// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// members returns the processes of EPIC's etcd on this machine, by pod.
func members(t *testing.T) map[string]int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, file := range files {
		// A process may end at any time.
		line, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(line, []byte("/etcd\x00--name=epic-etcd-")) {
			continue
		}
		// Another owner's process is not in a cgroup of these nodes.
		groups, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cgroup"))
		if err != nil || !strings.Contains(string(groups), "/epic-node") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(string(line), "/etcd\x00--name="), "\x00")
		found[name] = pid
	}
	return found
}

// hold stops processes for a while, as a disk or a hypervisor does that is busy
// with something else.
func hold(t *testing.T, pids map[string]int, d time.Duration) {
	t.Helper()
	signal := func(s syscall.Signal) {
		for name, pid := range pids {
			if err := syscall.Kill(pid, s); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	defer signal(syscall.SIGCONT)
	signal(syscall.SIGSTOP)
	time.Sleep(d)
}

// A slow etcd delays requests; one that does not respond at all makes them
// late or fail with a reason. When it is back, so is EPIC, with nothing lost.
func TestTroubleEtcdSlow(t *testing.T) {
	c := epic(t)
	c.onThisMachine(t)
	all := members(t)
	if len(all) != 3 {
		t.Fatalf("The members' processes are %v", all)
	}
	l := trouble(t, "slow", func(t *testing.T, c *cluster) {
		begin := time.Now()
		for time.Since(begin) < 8*time.Second {
			hold(t, all, 400*time.Millisecond)
			time.Sleep(100 * time.Millisecond)
		}
		// The leader is away for longer than an election takes.
		leader := c.etcdLeader(t).Name
		hold(t, map[string]int{leader: all[leader]}, 4*time.Second)
		// Nobody can confirm a write.
		hold(t, all, 6*time.Second)
	})
	if took := time.Duration(l.slowest.Load()); took < time.Second {
		t.Errorf("The slowest request took %s: etcd was not held up", took)
	}
	for _, f := range l.unclear {
		t.Errorf("No clear answer: %s", f)
	}
	for _, f := range l.failed {
		t.Log(f)
	}
	c.settled(t)
}
