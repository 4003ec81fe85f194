// SPDX-License-Identifier: Apache-2.0

// Package helm runs Helm, built from the module that hack/tools/helm pins, for tests.
package helm

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/acnodal/epic/test/tools/manifest"
)

// Root is the root of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../../..")
}

var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(Root(), "bin", "helm")
	cmd := exec.Command("go", "build", "-C", filepath.Join(Root(), "hack/tools/helm"), "-trimpath", "-o", path, "helm.sh/helm/v4/cmd/helm")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(err.Error() + ": " + string(out))
	}
	return path, nil
})

// Run runs Helm and returns what it prints, and its error.
func Run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), path, args...)
	// Nobody's plugins and repositories.
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = errors.New(strings.TrimSpace(stderr.String()))
	}
	return string(out), err
}

// Template renders a chart of artifacts/charts as a release called epic.
func Template(t *testing.T, chart string, args ...string) ([]*unstructured.Unstructured, error) {
	t.Helper()
	out, err := Run(t, append([]string{"template", "epic", filepath.Join(Root(), "artifacts/charts", chart)}, args...)...)
	if err != nil {
		return nil, err
	}
	return manifest.Parse([]byte(out))
}
