// SPDX-License-Identifier: Apache-2.0

package tunnelkey

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A key is replaced when it is old, by one step a day. Each step is in the file, which stays
// private, and in use.
func TestStep(t *testing.T) {
	const day, age = 24 * time.Hour, 90 * 24 * time.Hour
	path := filepath.Join(t.TempDir(), "tunnel-keys")
	if err := os.WriteFile(path, Generate(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for _, step := range []struct {
		after time.Duration
		want  string
	}{
		{-day, "[1]"},
		{age - time.Hour, "[1]"},
		{age + time.Hour, "[1 2]"},
		{age + 2*time.Hour, "[1 2]"},
		{age + day, "[1 2]"},
		{age + day + time.Hour, "[2 1]"},
		{age + 2*day, "[2 1]"},
		{age + 2*day + 2*time.Hour, "[2]"},
		{2*age + 2*day + time.Hour, "[2]"},
		{2*age + 2*day + 3*time.Hour, "[2 3]"},
	} {
		now := begin.Add(step.after)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.step(t.Context(), age, now); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(before) != string(after) {
			// The file was written at that time.
			if err := os.Chtimes(path, now, now); err != nil {
				t.Fatal(err)
			}
		}
		f.reload(t.Context())
		keys, err := f.Current()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(keys.IDs()); got != step.want {
			t.Fatalf("After %s the keys are %s, not %s", step.after, got, step.want)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("The file is %v, %v", info, err)
		}
	}
}

// Keys that no rotation makes stay as they are.
func TestStepLeavesOtherKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tunnel-keys")
	text := append(append([]byte{}, (&Masters{keys: []master{newMaster(1), newMaster(5)}}).Text()...), (&Masters{keys: []master{newMaster(9)}}).Text()...)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.step(t.Context(), time.Hour, time.Now().Add(1000*time.Hour)); err == nil {
		t.Error("It is no error")
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != string(text) {
		t.Errorf("The file has changed: %v", err)
	}
}
