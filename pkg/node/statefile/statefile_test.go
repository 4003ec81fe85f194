// SPDX-License-Identifier: Apache-2.0

package statefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFile(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "state"), Version: 1}
	var got map[string]int
	if found, err := f.Load(&got); found || err != nil {
		t.Fatalf("before it was written: %t, %v", found, err)
	}
	for i := range 3 {
		// A program that was killed leaves this.
		if err := os.WriteFile(f.Path+".new", []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := f.Save(map[string]int{"a": i}); err != nil {
			t.Fatal(err)
		}
		if found, err := f.Load(&got); !found || err != nil || got["a"] != i {
			t.Fatalf("%t, %v, %v, want a: %d", found, err, got, i)
		}
	}
	info, err := os.Stat(f.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := (File{Path: "/proc/no", Version: 1}).Save(1); err == nil {
		t.Error("no error where nothing can be written")
	}
}

func TestFileDamaged(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "state"), Version: 1}
	if err := f.Save(map[string]string{"key": "value"}); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		for what, b := range map[string][]byte{
			"cut off":  good[:n],
			"bit flip": append(append(append([]byte{}, good[:n]...), good[n]^4), good[n+1:]...),
		} {
			if err := os.WriteFile(f.Path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			var v map[string]string
			if _, err := f.Load(&v); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s at %d: %v", what, n, err)
			}
		}
	}
	if err := os.WriteFile(f.Path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	f.Version = 2
	if _, err := f.Load(&struct{}{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("another version: %v", err)
	}
}

func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	l, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Acquire(dir)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second one: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	l, err = Acquire(dir)
	if err != nil {
		t.Fatalf("after the first ended: %v", err)
	}
	defer l.Release()
}
