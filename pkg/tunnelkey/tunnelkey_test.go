// SPDX-License-Identifier: Apache-2.0

package tunnelkey

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
)

const (
	// Bytes 0 to 31, and 100 to 147.
	keyA = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	keyB = "ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoOEhYaHiImKi4yNjo+QkZKT"

	uid types.UID = "6f1c9ad2-0a4e-4a53-9a37-3c1f6b7f9d10"
)

func mustParse(t testing.TB, text string) *Masters {
	t.Helper()
	m, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The vectors come from another implementation: "openssl kdf ... HKDF".
func TestDeriveVectors(t *testing.T) {
	m := mustParse(t, "1 "+keyA+"\n255 "+keyB+"\n")
	for tunnel, want := range map[int32][]string{
		1:          {"9fa6d6fa074fbb2c516671865b51363a5ec20d302855f84a82673bbdc815ee59", "bf72f48751a7c46b59a9e037d9ae8ebec5e580db168ee1f4f3b00626186a226c"},
		2147483647: {"e60cf5e788823bef7243d267d651987853b3554dbb9f833a17b5e2c1e0e2a739", "82aed33896bea8b6e4572520e449c607bc709dc356d74d74994c8cf8d20b8ff7"},
	} {
		keys, err := m.Derive(uid, tunnel)
		if err != nil || len(keys) != 2 || keys[0].ID != 1 || keys[1].ID != 255 {
			t.Fatalf("tunnel %d: %v, %v", tunnel, keys, err)
		}
		for i, key := range keys {
			if got := hex.EncodeToString(key.Secret); got != want[i] {
				t.Errorf("tunnel %d, master key %d: %s, want %s", tunnel, key.ID, got, want[i])
			}
		}
	}
}

// Every part of the context makes another key.
func TestDeriveSeparates(t *testing.T) {
	seen := map[string]string{}
	for _, text := range []string{"1 " + keyA, "2 " + keyA, "1 " + keyB} {
		for _, uid := range []types.UID{"a", "b", "ab"} {
			for _, tunnel := range []int32{1, 2, 256, 65536, 1 << 30} {
				keys, err := mustParse(t, text).Derive(uid, tunnel)
				if err != nil || len(keys[0].Secret) != Size {
					t.Fatal(keys, err)
				}
				what := fmt.Sprint(text, uid, tunnel)
				if other, taken := seen[string(keys[0].Secret)]; taken {
					t.Errorf("%s and %s have the same key", what, other)
				}
				seen[string(keys[0].Secret)] = what
			}
		}
	}
}

func TestDeriveRefuses(t *testing.T) {
	m := mustParse(t, "1 "+keyA)
	for _, tunnel := range []int32{0, -1} {
		if _, err := m.Derive(uid, tunnel); err == nil {
			t.Errorf("tunnel %d has a key", tunnel)
		}
	}
	if _, err := m.Derive("", 1); err == nil {
		t.Error("an object without a UID has a key")
	}
}

func TestParse(t *testing.T) {
	long := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("ab"), 129))
	for name, test := range map[string]struct {
		text string
		ids  []int32
		err  string
	}{
		"one":                    {text: "1 " + keyA, ids: []int32{1}},
		"order is kept":          {text: "9 " + keyA + "\n3 " + keyB + "\n", ids: []int32{9, 3}},
		"comments and spaces":    {text: "# a\n\n \t7\t" + keyA + " \r\n#b", ids: []int32{7}},
		"none":                   {text: "# nothing\n", err: "no key"},
		"empty":                  {err: "no key"},
		"one word":               {text: keyA, err: "line 1: has 1 words"},
		"three words":            {text: "1 " + keyA + " x", err: "3 words"},
		"ID 0":                   {text: "0 " + keyA, err: "from 1 to 255"},
		"ID 256":                 {text: "256 " + keyA, err: "from 1 to 255"},
		"ID with zeros":          {text: "01 " + keyA, err: "from 1 to 255"},
		"ID with a sign":         {text: "+1 " + keyA, err: "from 1 to 255"},
		"words exchanged":        {text: keyA + " 1", err: "from 1 to 255"},
		"ID twice":               {text: "1 " + keyA + "\n\n1 " + keyB, err: "line 3: the ID 1 is also used in line 1"},
		"key twice":              {text: "1 " + keyA + "\n2 " + keyA, err: "line 2: the key is also used in line 1"},
		"no base64":              {text: "1 " + strings.Replace(keyA, "A", "!", 1), err: "base64"},
		"base64 of URLs":         {text: "1 " + strings.ReplaceAll(strings.ReplaceAll(keyB, "+", "-"), "/", "_"), err: "base64"},
		"base64 with loose bits": {text: "1 " + strings.TrimSuffix(keyA, "8=") + "9=", err: "base64"},
		"31 bytes":               {text: "1 " + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("ab", 16)[:31])), err: "31 bytes"},
		"258 bytes":              {text: "1 " + long, err: "258 bytes"},
		"32 bytes":               {text: "1 " + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("ab", 16))), ids: []int32{1}},
		"256 bytes":              {text: "1 " + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("ab"), 128)), ids: []int32{1}},
		"257 bytes":              {text: "1 " + base64.StdEncoding.EncodeToString(append(bytes.Repeat([]byte("ab"), 128), 'c')), err: "257 bytes"},
		"no random bytes":        {text: "1 " + base64.StdEncoding.EncodeToString(make([]byte, 32)), err: "use random bytes"},
		"too many":               {text: manyKeys(MaxMasters + 1), err: "at most 4"},
		"as many as may be":      {text: manyKeys(MaxMasters), ids: []int32{1, 2, 3, 4}},
		"not text":               {text: "1 \xff", err: "not text"},
		"a large file":           {text: strings.Repeat("#\n", maxFileSize), err: "the right file"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Parse([]byte(test.text))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("got %v, want %q", err, test.err)
				}
				for _, word := range strings.Fields(test.text) {
					if len(word) > 20 && strings.Contains(err.Error(), word) {
						t.Errorf("The error has the key: %v", err)
					}
				}
				return
			}
			if err != nil || !slices.Equal(m.IDs(), test.ids) {
				t.Errorf("%v, %v", m, err)
			}
		})
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d %s\n", i+1, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 32)+fmt.Sprint(i))))
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("1 " + keyA + "\n2 " + keyB))
	f.Add([]byte("# c\n1 x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text)
		if err != nil {
			return
		}
		keys, err := m.Derive(uid, 1)
		if err != nil || len(keys) == 0 || len(keys) > MaxMasters {
			t.Errorf("%d keys, %v", len(keys), err)
		}
	})
}

func TestGenerate(t *testing.T) {
	a, b := mustParse(t, string(Generate())), mustParse(t, string(Generate()))
	if a.Equal(b) {
		t.Error("The same key twice")
	}
}

// Whoever prints the keys by mistake prints their IDs.
func TestPrintsNoKey(t *testing.T) {
	m := mustParse(t, "1 "+keyA)
	encoded, err := json.Marshal(struct{ M *Masters }{m})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base64.StdEncoding.DecodeString(keyA)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(m), fmt.Sprintf("%v %+v %#v %s %x", m, m, m, m, m), string(encoded)} {
		for _, leak := range []string{keyA, hex.EncodeToString(secret[:8]), "0 1 2 3", "0x1, 0x2"} {
			if strings.Contains(text, leak) {
				t.Errorf("It prints %s", text)
			}
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	f, err := Open(t.Context(), path)
	if err != nil {
		t.Fatalf("A file that may come: %v", err)
	}
	if _, err := f.Current(); err != ErrNone { //nolint:errorlint // it is what it says it returns
		t.Errorf("No file: %v", err)
	}
	expect := func(want ...int32) {
		t.Helper()
		f.reload(t.Context())
		m, err := f.Current()
		if err != nil || !slices.Equal(m.IDs(), want) {
			t.Errorf("%v, %v; want %v", m, err, want)
		}
	}
	write(t, path, "1 "+keyA)
	expect(1)
	write(t, path, "2 "+keyB+"\n1 "+keyA)
	expect(2, 1)

	before, err := testutil.GetCounterMetricValue(reloadFailures)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "3 "+keyB+"\n3 "+keyA)
	expect(2, 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect(2, 1)
	after, err := testutil.GetCounterMetricValue(reloadFailures)
	if err != nil || after-before != 2 {
		t.Errorf("%v failures counted, %v", after-before, err)
	}
	write(t, path, "3 "+keyB)
	expect(3)
	// The key stays and its ID changes.
	write(t, path, "4 "+keyB)
	expect(4)
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	write(t, path, "1 short")
	if _, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--tunnel-key-file") {
		t.Errorf("a fault: %v", err)
	}
	write(t, path, "1 "+keyA)
	for _, mode := range []os.FileMode{0o604, 0o602, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "chmod 0600") {
			t.Errorf("mode %#o lets everybody use it: %v", mode, err)
		}
	}
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := (*File)(nil).Current(); err == nil {
		t.Error("no file has keys")
	}
}

// TestFaultsAreLoggedOnce: a fault that stays is logged when it comes, and again when it
// comes back after the file was in order, also if the keys are the same as before.
func TestFaultsAreLoggedOnce(t *testing.T) {
	logger := ktesting.NewLogger(t, ktesting.NewConfig(ktesting.BufferLogs(true)))
	sink, ok := logger.GetSink().(ktesting.Underlier)
	if !ok {
		t.Fatal("the logger has no buffer")
	}
	ctx := klog.NewContext(t.Context(), logger)
	path := filepath.Join(t.TempDir(), "keys")
	logged := 0
	expect := func(what string, want int) {
		t.Helper()
		now := strings.Count(sink.GetBuffer().String(), "Can't read the master keys of tunnels")
		if now-logged != want {
			t.Errorf("%s: %d lines, want %d", what, now-logged, want)
		}
		logged = now
	}
	f, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	expect("no file at the start", 1)
	for _, step := range []struct {
		what, text string
		want       int
	}{
		{"still no file", "", 0},
		{"a file in order", "1 " + keyA, 0},
		{"a fault", "1 short", 1},
		{"the same fault", "1 short", 0},
		{"another fault", "0 " + keyA, 1},
		{"the first fault again", "1 short", 1},
		{"the same keys as before", "1 " + keyA, 0},
		{"the fault that was there before them", "1 short", 1},
		{"other keys", "2 " + keyB, 0},
		{"that fault once more", "1 short", 1},
	} {
		if step.text != "" {
			write(t, path, step.text)
		}
		f.reload(ctx)
		f.reload(ctx)
		expect(step.what, step.want)
	}
	for _, key := range []string{keyA, keyB} {
		if strings.Contains(sink.GetBuffer().String(), key) {
			t.Error("the log has a key")
		}
	}
}

// TestMetrics: the gauges follow the keys in use, and not the faults.
func TestMetrics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, "7 "+keyB+"\n1 "+keyA)
	f, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(count, sending float64) {
		t.Helper()
		f.reload(t.Context())
		for _, c := range []struct {
			gauge *metrics.Gauge
			want  float64
		}{{masterCount, count}, {sendID, sending}} {
			if got, err := testutil.GetGaugeMetricValue(c.gauge); err != nil || got != c.want {
				t.Errorf("%s is %v, %v, want %v", c.gauge.Name, got, err, c.want)
			}
		}
	}
	expect(2, 7)
	write(t, path, "3 "+keyB)
	expect(1, 3)
	write(t, path, "3 short")
	expect(1, 3)
}

// TestSpecialFiles: a pipe that nobody writes to and an endless file do not keep the
// server from starting.
func TestSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		_, err := Open(t.Context(), pipe)
		opened <- err
	}()
	select {
	case err := <-opened:
		if err == nil || !strings.Contains(err.Error(), "not a file") {
			t.Errorf("a pipe: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a pipe keeps the server waiting")
	}
	large := filepath.Join(dir, "large")
	write(t, large, "1 "+keyA+strings.Repeat("\n#", maxFileSize/2))
	if _, err := Open(t.Context(), large); err == nil || !strings.Contains(err.Error(), "the right file") {
		t.Errorf("a large file: %v", err)
	}
	rest := maxFileSize - len("1 "+keyA+"\n#")
	write(t, large, "1 "+keyA+"\n#"+strings.Repeat("x", rest))
	if _, err := Open(t.Context(), large); err != nil {
		t.Errorf("a file that is just as large as may be: %v", err)
	}
}

func TestRunEnds(t *testing.T) {
	f, err := Open(t.Context(), filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.Run(ctx)
}
