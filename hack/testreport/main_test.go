// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	const lines = `{"Action":"run","Package":"p","Test":"TestShort"}
{"Action":"output","Package":"p","Test":"TestShort","Output":"nobody wants this\n"}
{"Action":"output","Package":"p","Test":"TestShort","Output":"progress: the cluster is up\n"}
{"Action":"pass","Package":"p","Test":"TestShort","Elapsed":0.2}
{"Action":"run","Package":"p","Test":"TestLong"}
{"Action":"pass","Package":"p","Test":"TestLong/part","Elapsed":60}
{"Action":"pass","Package":"p","Test":"TestLong","Elapsed":61.4}
{"Action":"run","Package":"p","Test":"TestSkipped"}
{"Action":"output","Package":"p","Test":"TestSkipped","Output":"    a_test.go:1: no root\n"}
{"Action":"skip","Package":"p","Test":"TestSkipped"}
not JSON
{"Action":"run","Package":"p","Test":"TestBad"}
{"Action":"output","Package":"p","Test":"TestBad","Output":"    a_test.go:2: bad\n"}
{"Action":"fail","Package":"p","Test":"TestBad","Elapsed":20}
{"Action":"output","Package":"p","Output":"FAIL p 82s\n"}
{"Action":"fail","Package":"p"}
`
	var out bytes.Buffer
	r := newReport(&out, time.Now)
	if err := r.read(strings.NewReader(lines)); err != nil {
		t.Fatal(err)
	}
	if r.summarize(false) {
		t.Error("all is well")
	}
	const want = `the cluster is up
passed: TestLong after 1m1s
not JSON
    a_test.go:2: bad
FAIL p 82s
skipped: p TestSkipped: a_test.go:1: no root
3 tests passed, 1 skipped, 2 failed
`
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestRunningTestsAreNamed(t *testing.T) {
	var out bytes.Buffer
	now := time.Now()
	r := newReport(&out, func() time.Time { return now })
	r.showRunning()
	r.add(event{Action: "run", Package: "p", Test: "TestB"})
	now = now.Add(quiet - time.Second)
	r.add(event{Action: "run", Package: "p", Test: "TestA"})
	r.add(event{Action: "run", Package: "p", Test: "TestA/part"})
	r.add(event{Action: "run", Package: "p", Test: "TestPaused"})
	r.add(event{Action: "pause", Package: "p", Test: "TestPaused"})
	r.showRunning()
	if out.Len() > 0 {
		t.Errorf("too early: %s", out.String())
	}
	now = now.Add(2 * time.Second)
	r.showRunning()
	r.showRunning()
	if got, want := out.String(), "running: p TestA for 2s, p TestB for 31s\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWorthRepeating(t *testing.T) {
	const (
		failedTest = `{"Action":"fail","Package":"p","Test":"TestA/part"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}
`
		otherTest = `{"Action":"fail","Package":"q","Test":"TestB"}
{"Action":"fail","Package":"q","Test":"TestC"}
{"Action":"fail","Package":"q"}
`
		brokenBuild = `{"Action":"fail","Package":"r"}
`
	)
	for name, test := range map[string]struct {
		lines string
		limit int
		want  map[string][]string
	}{
		"one test":         {failedTest, 2, map[string][]string{"p": {"TestA"}}},
		"not asked for":    {failedTest, 0, nil},
		"as many as may":   {failedTest + otherTest, 3, map[string][]string{"p": {"TestA"}, "q": {"TestB", "TestC"}}},
		"too many":         {failedTest + otherTest, 2, nil},
		"a build":          {failedTest + brokenBuild, 2, nil},
		"a build, nothing": {brokenBuild, 2, nil},
		"nothing":          {"", 2, map[string][]string{}},
	} {
		r := newReport(io.Discard, time.Now)
		if err := r.read(strings.NewReader(test.lines)); err != nil {
			t.Fatal(err)
		}
		if got := r.worthRepeating(test.limit); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func TestRepeat(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/flaky\n")
	write("a_test.go", `package flaky

import "testing"

func TestGood(*testing.T) {}
func TestBad(t *testing.T) { t.Fatal("always") }
`)
	if tests := map[string][]string{"example.com/flaky": {"TestGood"}}; !repeat(tests, dir) {
		t.Error("a test that passes when repeated failed")
	}
	if tests := map[string][]string{"example.com/flaky": {"TestBad", "TestGood"}}; repeat(tests, dir) {
		t.Error("a test that fails twice passed")
	}
}
