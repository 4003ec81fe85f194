// SPDX-License-Identifier: Apache-2.0

package embedetcd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// childEnv makes this test binary serve the directory that it names, so a
// test can kill it.
const childEnv = "EPIC_TEST_EMBEDETCD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// child serves, writes keys as fast as it can, and reports which were acknowledged.
func child(dir string) {
	ctx := context.Background()
	if _, err := Start(ctx, Config{DataDir: dir}); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{Endpoint(dir)}})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		if _, err := client.Put(ctx, fmt.Sprintf("/key/%d", i), "value"); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("acknowledged", i)
	}
}

// tempDir is short enough for a socket, which t.TempDir need not be.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "etcd-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T, dir string) *Server {
	t.Helper()
	s, err := Start(t.Context(), Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func connect(t *testing.T, endpoint string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestDataSurvivesRestart(t *testing.T) {
	dir := tempDir(t)
	if found, err := Initialized(dir); err != nil || found {
		t.Fatalf("An empty directory is taken for data: %v, %v", found, err)
	}
	first := start(t, dir)
	if err := first.Healthy(); err != nil {
		t.Errorf("A member that was started is not healthy: %v", err)
	}
	if _, err := connect(t, first.Endpoint()).Put(t.Context(), "/a", "1"); err != nil {
		t.Fatal(err)
	}
	first.Stop()
	if err := first.Healthy(); err == nil {
		t.Error("A stopped member calls itself healthy")
	}
	select {
	case err, ok := <-first.Failed():
		if ok {
			t.Errorf("A stop that was asked for is reported as a failure: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Failed is still open after Stop")
	}
	if found, err := Initialized(dir); err != nil || !found {
		t.Errorf("The data is not seen: %v, %v", found, err)
	}

	second := start(t, dir)
	got, err := connect(t, second.Endpoint()).Get(t.Context(), "/a")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "1" {
		t.Errorf("After a restart /a is %v", got.Kvs)
	}
}

// A directory may be moved while nothing runs on it: the member's identity does
// not depend on where it is.
func TestDataDirMayMove(t *testing.T) {
	parent := tempDir(t)
	before, after := filepath.Join(parent, "before"), filepath.Join(parent, "after")
	s := start(t, before)
	if _, err := connect(t, s.Endpoint()).Put(t.Context(), "/a", "1"); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if err := os.Rename(before, after); err != nil {
		t.Fatal(err)
	}
	got, err := connect(t, start(t, after).Endpoint()).Get(t.Context(), "/a")
	if err != nil || len(got.Kvs) != 1 {
		t.Errorf("After a move /a is %v, %v", got, err)
	}
}

func TestSecondStartIsRefused(t *testing.T) {
	dir := tempDir(t)
	first := start(t, dir)
	client := connect(t, first.Endpoint())

	_, err := Start(t.Context(), Config{DataDir: dir})
	var held *HeldError
	if !errors.As(err, &held) {
		t.Fatalf("A second start on the same directory: %v", err)
	}
	if held.PID != os.Getpid() {
		t.Errorf("The holder is said to be process %d, want %d", held.PID, os.Getpid())
	}
	for _, want := range []string{dir, fmt.Sprint(os.Getpid()), "--data-dir"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("The error does not have %q: %v", want, err)
		}
	}
	if _, err := client.Put(t.Context(), "/a", "1"); err != nil {
		t.Errorf("The refused start harmed the member that runs: %v", err)
	}
	// A new connection needs the socket to be there still.
	if _, err := connect(t, first.Endpoint()).Get(t.Context(), "/a"); err != nil {
		t.Errorf("The refused start removed the socket of the member that runs: %v", err)
	}
}

func TestBadDirectories(t *testing.T) {
	parent := tempDir(t)
	file := filepath.Join(parent, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(parent, strings.Repeat("x", 100))
	for name, test := range map[string]struct {
		dir  string
		want []string
	}{
		"is not set":  {"", []string{"--data-dir"}},
		"a file":      {file, []string{file, "--data-dir"}},
		"unwritable":  {"/proc/self/epic", []string{"/proc/self/epic", "--data-dir", "writable"}},
		"a long path": {long, []string{long, "too long", "--data-dir"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Start(t.Context(), Config{DataDir: test.dir})
			if err == nil {
				t.Fatal("It started")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("The error does not have %q: %v", want, err)
				}
			}
		})
	}
	if _, err := os.Stat(long); err == nil {
		t.Error("The directory was made although its path is too long")
	}
}

func TestDirectoryIsPrivate(t *testing.T) {
	dir := tempDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	start(t, dir)
	for _, path := range []string{dir, MemberDir(dir)} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v: others can reach the socket or the data", path, info.Mode().Perm())
		}
	}
}

// Damaged files must give an error, not a stack trace.
func TestDamagedData(t *testing.T) {
	dir := tempDir(t)
	start(t, dir).Stop()
	db := filepath.Join(MemberDir(dir), "member", "snap", "db")
	if err := os.WriteFile(db, []byte(strings.Repeat("not a database ", 10000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{DataDir: dir})
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("A start on a damaged database: %v", err)
	}
}

// Acknowledged writes are there after SIGKILL, and nothing of the dead process
// is in the way.
func TestKillSurvival(t *testing.T) {
	dir := tempDir(t)
	last := -1
	for round := range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var n int
			if _, err := fmt.Sscanf(lines.Text(), "acknowledged %d", &n); err != nil {
				t.Fatalf("Round %d: the child says %q", round, lines.Text())
			}
			last = max(last, n)
			if n == 50*(round+1) {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("The child ended by itself")
		}
	}

	got, err := connect(t, start(t, dir).Endpoint()).Get(t.Context(), "/key/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	if got.Count < int64(last)+1 {
		t.Errorf("%d keys are there, %d writes were acknowledged", got.Count, last+1)
	}
}
